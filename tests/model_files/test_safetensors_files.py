"""A safetensors header is held against its file; lies and bombs end in a sentence."""

import json
import os

import pytest
import safetensors
import safetensors.torch
import torch

from helpers.model_files import inspect_file
from helpers.model_files.file_findings import SAFE, UNKNOWN, UNSAFE, WHOLE
from helpers.model_files.safetensors_files import _DTYPES
from tests.model_files.readers import frugally, mutations, read, refused, run
from tests.model_files.samples import LFS

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


A, B = {"a": torch.ones(2)}, {"b": torch.zeros(3, 2), "c": torch.ones(1)}


def index(folder, weight_map, name="model.safetensors.index.json", **more):
    path = folder / name
    path.write_text(
        json.dumps({"metadata": {"total_size": 36}, "weight_map": weight_map, **more})
    )
    return path


@pytest.fixture
def whole(tmp_path):
    safetensors.torch.save_file(A, tmp_path / "1.safetensors")
    safetensors.torch.save_file(B, tmp_path / "2.safetensors")
    return index(
        tmp_path, {"a": "1.safetensors", "b": "2.safetensors", "c": "2.safetensors"}
    )


def test_a_whole_index_is_read_with_its_shards(whole):
    found = read("shard index", whole, verify=True)
    assert (found.safety, found.structure) == (SAFE, WHOLE)
    assert {e.name: e.shape for e in found.entries} == {"a": (2,), "b": (3, 2), "c": (1,)}
    assert found.values == {"metadata total_size": "36", "shards": "2 of 2 are here"}
    assert found.size == sum(path.stat().st_size for path in whole.parent.iterdir())
    assert "no checksums" in found.bytes_checked
    assert set(run(found.opens)["state_dict"]) == {"a", "b", "c"}


def test_missing_shards_are_named(whole):
    (whole.parent / "2.safetensors").unlink()
    found = read("shard index", whole)
    assert refused(found) == "1 of 2 shards are missing: 2.safetensors"
    assert [e.name for e in found.entries] == ["a"]
    index(whole.parent, {str(i): f"{i}.safetensors" for i in range(3, 12)})
    assert "9 of 9 shards are missing: 10.safetensors, 11.safetensors, 3" in refused(
        read("shard index", whole)
    )


def test_shards_that_disagree_or_are_damaged_are_named(whole):
    safetensors.torch.save_file({"c": B["c"], "d": A["a"]}, whole.parent / "2.safetensors")
    assert refused(read("shard index", whole)) == (
        "shard 2.safetensors lacks 1 tensors: b; "
        "shard 2.safetensors has 1 that the index has not: d"
    )
    (whole.parent / "1.safetensors").write_bytes(b"cut")
    assert "shard 1.safetensors: its header claims" in refused(read("shard index", whole))


@pytest.mark.parametrize("name", ["../1.safetensors", "/etc/passwd", "a/../../x"])
def test_a_shard_outside_the_folder_is_unsafe(tmp_path, name):
    found = read("shard index", index(tmp_path, {"a": name}))
    assert found.safety == UNSAFE and "outside its folder" in found.safety_why


@pytest.mark.skipif(os.name != "posix", reason="Windows needs a right for links")
def test_links_lead_into_the_cache_of_hugging_face_and_nowhere_else(tmp_path):
    (snapshot := tmp_path / "models--x" / "snapshots" / "abc").mkdir(parents=True)
    (blobs := tmp_path / "models--x" / "blobs").mkdir()
    safetensors.torch.save_file(A, blobs / "0123")
    (snapshot / "1.safetensors").symlink_to("../../blobs/0123")
    assert read("shard index", index(snapshot, {"a": "1.safetensors"})).structure == WHOLE
    (tmp_path / "secret").write_bytes(b"")
    (snapshot / "2.safetensors").symlink_to("../../../secret")
    assert read("shard index", index(snapshot, {"a": "2.safetensors"})).safety == UNSAFE
    os.mkfifo(snapshot / "3.safetensors")
    assert "missing" in refused(
        read("shard index", index(snapshot, {"a": "3.safetensors"}))
    )
    (snapshot / "4.safetensors").symlink_to("4.safetensors")
    refused(read("shard index", index(snapshot, {"a": "4.safetensors"})))


def test_shards_that_are_pickles_are_not_called_safe(tmp_path):
    torch.save(A, tmp_path / "1.bin")
    found = read(
        "shard index", index(tmp_path, {"a": "1.bin"}, "pytorch_model.bin.index.json")
    )
    assert found.safety == UNKNOWN and "its shards are pickles" in found.safety_why
    assert torch.equal(run(found.opens)["state_dict"]["a"], A["a"])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[]", "its JSON is no object"),
        (b'{"weight_map": {"a": "1", "a": "2"}}', "it names 'a' twice"),
        (b'{"weight_map": {"a": 1}}', "it names no file for 'a'"),
        (b'{"weight_map": ' + b"[" * 100_000, "nested too deeply"),
        (b'{"weight_map": {"a": "x.safetensors"', "Expecting ',' delimiter"),
        (b'{"weight_map": {"a": "' + b"x" * 5000 + b'"}}', "names no file for 'a'"),
        (b'{"weight_map": {"a": ""}}', "missing"),
    ],
)
def test_an_index_that_is_none_is_damage(tmp_path, content, reason):
    (path := tmp_path / "a.index.json").write_bytes(content)
    assert reason in refused(read("shard index", path))


def test_a_gigabyte_of_json_is_refused_at_once(tmp_path):
    path = tmp_path / "a.index.json"
    with path.open("wb") as file:
        file.write(b'{"weight_map": {')
        file.truncate(1 << 30)
    assert "bytes is larger than any model's" in refused(read("shard index", path))


def test_an_index_of_too_many_or_too_long_names_is_refused(tmp_path, monkeypatch):
    found = read("shard index", index(tmp_path, {"../" + "a" * 1001: "1.safetensors"}))
    assert "1 of 1 shards are missing" in refused(found)
    found = read("shard index", index(tmp_path, {"w": "../" + "a" * 1001}))
    assert len(refused(found)) < 1000
    monkeypatch.setattr("helpers.model_files.safetensors_files._MOST_PARTS", 3)
    found = read("shard index", index(tmp_path, dict.fromkeys("abcd", "1.safetensors")))
    assert found.safety == UNSAFE and "lists more" in found.safety_why and not found.opens


def test_damaged_indexes_end_in_a_sentence(whole):
    for new in mutations(whole.read_bytes()):
        whole.write_bytes(new)
        read("shard index", whole)


def test_ten_thousand_keys_take_no_time(tmp_path):
    tensors = {f"model.layers.{i}.weight": torch.zeros(1) for i in range(10_000)}
    safetensors.torch.save_file(tensors, tmp_path / "1.safetensors")
    path = index(tmp_path, dict.fromkeys(tensors, "1.safetensors"))
    found = frugally("shard index", path)
    assert found.structure == WHOLE and len(found.entries) == 10_000


def test_an_adapter_names_its_base_model(tmp_path):
    safetensors.torch.save_file(A, tmp_path / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "base_model_name_or_path": "me/base", "r": 8, "x": None}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    found = inspect_file(tmp_path)
    assert (found.safety, found.structure) == (SAFE, WHOLE)
    assert "It is an adapter: it needs its base model, me/base." in found.notes
    assert (found.values["r"], found.entries[0].name) == ("8", "a")
    assert set(run(found.opens)["state_dict"]) == {"a"}
    (tmp_path / "adapter_model.safetensors").unlink()
    torch.save(A, tmp_path / "adapter_model.bin")
    found = inspect_file(tmp_path, verify=True)
    assert (found.kind, found.safety, found.bytes_checked) == ("adapter", SAFE, WHOLE)
    assert set(run(found.opens)["state"]) == {"a"}
    torch.save(print, tmp_path / "adapter_model.bin")
    found = inspect_file(tmp_path)
    assert (found.kind, found.safety) == ("adapter", UNSAFE)
    assert found.safety_why == "it asks for builtins.print"
    (tmp_path / "adapter_model.bin").write_bytes(LFS)
    assert "adapter_model.bin in it is a Git LFS pointer" in refused(inspect_file(tmp_path))
    (tmp_path / "adapter_model.bin").unlink()
    assert refused(inspect_file(tmp_path)) == "there are no weights in it"


def test_a_model_of_the_hub_is_read_through_its_index(whole):
    (whole.parent / "config.json").write_text('{"auto_map": {"AutoModel": "code.Model"}}')
    found = inspect_file(whole.parent)
    assert found.structure == WHOLE and len(found.entries) == 3
    assert any("trust_remote_code=True would run" in note for note in found.notes)
    (whole.parent / "config.json").write_text('{"auto_map": 1, "auto_map": 2}')
    assert inspect_file(whole.parent).structure == WHOLE, "a setting may stand there twice"
    for file in whole.parent.glob("*.safetensors*"):
        file.unlink()
    safetensors.torch.save_file(B, whole.parent / "model.safetensors")
    found = inspect_file(whole.parent)
    assert [e.name for e in found.entries] == ["b", "c"]
    (whole.parent / "config.json").write_bytes(b'{"a": ')
    assert "Expecting value" in refused(inspect_file(whole.parent))
