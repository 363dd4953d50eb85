"""A safetensors header is held against its file; lies and bombs end in a sentence."""

import json

import pytest
import safetensors
import safetensors.torch
import torch

from helpers.model_files.safetensors_files import _DTYPES
from helpers.model_files.verdicts import SAFE, WHOLE
from tests.model_files.readers import frugally, mutations, read, refused, run

DTYPES = [
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
    *(torch.uint16, torch.uint32, torch.uint64, torch.complex64),
    *(torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz),
    torch.float8_e8m0fnu,
]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.safetensors"


def write(path, header, held=8):
    data = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(data).to_bytes(8, "little") + data + bytes(held))
    return path


def one(dtype="F32", shape=(2,), begin=0, end=8, **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end], **more}


def test_every_dtype_is_named_as_torch_does_with_its_bytes(path):
    tensors = {
        f"t{i}": torch.zeros(3, 2 * (i % 2)).to(dtype) for i, dtype in enumerate(DTYPES)
    }
    tensors["scalar"] = torch.tensor(1.0)
    safetensors.torch.save_file(tensors, path, metadata={"by": "me"})
    found = read("safetensors", path)
    assert (found.safety, found.structure, found.values) == (SAFE, WHOLE, {"by": "me"})
    assert {(e.name, e.shape, f"torch.{e.dtype}", e.bytes) for e in found.entries} == {
        (name, tuple(t.shape), str(t.dtype), t.nbytes) for name, t in tensors.items()
    }


def test_the_dtypes_are_those_that_the_package_knows(path):
    message = ""
    try:
        write(path, {"w": one("NONE")})
        with safetensors.safe_open(path, "pt"):
            pass
    except safetensors.SafetensorError as error:
        message = str(error)
    known = set(
        message.partition("expected one of ")[2]
        .replace("`", "")
        .split(" at ")[0]
        .split(", ")
    )
    assert known == set(_DTYPES)


@pytest.mark.parametrize(
    ("dtype", "shape", "held"),
    [("F4", (3, 2), 3), ("F6_E2M3", (4,), 3), ("F6_E3M2", (8,), 6)],
)
def test_numbers_of_few_bits_are_packed(path, dtype, shape, held):
    found = read("safetensors", write(path, {"w": one(dtype, shape, 0, held)}, held))
    assert found.structure == WHOLE and found.entries[0].bytes == held


def test_its_lines_open_it(path):
    safetensors.torch.save_file({"w": torch.ones(3)}, path)
    assert torch.equal(
        run(read("safetensors", path).opens)["state_dict"]["w"], torch.ones(3)
    )


def test_verify_says_that_there_is_nothing_to_compare(path):
    safetensors.torch.save_file({"w": torch.ones(3)}, path)
    assert "no checksums" in read("safetensors", path, verify=True).bytes_checked
    assert read("safetensors", path).bytes_checked == "bytes not checked"


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"w": one(end=4)}, "tensor 'w' takes 8, not 4 bytes"),
        ({"w": one(shape=(3,))}, "tensor 'w' takes 12, not 8 bytes"),
        ({"w": one(begin=8, end=0)}, "takes 8, not -8 bytes"),
        ({"w": one(shape=(-2,))}, "describes 'w' in no known way"),
        ({"w": one(shape=(2.0,))}, "describes 'w' in no known way"),
        ({"w": one(shape=(True, 2))}, "describes 'w' in no known way"),
        ({"w": one(shape=(1 << 70,))}, "describes 'w' in no known way"),
        ({"w": one(shape=(1,) * 100)}, "describes 'w' in no known way"),
        ({"w": [1, 2]}, "describes 'w' in no known way"),
        (
            {"w": one(shape=(1,), end=4), "v": one(shape=(1,), end=4)},
            "overlap or leave holes",
        ),
        ({"w": one(shape=(1,), begin=4)}, "overlap or leave holes"),
        ({"w": one(shape=(1,), end=4)}, "its tensors take 4 bytes, and 8 are there"),
        ({}, "its tensors take 0 bytes, and 8 are there"),
        (b'{"w":' + json.dumps(one()).encode() + b',"w":1}', "names 'w' twice"),
        (b"[]", "its JSON is no object"),
        (b'{"a":' + b"[" * 100_000, "nested too deeply"),
        (b'{"a":"' + b"x" * 5_000_000 + b'"}', "describes 'a' in no known way"),
        (b'{"a', "its JSON is damaged: Unterminated string"),
        (b'{"a":[' + b"[]," * 4_000_000 + b"1]}", "its JSON lists more than any model's"),
        (b'{"a":' + b"9" * 5000 + b"}", "limit"),
        (b'{"\xff": 1}', "utf-8"),
        (b"{} {}", "its JSON is damaged: Extra data"),
    ],
)
def test_a_header_that_lies_is_damage(path, header, reason):
    assert reason in refused(read("safetensors", write(path, header)))


@pytest.mark.parametrize("length", [3, 9, 1 << 20, 100_000_001, (1 << 64) - 1])
def test_a_header_larger_than_the_file_is_not_read(path, length):
    write(path, {"w": one()})
    data = path.read_bytes()
    path.write_bytes(length.to_bytes(8, "little") + data[8:])
    reason = refused(read("safetensors", path))
    assert length < len(data) or f"its header claims {length:,} bytes of" in reason


def test_a_gigabyte_of_header_is_refused_at_once(path):
    with path.open("wb") as file:
        file.write((1 << 30).to_bytes(8, "little") + b'{"a": "')
        file.truncate(2 << 30)
    assert "bytes is larger than any model's" in refused(read("safetensors", path))


def test_damaged_files_end_in_a_sentence(path):
    data = safetensors.torch.save({"a": torch.ones(3), "b": torch.zeros(2, 2)}, {"k": "v"})
    for new in mutations(data):
        path.write_bytes(new)
        read("safetensors", path)


def test_ten_thousand_keys_take_no_time_and_large_files_no_memory(path):
    entries = {
        f"model.layers.{i}.weight": one("F32", (10_000,), i * 40_000, (i + 1) * 40_000)
        for i in range(10_000)
    }
    write(path, entries, 0)
    with path.open("ab") as file:
        file.truncate(file.tell() + 400_000_000)  # a hole: it takes no disk
    found = frugally("safetensors", path)
    assert found.structure == WHOLE and len(found.entries) == 10_000


def test_too_many_tensors_are_refused(path, monkeypatch):
    monkeypatch.setattr("helpers.model_files.judging.MOST_ENTRIES", 3)
    entries = {f"w{i}": one(shape=(0,), end=0) for i in range(4)}
    assert "more than 3 tensors" in refused(read("safetensors", write(path, entries, 0)))


def test_metadata_of_megabytes_is_metadata(path):
    """Trainers of adapters keep their captions there."""
    values = {"__metadata__": {"captions": "words " * 1_000_000}}
    found = read("safetensors", write(path, values, 0))
    assert found.structure == WHOLE and found.values["captions"].startswith("words words")


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ({"__metadata__": {"step": 3}, "w": one()}, "metadata that are no texts"),
        (
            {"__metadata__": {"loss": float("nan")}, "w": one()},
            "metadata that are no texts",
        ),
        ({"\ud800": one()}, "letters that are none"),
        ({"__metadata__": {"by": "\udfff"}, "w": one()}, "letters that are none"),
        ({"w": one("NEW")}, "the dtype NEW"),
    ],
)
def test_no_line_is_offered_that_the_package_refuses(path, header, why):
    found = read("safetensors", write(path, header))
    with pytest.raises(safetensors.SafetensorError):
        safetensors.torch.load_file(path)
    assert (found.safety, found.structure, found.opens) == (SAFE, WHOLE, [])
    assert f"No line opens it: the package safetensors refuses {why}." in found.notes
    letters = {"__metadata__": None, "gr\u00f6\u00dfe \U0001f600": one()}
    assert run(read("safetensors", write(path, letters)).opens)["state_dict"]
