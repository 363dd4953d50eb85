"""The pickle of a `.pt`: its structure is read, and nothing in it is run."""

import os
import zipfile
from collections import OrderedDict

import torch
from torch import nn

from helpers.checkpoints.archive.errors import CorruptCheckpointError, UnsafeCheckpointError
from helpers.checkpoints.archive.pickles import StandIn
from tests.checkpoints.archive.files import VALUES, check, refused, rewrite, saved

# A good file


def test_the_structure_holds_plain_values_and_stand_ins_for_tensors(tmp_path):
    value = {
        "model": OrderedDict(weight=torch.ones(2, 3)),
        "half": torch.ones(4, dtype=torch.bfloat16),
        "small": torch.ones(4).to(torch.float8_e4m3fn),
        "parameter": nn.Parameter(torch.ones(2)),
        "plain": [1, 2.5, "text", None, True, (1, 2), 2**70, {3}],
        "size": torch.Size([2, 3]),
    }
    structure = check(saved(tmp_path / "a.pt", value))
    assert type(structure["model"]) is OrderedDict
    assert structure["plain"] == value["plain"] and structure["size"] == (2, 3)
    for tensor in (structure["model"]["weight"], structure["half"], structure["small"]):
        assert isinstance(tensor, StandIn)
    assert repr(structure["half"]) == "<torch._utils._rebuild_tensor_v2>"


def test_a_class_that_the_reader_allowed_is_allowed_here(tmp_path):
    path = saved(tmp_path / "a.pt", {"when": Custom(3)})
    assert "tests.checkpoints.archive.test_pickles.Custom" in refused(
        path, UnsafeCheckpointError
    )
    with torch.serialization.safe_globals([Custom]):
        assert isinstance(check(path)["when"], StandIn)


class Custom:
    def __init__(self, value):
        self.value = value


# Unsafe files


class Evil:
    """A pickle of it makes a file when it is opened."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_code_in_the_pickle_is_named_and_not_run(tmp_path):
    trap = tmp_path / "trap"
    path = saved(tmp_path / "evil.pt", {"model": VALUES, "extra": Evil(trap)})
    assert refused(path, UnsafeCheckpointError) == (
        f"{path} asks for {os.mkdir.__module__}.mkdir, which weights_only=True refuses. A "
        "whole pickled model does, and so does a file with code in it. Nothing in it was "
        "executed. Ask its author for model.state_dict() and plain values; or, if these "
        "are tensors of a library that you use (torchao), import it first."
    )
    assert not trap.exists()
    torch.load(path, weights_only=False)
    assert trap.exists(), "the trap would not have caught anything"


def test_a_whole_pickled_model_is_refused(tmp_path):
    path = saved(tmp_path / "model.pt", nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
    message = refused(path, UnsafeCheckpointError)
    assert "asks for torch.nn.modules.activation.ReLU, torch.nn.modules" in message


def test_a_pickle_with_unknown_instructions_is_refused(tmp_path):
    path = saved(tmp_path / "a.pt", pickle_protocol=4)
    assert refused(path, UnsafeCheckpointError) == (
        f"{path}: its pickle is not one that torch.save writes (Unsupported operand 149). "
        "Nothing in it was executed. It has pickle_protocol=4: "
        "helpers.model_files.inspect_file says whether it is safe, and by which lines it "
        "opens."
    )
    rewrite(path, lambda name, data: b"\x80\x02\xff" if name.endswith("pkl") else data)
    assert refused(path, UnsafeCheckpointError).endswith(
        "Nothing in it was executed. Do not open it with weights_only=False."
    )


def test_a_storage_larger_than_its_record_is_refused(tmp_path):
    path = saved(tmp_path / "a.pt", {"a": torch.ones(4), "b": torch.full((4,), 9.0)})
    # The number of elements stands behind the device's name: BININT1 4 becomes 50.
    rewrite(path, lambda name, data: data.replace(b"cpuq\x06K\x04", b"cpuq\x06K\x32"))
    assert refused(path, UnsafeCheckpointError) == (
        f"{path}: storage '0' claims 200 bytes, its record holds 16. torch.save never "
        "writes that: do not open the file."
    )


def test_a_missing_record_is_corrupt(tmp_path):
    path = saved(tmp_path / "a.pt")
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in records.items():
            if name != "a/data/1":
                archive.writestr(name, data)
    assert refused(path, CorruptCheckpointError) == (
        f"{path}: its pickle cannot be followed (KeyError: 'data/1'). "
        "Save it again with torch.save."
    )


def test_a_pickle_that_ends_in_the_middle_is_refused(tmp_path):
    path = saved(tmp_path / "a.pt")
    rewrite(path, lambda name, data: data[:40] if name.endswith("data.pkl") else data)
    assert refused(path, UnsafeCheckpointError).startswith(f"{path}: its pickle is not one")


def test_a_pickle_cannot_ask_for_much_memory(tmp_path):
    """The C unpickler would make room for two thousand million entries."""
    path = saved(tmp_path / "a.pt")
    bomb = b"\x80\x02}r\xff\xff\xff\x7f."  # put the dict at place 2**31 - 1
    rewrite(path, lambda name, data: bomb if name.endswith("data.pkl") else data)
    assert check(path) == {}
