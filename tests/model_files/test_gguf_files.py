"""GGUF headers, written here as the format says."""

import struct

import pytest

from helpers.model_files.file_findings import SAFE, WHOLE
from helpers.model_files.gguf_files import _TYPES
from tests.model_files.readers import mutations, read, refused


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
        (gguf(version=1), "its version is 1, and 2 and 3 are known"),
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
def test_a_header_that_lies_is_damage(path, data, reason):
    path.write_bytes(data)
    assert reason in refused(read("gguf", path))


def test_damaged_files_end_in_a_sentence(path):
    for new in mutations(gguf(VALUES, TENSORS, 128)):
        path.write_bytes(new)
        read("gguf", path)


def test_the_sizes_of_blocks_are_whole_numbers_of_bits():
    # Each name begins with the bits of a number, and its scales take some more.
    for name, elements, held in _TYPES.values():
        if name.lstrip("i")[0] in "qt":
            bits = int(name.partition("q")[2][0])
            assert bits <= 8 * held / elements <= bits + 2.1, name
