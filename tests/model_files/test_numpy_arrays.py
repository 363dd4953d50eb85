"""Headers of .npy and .npz, and arrays of objects, which are pickles."""

import io
import struct
import zipfile

import numpy as np
import pytest

from helpers.model_files.file_findings import DAMAGED, SAFE, UNSAFE, WHOLE
from tests.model_files.readers import mutations, read, refused, run

ARRAYS = {
    "f4": np.ones((2, 3), "f4"),
    "big": np.ones(3, ">f8"),
    "half": np.ones((4, 1), "f2"),
    "i1": np.ones(5, "i1"),
    "u8": np.ones((), "u8"),
    "flag": np.ones(3, bool),
    "c8": np.ones(2, "c8"),
    "none": np.ones((0, 7), "f4"),
    "names": np.array(["one", "three"]),
    "time": np.array(["2026-11-30"], "M8[D]"),
    "table": np.zeros(2, [("x", "f4"), ("y", "i2", (3,))]),
}
NAMES = ["float32", "float64", "float16", "int8", "uint64", "bool", "complex64", "float32"]


def npy(header: bytes, held: bytes = bytes(8), version=1) -> bytes:
    form = "<H" if version == 1 else "<I"
    return (
        b"\x93NUMPY" + bytes([version, 0]) + struct.pack(form, len(header)) + header + held
    )


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_read(tmp_path, save):
    save(path := tmp_path / "a.npz", **ARRAYS)
    for verify in (False, True):
        found = read("npz", path, verify=verify)
        assert (found.safety, found.structure) == (SAFE, WHOLE), found
        assert {e.name: e.shape for e in found.entries} == {
            name: array.shape for name, array in ARRAYS.items()
        }
        assert {e.name: e.bytes for e in found.entries} == {
            name: array.nbytes for name, array in ARRAYS.items()
        }
        assert [entry.dtype for entry in found.entries[:8]] == NAMES
        assert found.bytes_checked == (WHOLE if verify else "bytes not checked")
    assert run(found.opens)["arrays"]["f4"].shape == (2, 3)


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_alone_is_read(tmp_path, name):
    np.save(path := tmp_path / "a.npy", ARRAYS[name])
    found = read("npy", path, verify=True)
    assert found.entries[0].shape == ARRAYS[name].shape and found.structure == WHOLE
    assert run(found.opens)["arrays"].shape == ARRAYS[name].shape
    assert "no checksums" in found.bytes_checked


def test_an_array_of_objects_is_unsafe(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", w=np.zeros(2, [("x", "f4"), ("y", "O")]))
    for reader, name in (("npy", "a.npy"), ("npz", "a.npz")):
        found = read(reader, tmp_path / name)
        assert found.safety == UNSAFE and "holds objects: a pickle" in found.safety_why


@pytest.mark.parametrize(
    "descr", ["O", "|O8", "object", "(2,)O", "i4,O", "2O", [("a", [("b", "O")])]]
)
def test_objects_are_found_however_they_are_written(tmp_path, descr):
    header = repr({"descr": descr, "fortran_order": False, "shape": (1,)}).encode()
    (path := tmp_path / "a.npy").write_bytes(npy(header))
    assert read("npy", path).safety == UNSAFE


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x93NUMPY", "is not an array"),
        (npy(b"[]"), "is none of NumPy's"),
        (npy(b"{'descr': '<f4', 'shape': (2.5,)}"), "takes"),
        (npy(b"{'descr': '<f4', 'shape': (-2,)}"), "takes"),
        (npy(b"{'descr': '<f4', 'shape': (3,)}"), "takes 12 bytes, and 8 are there"),
        (npy(b"{'descr': '<f4', 'shape': 2}"), "is none of NumPy's"),
        (npy(b"__import__('os').system('echo')"), "is none of NumPy's"),
        (npy(b"(" * 5000 + b")" * 5000), "is none of NumPy's"),
        (npy(b"-" * 60_000 + b"1"), "is none of NumPy's"),
        (npy(b" " * 70_000, version=2), "is not an array"),
        (b"\x93NUMPY\2\0\xff\xff\xff\xff", "is not an array"),
    ],
)
def test_a_header_that_lies_is_damage(tmp_path, data, reason):
    (path := tmp_path / "a.npy").write_bytes(data)
    assert reason in refused(read("npy", path))


def test_verify_finds_a_flipped_bit(tmp_path):
    np.savez(path := tmp_path / "a.npz", w=np.zeros(1000, "f4"))
    data = bytearray(path.read_bytes())
    data[2000] ^= 4
    path.write_bytes(data)
    assert read("npz", path).structure == WHOLE
    found = read("npz", path, verify=True)
    assert (found.structure, found.structure_why) == (
        DAMAGED,
        "the bytes of 'w.npy' are not those written",
    )


def test_a_header_of_python_2_is_read(tmp_path):
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2L,)}"
    (path := tmp_path / "a.npy").write_bytes(npy(header))
    assert read("npy", path).entries[0].shape == (2,)


def test_a_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "a.npz"
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (67108864,)}"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w.npy", npy(header, bytes(1 << 26)))
    assert "claim to become" in refused(read("npz", path, verify=True))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damaged_files_end_in_a_sentence(tmp_path, save):
    save(file := io.BytesIO(), **ARRAYS)
    path = tmp_path / "a.npz"
    for i, new in enumerate(mutations(file.getvalue())):
        path.write_bytes(new)
        read("npz", path, verify=bool(i % 2))
    np.save(file := io.BytesIO(), ARRAYS["f4"])
    for new in mutations(file.getvalue()):
        path.write_bytes(new)
        read("npy", path)
