"""ONNX files: read with their weights, written as a whole."""

import os
from pathlib import Path
from stat import S_ISDIR

import onnx
import pytest
import torch
from torch import nn

from helpers import atomic
from helpers.onnx_export import export_onnx, read_onnx, session
from helpers.onnx_export.files import atomic_path


@pytest.mark.skipif(os.name != "posix", reason="Windows flushes a folder by itself")
def test_file_and_folder_are_flushed_at_each_move(tmp_path, monkeypatch):
    happened, fsync, replace = [], os.fsync, Path.replace

    def recorded_fsync(descriptor):
        happened.append("folder" if S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def recorded_replace(self, target):
        happened.append("move")
        return replace(self, target)

    monkeypatch.setattr(atomic.os, "fsync", recorded_fsync)
    monkeypatch.setattr(Path, "replace", recorded_replace)
    with atomic_path(tmp_path / "m.onnx") as new:
        new.write_bytes(b"model")
        new.with_name("m.onnx.data").write_bytes(b"weights")
    assert happened == ["file", "move", "folder"] * 2


def test_a_file_that_is_not_onnx_is_named(tmp_path):
    path = tmp_path / "m.onnx"
    with pytest.raises(FileNotFoundError, match="there is no such file; export the model"):
        session(path)
    for data in (b"not a model", b"", b"\x08"):
        path.write_bytes(data)
        for read in (read_onnx, session):
            with pytest.raises(ValueError, match=r"m\.onnx is not an ONNX file"):
                read(path)


def test_weights_that_are_missing_or_outside_the_folder_are_named(tmp_path):
    folder = tmp_path / "inside"
    folder.mkdir()
    path = folder / "m.onnx"
    export_onnx(nn.Linear(400, 50), torch.zeros(2, 400), path, external_data=True)
    [weights] = set(folder.iterdir()) - {path}
    weights.rename(tmp_path / weights.name)
    for read in (read_onnx, session):
        with pytest.raises(FileNotFoundError, match=f"weights in {weights.name}, which is"):
            read(path)
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = f"../{weights.name}"
    path.write_bytes(model.SerializeToString())
    for read in (read_onnx, session):
        with pytest.raises(ValueError, match="not a plain file in its own folder"):
            read(path)
