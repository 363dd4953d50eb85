"""A folder of torch.distributed.checkpoint: what its pickle lists, without running it."""

import os
import pickle

import pytest
import torch
import torch.distributed.checkpoint as dcp

from helpers.model_files.distributed_folders import read_dcp
from helpers.model_files.file_findings import SAFE, UNKNOWN, UNSAFE, WHOLE
from tests.model_files.readers import mutations, read, refused, run

TENSORS = {"a": torch.ones(2, 3), "b": torch.zeros(4, dtype=torch.bfloat16)}


@pytest.fixture
def folder(tmp_path):
    dcp.save({"model": TENSORS}, checkpoint_id=tmp_path / "run", no_dist=True)
    return tmp_path / "run"


def test_its_tensors_are_read_and_its_lines_open_it(folder, tmp_path, monkeypatch):
    found = read(read_dcp, folder, verify=True)
    assert (found.safety, found.structure) == (SAFE, WHOLE), found
    assert {(e.name, e.shape, e.dtype, e.bytes) for e in found.entries} == {
        ("model.a", (2, 3), "float32", 24),
        ("model.b", (4,), "bfloat16", 8),
    }
    assert set(found.names.values()) == {"allowed"} and len(found.names) > 5
    assert found.size == sum(path.stat().st_size for path in folder.iterdir())
    assert found.bytes_checked == "the format has no checksums"
    monkeypatch.chdir(tmp_path)
    loaded = run(found.opens)["state_dict"]["model"]
    assert all(torch.equal(loaded[name], TENSORS[name]) for name in TENSORS)


def test_entries_that_are_no_tensors_are_pickles(tmp_path):
    dcp.save({"epoch": 3, **TENSORS}, checkpoint_id=tmp_path, no_dist=True)
    found = read(read_dcp, tmp_path)
    assert (found.safety, found.opens) == (UNKNOWN, [])
    assert found.safety_why == "'epoch' is a pickle in its files, which loading runs"
    assert found.values == {"pickled entries": "epoch"}


class Payload:
    def __reduce__(self):
        return os.system, ("touch it-ran",)


@pytest.mark.parametrize("value", [Payload(), [Payload(), {}]])
def test_a_list_that_would_run_code_runs_none(folder, monkeypatch, value):
    monkeypatch.chdir(folder)
    (folder / ".metadata").write_bytes(pickle.dumps(value))
    found = read(read_dcp, folder)
    assert found.safety == UNSAFE and not found.opens
    assert found.safety_why in (
        "its .metadata asks for posix.system",
        "its .metadata asks for nt.system",
    )
    assert not (folder / "it-ran").exists()


def test_an_unknown_name_is_named(folder):
    data = (folder / ".metadata").read_bytes()
    (folder / ".metadata").write_bytes(
        data.replace(b"TensorProperties", b"TensorPropertieX")
    )
    found = read(read_dcp, folder)
    assert found.safety != SAFE and "metadata.TensorPropertieX" in found.safety_why


def test_files_that_are_missing_or_cut_short_are_named(folder):
    part = folder / "__0_0.distcp"
    part.write_bytes(part.read_bytes()[:-1])
    assert "its file '__0_0.distcp' was cut short" in refused(read(read_dcp, folder))
    part.unlink()
    assert "its file '__0_0.distcp' is missing" in refused(read(read_dcp, folder))
    data = (folder / ".metadata").read_bytes()
    (folder / ".metadata").write_bytes(data.replace(b"__0_0.distcp", b"../_0.distcp"))
    assert "outside its folder" in refused(read(read_dcp, folder))


def test_damaged_lists_end_in_a_sentence(folder):
    path = folder / ".metadata"
    for new in mutations(path.read_bytes()):
        path.write_bytes(new)
        read(read_dcp, folder)


def test_a_list_of_gigabytes_is_refused(folder):
    with (folder / ".metadata").open("r+b") as file:
        file.truncate(1 << 30)
    assert "is larger than" in refused(read(read_dcp, folder))
