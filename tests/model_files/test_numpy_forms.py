"""Only what NumPy writes of arrays and dtypes gets lines."""

import io
import pickle
import zipfile

import numpy as np
import pytest
import torch

from helpers.model_files.following import follow
from helpers.model_files.inspecting import inspect_file

KINDS = ["?", "b", "B", "i2", ">i4", "u8", "e", "f", "d", "g", "F", "D", "S7", "U5", "V8",
         "O", "M8[ns]", "m8[3s]", "S", "U"]  # fmt: skip


def array(
    flags: int, code: bytes = b"O8", sizes: bytes = b"J\xff\xff\xff\xff" * 2
) -> bytes:
    """Return a pickled dict of an array of 8 bytes, whose dtype has these flags."""
    text = b"c_codecs\nencode\nX%bX\6\0\0\0latin1\x86R"
    return (
        b"\x80\2}X\1\0\0\0wcnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\0\x85"
        + text % b"\1\0\0\0b"
        + b"tR(K\1K\1\x85cnumpy\ndtype\nX\2\0\0\0"
        + code
        + b"\x89\x88\x87R(K\3X\1\0\0\0|NNN"
        + sizes
        + b"K%btb\x89" % bytes([flags])
        + text % b"\x08\0\0\0AAAAAAAA"
        + b"tbs."
    )


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL))
@pytest.mark.parametrize("kind", KINDS)
def test_what_numpy_writes_is_sound(kind, protocol):
    for value in (
        np.zeros(2, kind),
        np.zeros(2, kind)[0],
        np.asfortranarray(np.zeros((2, 2), kind)),
    ):
        names = follow(pickle.dumps(value, protocol)).names
        assert all(
            name.isascii() and "form" not in name and "(" not in name for name in names
        )


HONEST = [bytearray(b"ab"), bytearray(), torch.ones(2), torch.nn.Parameter(torch.ones(2))]
NUMBER = b"\x8a\5\0\0\0\0\2"
MAKERS = (
    "builtins bytearray",
    "torch Tensor",
    "torch FloatStorage",
    "torch.cuda LongTensor",
)
MAKERS += ("torch.storage UntypedStorage", "torch.storage TypedStorage")


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize(
    "call",
    [
        NUMBER + b"\x85R",
        NUMBER + b"\x85\x81",
        b"ctorch\nSize\n" + NUMBER + b"\x85\x85R\x85R",
    ],
)
def test_memory_for_no_content_is_unsafe(name, call, tmp_path):
    """A file of 40 bytes would take 8 GB, from torch.load(weights_only=True), too."""
    data = b"\x80\2c%b\n%b\n%b." % (*name.encode().split(), call)
    (tmp_path / "a.pkl").write_bytes(data)
    report = inspect_file(tmp_path / "a.pkl")
    assert report.safety == "unsafe" and report.opens == []
    assert f"(memory for any {name.replace(' ', '.')})" in report.safety_why


@pytest.mark.parametrize("protocol", range(2, 6))
def test_content_and_tensors_are_no_empty_memory(protocol, tmp_path):
    torch.save(HONEST, tmp_path / "a.pt", pickle_protocol=protocol)
    assert inspect_file(tmp_path / "a.pt").safety == "safe"
    for value in HONEST[:2]:
        assert "memory" not in str(follow(pickle.dumps(value, protocol % 5)).names)


@pytest.mark.parametrize("dtype", ["f8,O", ("f4", (2,)), [("a", "i4")]])
def test_fields_have_flags_of_their_own(dtype, tmp_path):
    (tmp_path / "a.pkl").write_bytes(
        pickle.dumps({"w": np.zeros(2, dtype), "d": np.dtype(dtype)})
    )
    report = inspect_file(tmp_path / "a.pkl")
    assert report.names["numpy.dtype.another_form"] == "unknown"
    assert (report.safety, report.opens) == ("unknown", [])


@pytest.mark.parametrize(
    "data",
    [
        array(0),
        array(62),
        array(63, b"f8"),
        array(0, b"V8", b"K\x40K\1"),
        array(8, b"U2", b"J\xff\xff\xff\xffK\4"),
        array(0, b"M8"),
    ],
)
@pytest.mark.parametrize("is_zip", [False, True])
def test_a_forged_dtype_is_unsafe(data, is_zip, tmp_path):
    if is_zip:
        with zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
            archive.writestr("a/data.pkl", data)
        data = file.getvalue()
    (tmp_path / "a.pt").write_bytes(data)
    report = inspect_file(tmp_path / "a.pt")
    assert (report.safety, report.opens) == ("unsafe", [])
    assert "(a forged numpy.dtype)" in report.safety_why


def test_objects_with_their_own_flags_are_no_forgery(tmp_path):
    assert follow(array(63)).names.keys() == {
        *("numpy._core.multiarray._reconstruct", "numpy.ndarray", "_codecs.encode"),
        "numpy.dtype",
    }


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\2cnumpy\nndarray\nK\1\x85X\2\0\0\0O8\x86R.",
        b"\x80\2cnumpy\ndtype\nX\2\0\0\0O8\x85\x81.",
        b"\x80\2cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\1\x85X\1\0\0\0btR.",
        b"\x80\2ctorch._tensor\n_rebuild_from_type_v2\n(cnumpy\ndtype\ncnumpy\ndtype\n)}tR.",
    ],
)
def test_calls_that_numpy_does_not_write_have_no_lines(data, tmp_path):
    (tmp_path / "a.pkl").write_bytes(data)
    report = inspect_file(tmp_path / "a.pkl")
    assert (report.safety, report.opens) == ("unknown", [])
    assert any(name.endswith(".another_form") for name in report.names)


def test_a_subclass_of_tensor_keeps_its_form():
    class Named(torch.Tensor):
        pass

    globals()["Named"], Named.__qualname__ = Named, "Named"
    torch.save({"a": torch.ones(2).as_subclass(Named)}, file := io.BytesIO())
    with zipfile.ZipFile(file) as archive:
        assert not any(
            "another" in n for n in follow(archive.read("archive/data.pkl")).names
        )
