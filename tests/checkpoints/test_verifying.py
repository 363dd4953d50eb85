"""Verifying: what a file guarantees, and whether it is one of ours."""

import zipfile

import pytest
import torch

from helpers.checkpoints import (
    CorruptCheckpointError,
    IncompatibleCheckpointError,
    load_checkpoint,
    read_metadata,
    save_checkpoint,
    verify,
)
from helpers.classroom.faults import flip, payload_offsets
from tests.checkpoints.runs import Net, problem_of


def test_metadata_is_read_without_the_tensors(tmp_path):
    path = save_checkpoint(tmp_path / "a.pt", model=Net())
    flip(path, payload_offsets(path, 1)[0])
    assert read_metadata(path)["architecture"]["class"] == "Net"
    with pytest.raises(CorruptCheckpointError):
        verify(path)


def test_verify_says_that_every_byte_is_checked(tmp_path):
    path = save_checkpoint(tmp_path / "a.pt", model=Net(), rng=False)
    found = verify(path)
    assert (found.missing, found.verifiable) == ((), True)
    with zipfile.ZipFile(path) as archive:
        records = len(archive.namelist())
    assert (found.path, found.size, found.records) == (path, path.stat().st_size, records)
    assert str(found) == f"a.pt: {records} records, every byte is checked"


def test_verify_says_what_a_file_of_torch_save_does_not_guarantee(tmp_path):
    path = tmp_path / "a.pt"
    torch.save({"weight": torch.ones(30)}, path)
    found = verify(path)
    assert found.verifiable
    assert found.missing == (
        "no digest of headers and directory: changes there may go unseen",
    )
    flip(path, payload_offsets(path, 1)[0])
    with pytest.raises(CorruptCheckpointError):
        verify(path)


def test_a_file_without_checksums_is_called_unverifiable(tmp_path):
    path = tmp_path / "a.pt"
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"weight": torch.ones(30)}, path)
    finally:
        torch.serialization.set_crc32_options(True)
    found = verify(path)
    assert not found.verifiable
    assert str(found).endswith(
        "no CRC-32 of the records (switched off when it was saved): unverifiable"
    )
    for read in (lambda: read_metadata(path), lambda: load_checkpoint(path, model=Net())):
        with pytest.raises(IncompatibleCheckpointError) as caught:
            read()
        assert str(caught.value) == (
            f"{path} has no CRC-32 of the records (switched off when it was saved): "
            "unverifiable. If you trust it, save it again: "
            "torch.save(torch.load(path, weights_only=True), new_path)."
        )


# Files of somebody else


def test_a_checkpoint_by_hand_is_whole_and_not_ours(tmp_path):
    path = tmp_path / "a.pt"
    torch.save({"epoch": 3, "model_state_dict": Net().state_dict(), "loss": 0.1}, path)
    assert problem_of(path, model=Net()) == (
        f"{path} was not written by save_checkpoint: it holds the keys epoch, "
        "model_state_dict, loss. Read it by hand: torch.load(path, weights_only=True), "
        "then load_state_dict of each part."
    )
    torch.save([1, 2], path)
    assert "it holds a list" in problem_of(path, model=Net())


def test_a_later_format_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("helpers.checkpoints.saving.FORMAT_VERSIONS", (3, 4))
    path = save_checkpoint(tmp_path / "a.pt", model=Net())
    assert problem_of(path, model=Net()) == (
        f"{path} has format version 3; this code reads 1 and 2. Read it with the version "
        "of the helpers that wrote it."
    )


@pytest.mark.parametrize(
    ("content", "held"),
    [(torch.ones(2), "a tensor"), ({}, "nothing"), ({"a": 1}, "the keys a"), (3, "a int")],
)
def test_what_another_writer_put_in_is_said(tmp_path, content, held):
    torch.save(content, path := tmp_path / "a.pt")
    with pytest.raises(IncompatibleCheckpointError, match=rf": it holds {held}\. Read it"):
        read_metadata(path)
