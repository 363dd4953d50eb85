"""Headers of .npy and .npz, arrays of objects; GGUF, written here as its format says."""

import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from helpers.model_files.array_files import _TYPES
from helpers.model_files.verdicts import DAMAGED, SAFE, UNSAFE, WHOLE
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


def test_a_mask_is_told_by_its_size_and_a_bomb_is_unsafe(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (67108864,)}"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w.npy", npy(header, bytes(1 << 26)))
    found = read("npz", path, verify=True)
    assert (found.safety, found.structure, found.bytes_checked) == (SAFE, WHOLE, WHOLE)
    size = path.stat().st_size
    assert found.notes == [f"Its {size:,} bytes become {(1 << 26) + 72:,} in memory."]
    monkeypatch.setattr("helpers.model_files.array_files._MOST_UNPACKED", 1 << 26)
    assert refused(read("npz", path)) == "its arrays would fill the memory"
    data = bytearray(path.read_bytes())
    data[(at := data.rindex(b"PK\1\2") + 24) : at + 4] = struct.pack("<I", 1 << 30)
    path.write_bytes(data)
    assert "claim to become" in refused(read("npz", path))


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


def text(words: str) -> bytes:
    return struct.pack("<Q", len(words)) + words.encode()


def texts(*words: str) -> bytes:
    return struct.pack("<IIQ", 9, 8, len(words)) + b"".join(map(text, words))


def tensor(name, shape, kind, offset) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def gguf(values=(), tensors=(), held=0, version=3, alignment=32) -> bytes:
    data = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(values))
    data += b"".join(text(key) + value for key, value in values) + b"".join(tensors)
    return data + bytes(-len(data) % alignment + held)


VALUES = [
    ("general.architecture", struct.pack("<I", 8) + text("llama")),
    ("llama.context_length", struct.pack("<II", 4, 8192)),
    ("small", struct.pack("<Ib", 1, -3)),
    ("flag", struct.pack("<I?", 7, True)),
    ("rate", struct.pack("<If", 6, 0.5)),
    ("large", struct.pack("<IQ", 10, 1 << 40)),
    ("tokenizer.ggml.tokens", texts("a", "b", "x" * 300)),
    ("scores", struct.pack("<IIQ3f", 9, 6, 3, 1, 2, 3)),
    ("nested", struct.pack("<IIQ", 9, 9, 1) + texts("a")[4:]),
]
TENSORS = [tensor("w", (64, 2), 2, 0), tensor("b", (8,), 0, 96)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.gguf"


@pytest.mark.parametrize("version", [2, 3])
def test_values_and_tensors_are_read(path, version):
    path.write_bytes(gguf(VALUES, TENSORS, 96 + 32, version))
    found = read("gguf", path)
    assert (found.safety, found.structure) == (SAFE, WHOLE)
    assert found.values == {
        "version": str(version),
        "general.architecture": "llama",
        "llama.context_length": "8192",
        "small": "-3",
        "flag": "True",
        "rate": "0.5",
        "large": str(1 << 40),
        "tokenizer.ggml.tokens": "3 texts",
        "scores": "3 values",
        "nested": "1 values",
    }
    assert [(e.name, e.shape, e.dtype, e.bytes) for e in found.entries] == [
        ("w", (2, 64), "q4_0", 4 * 18),
        ("b", (8,), "float32", 32),
    ]


def test_the_alignment_is_the_files_own(path):
    values = [("general.alignment", struct.pack("<II", 4, 256))]
    path.write_bytes(gguf(values, TENSORS, 128, alignment=256))
    assert read("gguf", path).structure == WHOLE


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GGUF", "its header ends early"),
        (gguf(version=4), "its version is 4, and 1 to 3 are known"),
        (gguf(version=3 << 16), "its version is 768, and 1 to 3 are known"),
        (gguf(VALUES, TENSORS, 100), "tensor 'b' is not at 96 to 128"),
        (gguf((), [TENSORS[0], tensor("b", (8,), 0, 32)], 128), "tensor 'b' is not at 32"),
        (gguf((), [tensor("b", (1,) * 9, 0, 0)], 9), "claims 9 axes"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 0), "its header ends early"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1 << 62), "a text in it claims"),
        (gguf([("a", struct.pack("<IIQ", 9, 4, 1 << 60))]), "a list in it claims"),
        (gguf([("a", struct.pack("<IIQ", 9, 8, 1 << 60))]), "more than 2,000,000 texts"),
        (
            gguf([("a", struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 9)]),
            "of the unknown type 9",
        ),
        (gguf([("a", struct.pack("<I", 77))]), "of the unknown type 77"),
        (gguf([("general.alignment", struct.pack("<II", 4, 0))]), "its alignment is 0"),
    ],
)
def test_a_header_that_lies_is_damage_of_gguf(path, data, reason):
    path.write_bytes(data)
    assert reason in refused(read("gguf", path))


def test_damaged_files_end_in_a_sentence_of_gguf(path):
    for new in mutations(gguf(VALUES, TENSORS, 128)):
        path.write_bytes(new)
        read("gguf", path)


def test_the_sizes_of_blocks_are_whole_numbers_of_bits():
    # Each name begins with the bits of a number, and its scales take some more.
    for name, elements, held in _TYPES.values():
        if name.lstrip("i")[0] in "qt":
            bits = int(name.partition("q")[2][0])
            assert bits <= 8 * held / elements <= bits + 2.1, name


@pytest.mark.parametrize(("order", "version"), [(">", 3), ("<", 1), ("<", 3)])
def test_every_order_of_bytes_and_width_of_counts_is_read(path, order, version):
    wide = "I" if version == 1 else "Q"

    def pack(form, *values):
        return struct.pack(order + form.replace("N", wide), *values)

    def text(words):
        return pack("N", len(words)) + words

    values = text(b"name") + pack("I", 8) + text(b"llama")
    values += text(b"scores") + pack("IIN3f", 9, 6, 3, 1, 2, 3)
    values += text(b"words") + pack("IIN", 9, 8, 2) + text(b"a") + text(b"bc")
    tensor = text(b"w") + pack("INNIQ", 2, 3, 2, 0, 0)
    data = b"GGUF" + pack("INN", version, 1, 3) + values + tensor
    path.write_bytes(data + bytes(-len(data) % 32 + 24))
    found = read("gguf", path)
    assert (found.safety, found.structure) == (SAFE, WHOLE)
    assert (found.values["version"], found.values["name"]) == (str(version), "llama")
    assert (found.values["scores"], found.values["words"]) == ("3 values", "2 texts")
    assert [(e.name, e.shape, e.bytes) for e in found.entries] == [("w", (2, 3), 24)]
    assert any("big-endian" in note for note in found.notes) == (order == ">")


def test_a_text_of_megabytes_takes_no_memory(path):
    size = 16_000_000
    long = struct.pack("<IQ", 8, size) + b"x" * size
    path.write_bytes(gguf([("a", long), ("b", struct.pack("<Ib", 1, 3))]))
    tracemalloc.start()
    found = read("gguf", path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20
    assert (found.values["a"], found.values["b"]) == ("x" * 200, "3")


def test_the_name_of_a_field_is_no_object(tmp_path):
    fields = [("object_id", "i4"), ("O", "f4", (2,)), (("object", "x"), "f4")]
    inner = np.dtype([*fields, ("deep", fields)])
    np.save(tmp_path / "a.npy", np.zeros(3, inner))
    found = read("npy", tmp_path / "a.npy")
    assert (found.safety, found.structure) == (SAFE, WHOLE)
    np.save(tmp_path / "a.npy", np.zeros(3, [("a", fields), ("b", [("c", "O")])]))
    assert "holds objects" in refused(read("npy", tmp_path / "a.npy"))
