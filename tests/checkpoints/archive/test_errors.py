"""The errors of the archive: whatever a file holds, it is one of them."""

from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.checkpoints.archive.errors import CheckpointError
from tests.checkpoints.archive.files import check, saved


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_other_bytes_give_a_checkpoint_error_or_pass(tmp_path_factory, data):
    """Whatever somebody else's file holds, no other exception comes out."""
    folder = tmp_path_factory.getbasetemp()
    path = folder / "foreign.pt"
    content = bytearray(saved(path).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        new = data.draw(st.binary(max_size=12))
        content[start : start + data.draw(st.integers(0, 12))] = new
    path.write_bytes(content)
    try:
        check(path)
    except CheckpointError as error:
        assert str(path) in str(error)
