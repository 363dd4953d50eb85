"""Indexes of shards and folders of models: all that belongs to them is judged."""

import json
import os

import pytest
import safetensors.torch
import torch

from helpers.model_files import inspect_file
from helpers.model_files.judging import FETCH
from helpers.model_files.verdicts import SAFE, UNKNOWN, UNSAFE, WHOLE
from tests.model_files.readers import frugally, mutations, quickly, read, refused, run
from tests.model_files.samples import LFS

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
    shard = whole.parent / "1.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1])
    assert "shard 1.safetensors: its tensors take 8 bytes, and 7 are there" in refused(
        read("shard index", whole)
    )
    shard.write_bytes(b"cut")
    assert "shard 1.safetensors is a text file" in refused(read("shard index", whole))


@pytest.mark.parametrize("name", ["../1.safetensors", "/etc/passwd", "a/../../x"])
def test_a_shard_outside_the_folder_is_unsafe(tmp_path, name):
    found = read("shard index", index(tmp_path, {"a": name}))
    assert found.safety == UNSAFE and "outside its folder" in found.safety_why


@pytest.mark.skipif(os.name != "posix", reason="Windows needs a right for links")
def test_links_lead_into_the_cache_of_hugging_face(tmp_path):
    (snapshot := tmp_path / "models--x" / "snapshots" / "abc").mkdir(parents=True)
    (blobs := tmp_path / "models--x" / "blobs").mkdir()
    safetensors.torch.save_file(A, blobs / "0123")
    (snapshot / "1.safetensors").symlink_to("../../blobs/0123")
    assert read("shard index", index(snapshot, {"a": "1.safetensors"})).structure == WHOLE
    (below := snapshot / "unet" / "deep").mkdir(parents=True)
    (below / "1.safetensors").symlink_to("../../../../blobs/0123")
    found = read("shard index", index(below, {"a": "1.safetensors"}))
    assert (found.structure, found.safety, found.notes) == (WHOLE, SAFE, [])
    os.mkfifo(snapshot / "3.safetensors")
    assert "missing" in refused(
        read("shard index", index(snapshot, {"a": "3.safetensors"}))
    )
    (snapshot / "4.safetensors").symlink_to("4.safetensors")
    refused(read("shard index", index(snapshot, {"a": "4.safetensors"})))


@pytest.mark.skipif(os.name != "posix", reason="Windows needs a right for links")
def test_a_shard_on_another_disk_is_told_and_judged(tmp_path):
    (disk := tmp_path / "disk").mkdir()
    (home := tmp_path / "home").mkdir()
    safetensors.torch.save_file(A, disk / "1.safetensors")
    (home / "1.safetensors").symlink_to(disk / "1.safetensors")
    found = read("shard index", index(home, {"a": "1.safetensors"}))
    assert (found.safety, found.structure) == (SAFE, WHOLE)
    assert f"'1.safetensors' is a link out of its folder, to {disk}" in found.notes[0]
    torch.save(print, disk / "1.safetensors")
    assert read("shard index", index(home, {"a": "1.safetensors"})).safety == UNSAFE


def bin_index(folder, *names):
    weight_map = {name[0]: name for name in names}
    return index(folder, weight_map, "pytorch_model.bin.index.json")


def test_shards_that_are_pickles_are_judged(tmp_path):
    torch.save(A, tmp_path / "a.bin")
    torch.save({"b": B["b"]}, tmp_path / "b.bin")
    found = read("shard index", bin_index(tmp_path, "a.bin", "b.bin"), verify=True)
    assert (found.safety, found.structure, found.bytes_checked) == (SAFE, WHOLE, WHOLE)
    assert [e.name for e in found.entries] == ["a", "b"]
    assert torch.equal(run(found.opens)["state_dict"]["a"], A["a"])
    path = tmp_path / "b.bin"
    path.write_bytes(bytes(path.read_bytes()).replace(bytes(20), b"\1" * 20))
    found = read("shard index", bin_index(tmp_path, "a.bin", "b.bin"), verify=True)
    assert "damaged" in (found.bytes_checked, found.structure) and not found.opens
    torch.save({"b": torch.nn.Linear(1, 1)}, path)
    found = read("shard index", bin_index(tmp_path, "a.bin", "b.bin"))
    assert found.safety == UNKNOWN and found.opens == []
    torch.save({"b": print}, path)
    found = read("shard index", bin_index(tmp_path, "a.bin", "b.bin"))
    assert (found.safety, found.opens) == (UNSAFE, [])
    assert found.safety_why == "shard b.bin: it asks for builtins.print"


@pytest.mark.parametrize("name", ["1.bin", "1.safetensors"])
@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"<html>", "is a web page"), (LFS, "is a Git LFS"), (b"", "is empty")],
)
def test_a_shard_that_is_something_else_is_damage(tmp_path, name, data, reason):
    (tmp_path / name).write_bytes(data)
    found = inspect_file(index(tmp_path, {"1": name}))
    assert f"shard {name} {reason}" in refused(found)
    assert (found.safety, found.opens) == (UNKNOWN, [])


def test_a_pickle_in_the_place_of_a_safetensors_shard_is_judged(tmp_path):
    torch.save({"a": print}, tmp_path / "1.safetensors")
    found = inspect_file(index(tmp_path, {"a": "1.safetensors"}))
    assert (found.safety, found.structure) == (UNSAFE, "damaged")
    assert found.names["builtins.print"] == "dangerous"


def test_an_index_that_names_itself_is_damage(tmp_path):
    path = index(tmp_path, {"a": "model.safetensors.index.json"})
    assert "is a shard index" in refused(inspect_file(path))


def test_what_is_missing_is_to_be_fetched(tmp_path):
    found = inspect_file(index(tmp_path, {"a": "1.safetensors"}))
    assert FETCH in found.notes and not any("restore" in note for note in found.notes)


def test_an_index_with_a_mark_of_its_coding_is_read(whole):
    whole.write_bytes(b"\xef\xbb\xbf" + whole.read_bytes())
    found = inspect_file(whole)
    assert (found.kind, found.structure) == ("shard index", WHOLE)
    assert set(run(found.opens)["state_dict"]) == {"a", "b", "c"}


def test_no_lines_where_one_of_the_shards_is_refused_by_the_package(tmp_path):
    one = {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}
    header = json.dumps({"__metadata__": {"step": 1}, "a": one}).encode()
    (tmp_path / "1.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    found = inspect_file(index(tmp_path, {"a": "1.safetensors"}))
    assert (found.safety, found.structure, found.opens) == (SAFE, WHOLE, [])


def test_names_in_thousands_of_folders_take_no_time(tmp_path):
    path = index(tmp_path, {str(i): "a/" * 450 + str(i) for i in range(9000)})
    assert "nested too deeply" in refused(quickly("shard index", path))
    path = index(tmp_path, {str(i): f"{i}.bin" for i in range(10_001)})
    assert "more than 10,000 shards" in refused(read("shard index", path))


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
        (b'{"weight_map": [1]}', "its weight_map is no object"),
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


def model_folder(folder):
    (folder / "config.json").write_text("{}")
    safetensors.torch.save_file({"w": torch.ones(2)}, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "training_args.bin", "optimizer.pt", "2_Dense/w.bin", "x"]
)
def test_whatever_stands_beside_the_weights_is_judged(tmp_path, name):
    assert inspect_file(model_folder(tmp_path)).safety == SAFE
    (path := tmp_path / name).parent.mkdir(exist_ok=True)
    torch.save(A, path)
    assert inspect_file(tmp_path).safety == SAFE
    torch.save(torch.nn.Linear(1, 1), path)
    found = inspect_file(tmp_path)
    assert found.safety == UNKNOWN and found.safety_why.startswith(f"{name} in it: it asks")
    assert set(run(found.opens)["state_dict"]) == {"w"}, "the weights are safe"
    torch.save(print, path)
    found = inspect_file(tmp_path)
    assert (found.safety, found.opens) == (UNSAFE, [])
    assert found.safety_why == f"{name} in it: it asks for builtins.print"
    (tmp_path / "model.safetensors").write_bytes(b"cut")
    assert inspect_file(tmp_path).safety == UNSAFE, "whatever the weights are"


def test_a_folder_may_hold_anything_else(tmp_path, monkeypatch):
    (model_folder(tmp_path) / "vocab.txt").write_text("words")
    (tmp_path / "tokenizer.json").write_text("[1]")
    if os.name == "posix":
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "lost.bin").symlink_to("nowhere")
        (tmp_path / "round").symlink_to(tmp_path)
    assert inspect_file(tmp_path).safety == SAFE
    monkeypatch.setattr("helpers.model_files.model_folders.MOST_FILES", 2)
    found = inspect_file(tmp_path)
    assert found.safety == UNKNOWN and "Only 2 of its files were looked at." in found.notes


def test_what_wrappers_left_in_a_folder(tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    state = {"base_model.model.w": torch.ones(2)}
    safetensors.torch.save_file(state, tmp_path / "adapter_model.safetensors")
    assert any("which peft leaves" in note for note in inspect_file(tmp_path).notes)
    (tmp_path / "adapter_model.safetensors").unlink()
    (tmp_path / "adapter_config.json").unlink()
    safetensors.torch.save_file({"module.w": torch.ones(2)}, tmp_path / "model.safetensors")
    assert set(run(inspect_file(tmp_path).opens)["state_dict"]) == {"w"}
