"""Is a `.pt` whole? Every change of a byte is found."""

import os
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.checkpoints.archive.container import open_archive
from helpers.checkpoints.archive.errors import CheckpointError, CorruptCheckpointError
from tests.checkpoints.archive.files import RESTORE, VALUES, check, refused, saved, sealed

# A good file


def test_records_are_where_the_file_says(tmp_path):
    path = saved(tmp_path / "a.pt")
    with open_archive(path) as archive:
        data = path.read_bytes()
        record = archive.records["data/0"]
        expected = VALUES["weight"].numpy().tobytes()
        assert data[record.start : record.end] == expected == archive.read("data/0")
        assert archive.has_crcs and not archive.sealed


def test_a_sealed_file_is_read_by_plain_torch_load(tmp_path):
    path = sealed(tmp_path / "a.pt")
    for mmap in (False, True):
        loaded = torch.load(path, weights_only=True, mmap=mmap)
        assert torch.equal(loaded["weight"], VALUES["weight"])
    with zipfile.ZipFile(path) as archive:
        assert archive.comment.startswith(b"save-load-ship sha256 ")
        assert archive.testzip() is None
    with open_archive(path) as archive:
        assert archive.sealed


# Damage


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_flipped_bit_of_a_sealed_file_is_found(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp()
    whole = folder / "whole.pt"
    if not whole.exists():
        sealed(whole)
    content = bytearray(whole.read_bytes())
    offset = data.draw(st.integers(0, len(content) - 1), "offset")
    content[offset] ^= 1 << data.draw(st.integers(0, 7), "bit")
    path = folder / "flipped.pt"
    path.write_bytes(content)
    refused(path, CorruptCheckpointError)


def test_a_flipped_payload_byte_names_its_record_and_both_sums(tmp_path):
    path = saved(tmp_path / "a.pt")
    with open_archive(path) as archive:
        record = archive.records["data/0"]
    content = bytearray(path.read_bytes())
    content[record.start + 5] ^= 1
    path.write_bytes(content)
    message = refused(path, CorruptCheckpointError)
    assert message.startswith(
        f"{path} is damaged: record 'data/0' of 400 bytes has CRC-32 "
    )
    assert message.endswith(f" instead of {record.crc:08x}. {RESTORE}")


def test_a_flipped_byte_between_records_is_found_through_the_digest(tmp_path):
    path = sealed(tmp_path / "a.pt")
    content = bytearray(path.read_bytes())
    content[10] ^= 1  # the time of day in the first header: nobody reads it
    path.write_bytes(content)
    assert refused(path, CorruptCheckpointError) == (
        f"{path} is damaged: its headers or its directory are not those that were "
        f"written. {RESTORE}"
    )


CUT = (
    "is damaged: the directory of its zip archive does not end where the file ends. The "
    f"file was cut short, something follows it, or its last bytes changed. {RESTORE}"
)


def test_a_file_that_was_cut_or_goes_on_says_so(tmp_path):
    content = sealed(tmp_path / "whole.pt").read_bytes()
    path = tmp_path / "a.pt"
    for other in (content[:-1], content[: len(content) // 2], content[:5], content + b"x"):
        path.write_bytes(other)
        assert refused(path, CorruptCheckpointError) == f"{path} {CUT}"


def test_the_digest_cannot_be_cut_off_unseen(tmp_path):
    content = sealed(tmp_path / "whole.pt").read_bytes()
    path = tmp_path / "a.pt"
    path.write_bytes(content[:-86])
    assert refused(path, CorruptCheckpointError) == f"{path} {CUT}"


def test_large_files_are_checked_on_two_threads_and_every_record_is(tmp_path):
    values = [torch.randint(255, (1_500_000,), dtype=torch.uint8) for _ in range(4)]
    path = saved(tmp_path / "large.pt", values)
    check(path)
    whole = path.read_bytes()
    with open_archive(path) as archive:
        ends = [archive.records[f"data/{k}"].end for k in range(4)]
    for end in ends:
        content = bytearray(whole)
        content[end - 1] ^= 1
        path.write_bytes(content)
        assert "CRC-32" in refused(path, CorruptCheckpointError)


def test_nothing_stays_open_after_an_error(tmp_path):
    if sys.platform != "linux":
        pytest.skip("open files are listed under /proc on Linux only")
    path = saved(tmp_path / "a.pt")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with pytest.raises(CheckpointError):
            check(path)
    assert len(os.listdir("/proc/self/fd")) == before
    assert str(path) not in Path("/proc/self/maps").read_text()
