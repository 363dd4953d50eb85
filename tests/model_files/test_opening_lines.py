"""The lines are executed where each kind is tested; here is what they must never hold."""

from pathlib import Path

import pytest

from helpers.model_files.checkpoint_kinds import PickleKind
from helpers.model_files.opening_lines import opening_lines

KIND = PickleKind("a checkpoint", "", ("it's",))
ODD = Path('it\'s "odd"\n.pt')


@pytest.mark.parametrize(
    "name", ["os.system", "my.Net", "torch.nn.modules.linear.Linear\nx"]
)
def test_no_lines_where_a_name_could_do_harm(name):
    assert opening_lines(Path("a"), [name], KIND) == []
    assert opening_lines(Path("a"), [name], KIND, "a/data.pkl") == []
    assert opening_lines(Path("a"), [name], KIND, is_bare=True) == []


@pytest.mark.parametrize(
    "lines",
    [
        opening_lines(ODD, ["numpy.core.multiarray.scalar", "numpy.dtype"], KIND),
        opening_lines(ODD, ["builtins.set"], KIND, "it's {odd}/data.pkl"),
        opening_lines(ODD, ["builtins.set"], KIND, is_bare=True),
    ],
)
def test_whatever_a_file_is_called_its_lines_are_python(lines):
    compile("\n".join(lines), "lines", "exec")
    assert repr(str(ODD)) in "\n".join(lines)
    assert "weights_only=False" not in "\n".join(lines)
