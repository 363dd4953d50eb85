"""A folder of torch.distributed.checkpoint: what its pickle lists, without running it."""

import io
import os
import pickle
import zipfile
from collections import OrderedDict
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch.distributed._shard import sharded_tensor
from torch.distributed.checkpoint.metadata import Metadata

from helpers.model_files import inspect_file
from helpers.model_files.following import follow
from helpers.model_files.verdicts import DAMAGED, SAFE, UNKNOWN, UNSAFE, WHOLE
from tests.model_files.readers import mutations, refused, run

TENSORS = {"a": torch.ones(2, 3), "b": torch.zeros(4, dtype=torch.bfloat16)}


@pytest.fixture
def folder(tmp_path):
    dcp.save({"model": TENSORS}, checkpoint_id=tmp_path / "run", no_dist=True)
    return tmp_path / "run"


def test_its_tensors_are_read_and_its_lines_open_it(folder, tmp_path, monkeypatch):
    found = inspect_file(folder, verify=True)
    assert (found.safety, found.structure) == (SAFE, WHOLE), found
    assert {(e.name, e.shape, e.dtype, e.bytes) for e in found.entries} == {
        ("model.a", (2, 3), "float32", 24),
        ("model.b", (4,), "bfloat16", 8),
    }
    assert set(found.names.values()) == {"allowed"} and len(found.names) > 5
    assert found.size == sum(path.stat().st_size for path in folder.iterdir())
    assert found.bytes_checked == WHOLE
    monkeypatch.chdir(tmp_path)
    Path("model.pt").write_text("somebody's")
    loaded = run(found.opens)["state_dict"]["model"]
    assert Path("model.pt").read_text() == "somebody's"
    assert {path.name for path in tmp_path.iterdir()} == {"model.pt", "run"}
    assert all(torch.equal(loaded[name], TENSORS[name]) for name in TENSORS)


@pytest.mark.parametrize(
    ("outer", "inner"), [((), {}), (("model",), {}), (("a", 0), {"n": 1})]
)
def test_what_wrappers_left_is_named_and_taken_out(tmp_path, outer, inner):
    state = {f"module.{name}": tensor for name, tensor in TENSORS.items()}
    optimizer = {"state": {"module.a": {"exp_avg": TENSORS["a"]}}}
    if outer == ("a", 0):
        state = {"a": [state, 3], **inner}
    elif outer:
        state = {"model": state, "optimizer": optimizer}
    dcp.save(state, checkpoint_id=tmp_path / "run", no_dist=True)
    found = inspect_file(tmp_path / "run")
    words = "Names hold 'module.', which nn.DataParallel leaves."
    assert [note for note in found.notes if "Names" in note] == [words]
    values = run(found.opens)
    assert set(values["state" if outer else "state_dict"]) == TENSORS.keys()
    assert "optimizer" in values["state_dict"] or outer != ("model",)


ODD = [([], 1), (), "x", (1.5, "a"), (Path("x"), "a"), (("t",), "a"), 3]


@pytest.mark.parametrize("keys", ODD)
def test_keys_that_are_none_get_no_line(folder, keys):
    metadata = pickle.loads((folder / ".metadata").read_bytes())
    metadata.planner_data = dict.fromkeys(("model.a", "model.b"), keys)
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))
    found = inspect_file(folder)
    assert (found.structure, found.safety) == (WHOLE, SAFE)
    assert found.opens[-1].startswith("    state_dict = ")


def test_the_key_around_the_weights_is_no_wrapper(folder):
    found = inspect_file(folder)
    assert not [note for note in found.notes if "Names" in note]
    assert found.opens[-1] == "state = state_dict['model']"
    assert set(run(found.opens)["state"]) == TENSORS.keys()


PLAIN = {"epoch": 3, "best": 0.5, "by": "me", "seen": {1, 2}, "none": None}


class Payload:
    def __reduce__(self):
        return os.system, ("touch it-ran",)


class Mine:
    pass


def test_entries_that_are_no_tensors_are_pickles_and_are_followed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    state = {**PLAIN, **TENSORS, "rng": [torch.ones(5)]}
    dcp.save({"run": state}, checkpoint_id="run", no_dist=True)
    found = inspect_file("run")
    assert (found.safety, found.structure) == (SAFE, WHOLE), found
    shown = {".".join(key.split(".")[:2]) for key in found.values}
    assert shown == {f"run.{key}" for key in PLAIN}
    shown = [found.values[f"run.{key}"] for key in ("epoch", "best", "by")]
    assert shown == ["3", "0.5", "'me'"]
    assert found.names["builtins.set"] == "allowed"
    assert {e.name for e in found.entries} == {"run.a", "run.b", "run.rng.0"}
    loaded = run(found.opens)["state_dict"]["run"]
    assert {key: loaded[key] for key in PLAIN} == PLAIN


@pytest.mark.parametrize("value", [Payload(), [1, {"deep": Payload()}]])
def test_an_entry_that_would_run_code_is_unsafe_and_runs_none(tmp_path, monkeypatch, value):
    monkeypatch.chdir(tmp_path)
    dcp.save({"epoch": 3, "x": value, **TENSORS}, checkpoint_id="run", no_dist=True)
    found = inspect_file("run", verify=True)
    assert (found.safety, found.structure, found.opens) == (UNSAFE, WHOLE, [])
    assert found.safety_why == f"it asks for {os.system.__module__}.system"
    assert found.names[f"{os.system.__module__}.system"] == "dangerous"
    assert any("is named by its entry 'x" in note for note in found.notes)
    assert found.values["epoch"] == "3" and len(found.entries) == 2
    assert not (tmp_path / "it-ran").exists()


def test_an_entry_of_an_unknown_class_is_not_called_safe(tmp_path):
    dcp.save({"x": Mine(), **TENSORS}, checkpoint_id=tmp_path, no_dist=True)
    found = inspect_file(tmp_path)
    assert (found.safety, found.opens) == (UNKNOWN, [])
    assert found.safety_why == f"it asks for {__name__}.Mine"


def with_entry(folder, data: bytes):
    """Put other bytes in the place of the first entry."""
    (path,) = folder.glob("*.distcp")
    metadata = torch.distributed.checkpoint.FileSystemReader(folder).read_metadata()
    for index, place in metadata.storage_data.items():
        if index.fqn == "epoch":
            place.offset, place.length = path.stat().st_size, len(data)
    path.write_bytes(path.read_bytes() + data)
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))
    return folder


def legacy(value) -> bytes:
    torch.save(value, file := io.BytesIO(), _use_new_zipfile_serialization=False)
    return file.getvalue()


def packed(value) -> bytes:
    torch.save(value, file := io.BytesIO())
    with zipfile.ZipFile(new := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        for name in (old := zipfile.ZipFile(file)).namelist():
            archive.writestr(name, old.read(name))
    return new.getvalue()


@pytest.fixture
def mixed(tmp_path):
    dcp.save({"epoch": 3, **TENSORS}, checkpoint_id=tmp_path / "run", no_dist=True)
    return tmp_path / "run"


@pytest.mark.parametrize("dump", [pickle.dumps, legacy, lambda x: pickle.dumps(x, 0)])
def test_an_entry_in_another_form_of_pickle_is_followed_too(mixed, dump):
    found = inspect_file(with_entry(mixed, dump(Payload())))
    assert found.safety == UNSAFE and "system" in found.safety_why
    assert inspect_file(with_entry(mixed, dump({"a": 1}))).safety == SAFE


@pytest.mark.parametrize(
    ("data", "verdict"),
    [(packed(3), UNSAFE), (b"hello", UNKNOWN), (b"", UNKNOWN), (b"PK\3\4", UNKNOWN)],
)
def test_an_entry_that_cannot_be_followed_is_not_called_safe(mixed, data, verdict):
    found = inspect_file(with_entry(mixed, data))
    assert (found.safety, found.opens) == (verdict, [])
    assert "its entry 'epoch'" in refused(found)


def test_an_entry_that_another_library_packed_is_not_called_safe(mixed):
    metadata = torch.distributed.checkpoint.FileSystemReader(mixed).read_metadata()
    for place in metadata.storage_data.values():
        place.transform_descriptors = ["stream.zstd/1"]
    (mixed / ".metadata").write_bytes(pickle.dumps(metadata))
    found = inspect_file(mixed, verify=True)
    assert (found.safety, found.opens) == (UNKNOWN, [])
    assert found.safety_why == "its entry 'epoch': packed by ['stream.zstd/1']"
    assert found.bytes_checked == "not all of its entries have checksums"


def test_a_list_that_hides_entries_is_unsafe(mixed):
    reader = torch.distributed.checkpoint.FileSystemReader(mixed)
    data = pickle.dumps(reader.read_metadata(), 2)
    assert inspect_file(mixed).safety == SAFE
    # The object is filled once more, with nothing: torch adds that to what is there.
    (mixed / ".metadata").write_bytes(data[:-1] + b"}b.")
    assert reader.read_metadata().state_dict_metadata
    assert "are not shown in its list" in refused(inspect_file(mixed))


def hidden(metadata):
    """Return pickles of the same list, in which an entry could be overlooked."""
    entries = metadata.state_dict_metadata
    names = ("state_dict_metadata", "planner_data", "storage_data")
    yield Called(Metadata, *(getattr(metadata, name) for name in names))
    metadata.state_dict_metadata = Called(OrderedDict, list(entries.items()))
    yield metadata
    metadata.state_dict_metadata = entries
    metadata.storage_data = Called(OrderedDict, list(metadata.storage_data.items()))
    yield metadata


class Called:
    def __init__(self, *how):
        self.how = how

    def __reduce__(self):
        return self.how[0], self.how[1:]


def test_a_list_in_another_form_is_not_called_safe(mixed):
    reader = torch.distributed.checkpoint.FileSystemReader(mixed)
    for metadata in hidden(reader.read_metadata()):
        (mixed / ".metadata").write_bytes(pickle.dumps(metadata))
        assert len(reader.read_metadata().state_dict_metadata) == 3, "torch reads it"
        found = inspect_file(mixed)
        assert (found.safety, found.opens) == (UNKNOWN, [])
        assert "is not as torch writes it" in refused(found)


def test_a_list_of_an_older_torch_is_read(mixed):
    metadata = torch.distributed.checkpoint.FileSystemReader(mixed).read_metadata()
    older = sharded_tensor.metadata.TensorProperties(dtype=torch.bfloat16)
    metadata.state_dict_metadata["b"].properties = older
    (mixed / ".metadata").write_bytes(pickle.dumps(metadata))
    found = inspect_file(mixed)
    assert found.safety == SAFE and any("MEM_FORMAT" in name for name in found.names)
    assert {e.name: e.dtype for e in found.entries} == {"a": "float32", "b": "bfloat16"}


def test_a_class_that_says_it_is_a_tensors_is_looked_at_by_its_name(mixed):
    """torch unpickles each entry that is a BytesStorageMetadata, whatever it says."""
    reader = torch.distributed.checkpoint.FileSystemReader(mixed)
    metadata = with_entry(mixed, pickle.dumps(Payload())) and reader.read_metadata()
    metadata.state_dict_metadata["epoch"].size = torch.Size([1])
    (mixed / ".metadata").write_bytes(pickle.dumps(metadata))
    assert inspect_file(mixed).safety == UNSAFE


def test_entries_that_overlap_or_are_nowhere_are_damage(mixed):
    reader = torch.distributed.checkpoint.FileSystemReader(mixed)
    metadata = reader.read_metadata()
    metadata.state_dict_metadata["more"] = metadata.state_dict_metadata["epoch"]
    (mixed / ".metadata").write_bytes(pickle.dumps(metadata))
    assert "does not say where 'more' is" in refused(inspect_file(mixed))
    (index,) = [index for index in metadata.storage_data if index.fqn == "epoch"]
    place = metadata.storage_data[index]
    metadata.storage_data[replace(index, fqn="more")] = replace(
        place, length=place.length + 1
    )
    (mixed / ".metadata").write_bytes(pickle.dumps(metadata))
    assert "entries overlap in its file" in refused(inspect_file(mixed))


def test_verify_finds_a_flipped_bit(mixed):
    found = inspect_file(mixed, verify=True)
    assert (found.structure, found.bytes_checked) == (WHOLE, WHOLE)
    assert "Its list, .metadata, has no checksum." in found.notes
    (path,) = mixed.glob("*.distcp")
    data = bytearray(path.read_bytes())
    data[data.index(torch.ones(6).numpy().tobytes())] ^= 1
    path.write_bytes(data)
    assert inspect_file(mixed).structure == WHOLE
    found = inspect_file(mixed, verify=True)
    assert (found.structure, found.bytes_checked) == (DAMAGED, DAMAGED)
    assert "its entry 'a': record" in found.structure_why


@pytest.mark.parametrize("value", [Payload(), [Payload(), {}]])
def test_a_list_that_would_run_code_runs_none(folder, monkeypatch, value):
    monkeypatch.chdir(folder)
    (folder / ".metadata").write_bytes(pickle.dumps(value))
    found = inspect_file(folder)
    assert found.safety == UNSAFE and not found.opens
    assert found.safety_why == f"it asks for {os.system.__module__}.system"
    assert not (folder / "it-ran").exists()


def test_an_unknown_name_is_named(folder):
    data = (folder / ".metadata").read_bytes()
    (folder / ".metadata").write_bytes(
        data.replace(b"TensorProperties", b"TensorPropertieX")
    )
    found = inspect_file(folder)
    assert found.safety != SAFE and "metadata.TensorPropertieX" in found.safety_why


def test_files_that_are_missing_or_cut_short_are_named(folder):
    part = folder / "__0_0.distcp"
    part.write_bytes(part.read_bytes()[:-1])
    assert "its file '__0_0.distcp' was cut short" in refused(inspect_file(folder))
    part.unlink()
    assert "its file '__0_0.distcp' is missing" in refused(inspect_file(folder))
    data = (folder / ".metadata").read_bytes()
    (folder / ".metadata").write_bytes(data.replace(b"__0_0.distcp", b"../_0.distcp"))
    assert "outside its folder" in refused(inspect_file(folder))


@pytest.mark.parametrize("pattern", [".metadata", "*.distcp"])
def test_damaged_folders_end_in_a_sentence(mixed, pattern):
    (path,) = mixed.glob(pattern)
    for new in mutations(path.read_bytes()):
        path.write_bytes(new)
        inspect_file(mixed)


def test_a_list_too_long_to_follow_is_not_judged(folder, monkeypatch):
    def too_long():
        found = inspect_file(folder)
        assert (found.safety, found.structure, found.opens) == (UNKNOWN, UNKNOWN, [])
        assert (
            found.structure_why == "its list of tensors, .metadata, is too long to follow"
        )

    short = partial(follow, most=100)
    monkeypatch.setattr("helpers.model_files.distributed_folders.follow", short)
    too_long()
    monkeypatch.undo()
    with (folder / ".metadata").open("r+b") as file:
        file.truncate(1 << 30)
    too_long()


def test_a_list_of_many_parts_is_followed(folder):
    """Each of many processes saves its part of each tensor: that makes long lists."""
    reader = torch.distributed.checkpoint.FileSystemReader(folder)
    metadata = reader.read_metadata()
    metadata.planner_data = [None] * 3_000_001
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))
    assert inspect_file(folder).safety == SAFE
