"""The fault lab: kills, flips, cuts, a full disk, two writers: nothing lost or unseen."""

import errno
import os
import subprocess
import sys

import psutil  # noqa: F401  # before the forks: in each child it would delay the save
import pytest
import torch
from torch import nn

from helpers.checkpoints import (
    CorruptCheckpointError,
    load_checkpoint,
    save_checkpoint,
    verify,
)
from helpers.classroom.faults import (
    PAGE,
    bookkeeping_offsets,
    flip,
    kill_while_saving,
    payload_offsets,
    truncate,
    zero_page,
)
from tests import ROOT

posix = pytest.mark.skipif(
    os.name != "posix", reason="SIGKILL, fork and file size limits are not in Windows"
)


def model(version):
    """All of its values are the version: a mixture of two shows."""
    layer = nn.Linear(300, 600)
    for parameter in layer.parameters():
        nn.init.constant_(parameter, float(version))
    return layer


def version_of(layer):
    versions = torch.cat([p.detach().flatten() for p in layer.parameters()]).unique()
    if len(versions) != 1:
        raise ValueError("values of two versions")
    return int(versions)


def save(path, version):
    save_checkpoint(path, model=model(version))


def load(path):
    layer = model(-1)
    load_checkpoint(path, model=layer)
    return version_of(layer)


def torch_save(path, version):
    torch.save(model(version).state_dict(), path)


def torch_load(path):
    layer = model(-1)
    layer.load_state_dict(torch.load(path, weights_only=True))
    return version_of(layer)


# Killed in the middle of a save


@posix
def test_200_kills_lose_nothing_and_the_next_save_cleans_up(tmp_path):
    path = tmp_path / "a.pt"
    counts = kill_while_saving(save, load, path, trials=200, seed=1)
    assert counts["lost"] == 0 and sum(counts.values()) == 200
    # A kill before and after the rename: the trials did hit the save.
    assert counts["old"] > 20 and counts["new"] > 5
    save(path, 7)
    assert os.listdir(tmp_path) == ["a.pt"] and load(path) == 7


@posix
def test_torch_save_in_place_does_lose_both(tmp_path):
    """The trials bite: without the rename, files are lost."""
    counts = kill_while_saving(torch_save, torch_load, tmp_path / "a.pt", trials=40)
    assert counts["lost"] > 0


# Damaged on the disk


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "a.pt"
    layer = nn.Sequential(nn.Linear(100, 60), nn.Linear(60, 10))
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.rand(2, 100)).sum().backward()
    optimizer.step()
    return save_checkpoint(path, model=layer, optimizer=optimizer)


def found(path):
    """Whether loading says that the file is damaged, and leaves the model as it was."""
    layer = nn.Sequential(nn.Linear(100, 60), nn.Linear(60, 10))
    before = [p.detach().clone() for p in layer.parameters()]
    with pytest.raises(CorruptCheckpointError) as caught:
        load_checkpoint(path, model=layer)
    assert str(path) in str(caught.value)
    return all(map(torch.equal, before, layer.parameters()))


@pytest.mark.parametrize("offsets", [payload_offsets, bookkeeping_offsets])
def test_200_of_200_flipped_bits_are_found(tmp_path, checkpoint, offsets):
    path = tmp_path / "a.pt"
    path.write_bytes(checkpoint.read_bytes())
    count = 0
    for k, offset in enumerate(offsets(path, 200, seed=2)):
        flip(path, offset, bit=k % 8)
        count += found(path)
        flip(path, offset, bit=k % 8)
    assert count == 200
    assert verify(path).missing == ()


def test_torch_load_finds_none_of_200_flipped_payload_bits(tmp_path, checkpoint):
    """Why the checks are needed; should this fail one day, say so in notebook 02."""
    path = tmp_path / "a.pt"
    torch.save(torch.load(checkpoint, weights_only=True), path)
    silent = 0
    for offset in payload_offsets(path, 200, seed=2):
        flip(path, offset)
        silent += torch.load(path, weights_only=True) is not None
        flip(path, offset)
    assert silent == 200


def test_a_file_cut_at_any_of_20_places_is_found(tmp_path, checkpoint):
    whole = checkpoint.read_bytes()
    path = tmp_path / "a.pt"
    sizes = [*range(0, len(whole), len(whole) // 16), len(whole) - 1, len(whole) - 86, 1, 4]
    assert len(sizes) >= 20
    for size in sizes:
        path.write_bytes(whole)
        truncate(path, size)
        assert found(path)


def test_every_zeroed_page_is_found(tmp_path, checkpoint):
    whole = checkpoint.read_bytes()
    path = tmp_path / "a.pt"
    pages = range(-(-len(whole) // PAGE))
    assert len(pages) > 10
    for page in pages:
        path.write_bytes(whole)
        zero_page(path, page)
        assert path.read_bytes() != whole and found(path)


# The disk is full


@posix
@pytest.mark.parametrize("limit", [0, 1000, 100_000, 740_000])
def test_a_file_size_limit_leaves_the_old_file_and_no_other(tmp_path, limit):
    import resource

    path = tmp_path / "a.pt"
    save(path, 1)
    size = path.stat().st_size
    assert limit < size < 745_000
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(OSError) as caught:
            save_checkpoint(path, model=model(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.errno == errno.EFBIG
    message = f"cannot save {path}: the file would exceed the largest size allowed here. "
    assert message in str(caught.value) and " bytes are needed; " in str(caught.value)
    assert os.listdir(tmp_path) == ["a.pt"] and load(path) == 1


# Several processes


WRITER = """
import sys
from tests.checkpoints.test_crashes import save
print("ready", flush=True)
sys.stdin.readline()
for _ in range(40):
    save(sys.argv[1], int(sys.argv[2]))
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows does not replace a file that is open")
def test_two_writers_and_a_reader_never_see_a_mixture(tmp_path):
    path = tmp_path / "a.pt"
    save(path, 1)
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(version)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for version in (1, 2)
    ]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    seen = set()
    while any(writer.poll() is None for writer in writers):
        seen.add(load(path))
    assert [writer.wait() for writer in writers] == [0, 0]
    for writer in writers:
        writer.stdin.close()
        writer.stdout.close()
    assert seen <= {1, 2} and load(path) in (1, 2)
    assert os.listdir(tmp_path) == ["a.pt"]
