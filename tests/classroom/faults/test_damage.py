"""Damage on purpose does what it says: no more, no less."""

import os
import re

import nbformat
import pytest
import torch

from helpers.classroom import faults
from tests import ROOT

NOTEBOOK = ROOT / "notebooks" / "02_training_checkpoints.ipynb"
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows cannot fork")


def test_flip_changes_one_bit_and_twice_is_nothing(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"\x00\x01\x02")
    faults.flip(path, 1, bit=7)
    assert path.read_bytes() == b"\x00\x81\x02"
    faults.flip(path, 1, bit=7)
    assert path.read_bytes() == b"\x00\x01\x02"


@pytest.mark.parametrize(("offset", "bit"), [(3, 0), (-1, 0), (0, 8)])
def test_flip_names_a_bit_that_is_not_there(tmp_path, offset, bit):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    with pytest.raises(ValueError) as caught:
        faults.flip(path, offset, bit)
    assert str(caught.value) == f"{path} has 3 bytes of 8 bits; no bit {bit} of {offset}"


def test_truncate_keeps_the_beginning(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abcdef")
    faults.truncate(path, 2)
    assert path.read_bytes() == b"ab"
    for size in (3, -1):
        with pytest.raises(ValueError) as caught:
            faults.truncate(path, size)
        assert str(caught.value) == f"{path} has 2 bytes; it cannot be cut to {size}"
    assert path.read_bytes() == b"ab"


def test_zero_page_keeps_the_size(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"x" * 10)
    faults.zero_page(path, 2, page_size=4)
    assert path.read_bytes() == b"x" * 8 + b"\0\0"
    faults.zero_page(path, 0, page_size=4)
    assert path.read_bytes() == b"\0" * 4 + b"x" * 4 + b"\0\0"
    for page in (3, -1):
        with pytest.raises(ValueError, match=f"has no page {page}"):
            faults.zero_page(path, page, page_size=4)


def test_offsets_are_of_values_or_of_bookkeeping(tmp_path):
    path = tmp_path / "a.pt"
    torch.save({"a": torch.full((500,), 1.5), "b": torch.full((500,), 1.5)}, path)
    data = path.read_bytes()
    value = torch.tensor(1.5).numpy().tobytes()
    start, end = data.index(value * 500), data.rindex(value * 500) + 2000
    inside = faults.payload_offsets(path, 300, seed=1)
    assert len(inside) == 300 and all(start <= offset < end for offset in inside)
    assert {data[offset] for offset in inside} == set(value)
    outside = faults.bookkeeping_offsets(path, 300, seed=1)
    assert not set(outside) & set(inside)
    assert min(outside) < start and max(outside) > end
    assert (
        faults.payload_offsets(path, 300, seed=1)
        == inside
        != faults.payload_offsets(path, 300, seed=2)
    )


def write(path, version):
    path.write_text(str(version))


def read(path):
    return int(path.read_text())


@forks
def test_a_save_that_is_one_step_is_never_lost(tmp_path):
    def save(path, version):
        write(path.with_suffix(".new"), version)
        os.replace(path.with_suffix(".new"), path)

    counts = faults.kill_while_saving(save, read, tmp_path / "a", trials=20)
    assert counts["lost"] == 0 and sum(counts.values()) == 20


@forks
def test_a_save_that_first_empties_the_file_is_lost(tmp_path):
    def save(path, version):
        import time

        # Long, beside what a busy machine lets a process wait before it can kill.
        with open(path, "w") as file:
            time.sleep(0.2)
            file.write(str(version))

    counts = faults.kill_while_saving(save, read, tmp_path / "a", trials=12)
    assert list(counts) == ["old", "new", "lost"]
    assert counts["lost"] > 3 and sum(counts.values()) == 12


@forks
def test_a_save_that_does_not_work_is_told_apart(tmp_path):
    with pytest.raises(RuntimeError) as caught:
        faults.kill_while_saving(lambda path, version: 1 / 0, read, tmp_path / "a")
    assert str(caught.value) == (
        "the crash trials stopped: RuntimeError: save fails without being killed"
    )
    with pytest.raises(RuntimeError) as caught:
        faults.kill_while_saving(write, lambda path: 3, tmp_path / "a")
    assert str(caught.value) == (
        "the crash trials stopped: RuntimeError: saved version 1, and version 3 was loaded"
    )


def test_without_fork_it_says_so(tmp_path, monkeypatch):
    monkeypatch.delattr(faults.os, "fork", raising=False)
    with pytest.raises(OSError) as caught:
        faults.kill_while_saving(write, read, tmp_path / "a")
    assert str(caught.value) == "the crash trials fork a process, which Windows cannot do"


def test_notebook_02_shows_the_same_crash_trials_in_both_places():
    """Neither output is compared; kept from two runs they would contradict each other."""
    cells = {cell.id: cell for cell in nbformat.read(NOTEBOOK, 4).cells}
    lost = re.search(r"'lost': (\d+)", cells["crash-plain"].outputs[0].text)[1]
    table = cells["survive-table"].outputs[0].data["text/plain"]
    assert re.search(r"lost by kill -9 +(\d+)", table)[1] == lost
