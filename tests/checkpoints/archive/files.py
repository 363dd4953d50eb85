"""Files for the tests of the archive, and all that can be asked of one."""

import zipfile
from pathlib import Path

import pytest
import torch

from helpers.checkpoints.archive.container import map_archive, open_archive, seal
from helpers.checkpoints.archive.errors import CheckpointError
from helpers.checkpoints.archive.pickles import read_structure

VALUES = {"weight": torch.arange(100.0), "bias": torch.ones(3), "epoch": 7}

RESTORE = "Restore it from a copy, or go back to an older checkpoint."


def saved(path: Path, value=VALUES, **options) -> Path:
    torch.save(value, path, **options)
    return path


def sealed(path: Path) -> Path:
    with saved(path).open("r+b") as file, map_archive(path, file) as archive:
        seal(archive, file)
    return path


def check(path: Path) -> object:
    """All that this package can ask of a file."""
    with open_archive(path) as archive:
        archive.check_bookkeeping()
        archive.check_payload()
        return read_structure(archive)


def refused(path: Path, kind: type) -> str:
    with pytest.raises(CheckpointError) as caught:
        check(path)
    assert type(caught.value) is kind
    return str(caught.value)


def rewrite(path: Path, change=lambda name, data: data, compression=zipfile.ZIP_STORED):
    """Write the archive anew with other bytes in its records; all sums are right."""
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in records.items():
            archive.writestr(name, change(name, data))
