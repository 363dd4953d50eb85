"""Files of a GPU machine, written without one: torch's own, but for the device's name."""

import copy
import pickletools
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from helpers.classroom.faults.gpu_files import hide_cuda, make_gpu_checkpoint
from helpers.state_dicts import compare
from tests import ROOT


def small_net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


@pytest.fixture
def without_gpus(monkeypatch):
    """Make this machine, whatever it has, one without a GPU."""
    for module in (torch.cuda, torch.xpu):
        monkeypatch.setattr(module, "is_available", lambda: False)


def tags(path: Path) -> list[str]:
    """Return the device that each storage names in the file, read from its pickle."""
    with zipfile.ZipFile(path) as archive:
        [name] = [n for n in archive.namelist() if n.endswith("data.pkl")]
        code = archive.read(name)
    memo, texts, found = {}, [], []
    for opcode, argument, _ in pickletools.genops(code):
        if opcode.name == "BINUNICODE":
            texts.append(argument)
        elif opcode.name == "BINGET" and argument in memo:
            texts.append(memo[argument])
        elif opcode.name == "BINPUT":
            memo[argument] = texts[-1] if texts else None
        elif opcode.name == "BINPERSID":
            found.append(texts[-1])  # ("storage", type, key, device, elements)
    return found


@pytest.mark.parametrize(
    "device, tag",
    [
        *[("cuda:0", "cuda:0"), ("cuda", "cuda:0"), (torch.device("cuda", 1), "cuda:1")],
        *[("xpu:1", "xpu:1"), ("mps", "mps"), ("mps:0", "mps")],
    ],
)
def test_every_storage_names_the_gpu(tmp_path, device, tag):
    path = make_gpu_checkpoint(small_net().state_dict(), tmp_path / "gpu.pt", device)
    assert path == tmp_path / "gpu.pt"
    assert tags(path) == [tag] * 9


def test_only_the_tags_differ_from_what_torch_writes(tmp_path):
    state = small_net().state_dict()
    gpu = make_gpu_checkpoint(state, tmp_path / "net.pt")
    with zipfile.ZipFile(gpu) as archive:
        ours = {name: archive.read(name) for name in archive.namelist()}
    torch.save(state, gpu)
    with zipfile.ZipFile(gpu) as archive:
        theirs = {name: archive.read(name) for name in archive.namelist()}
    assert {n for n in ours if ours[n] != theirs.get(n)} == {
        "net/data.pkl",
        "net/.data/serialization_id",  # a digest over the records, so it differs too
    }
    assert ours.keys() == theirs.keys()
    assert tags(gpu) == ["cpu"] * 9


@pytest.mark.parametrize("device, name", [("cuda:0", "CUDA"), ("xpu:0", "XPU")])
def test_the_real_error_is_met_and_map_location_repairs_it(
    tmp_path, without_gpus, device, name
):
    state = small_net().state_dict()
    path = make_gpu_checkpoint(state, tmp_path / "gpu.pt", device)
    with pytest.raises(RuntimeError) as caught:
        torch.load(path, weights_only=True)
    assert str(caught.value).startswith(
        f"Attempting to deserialize object on a {name} device but "
        f"torch.{name.lower()}.is_available() is False."
    )
    repaired = torch.load(path, map_location="cpu", weights_only=True)
    assert compare(state, repaired).identical


def test_the_error_is_met_on_a_machine_with_a_gpu_as_well(tmp_path):
    path = make_gpu_checkpoint(small_net().state_dict(), tmp_path / "gpu.pt")
    with hide_cuda(), pytest.raises(RuntimeError, match=r"is_available\(\) is False"):
        torch.load(path, weights_only=True)


def test_a_checkpoint_is_tagged_inside_and_text_in_it_stays(tmp_path):
    net = small_net()
    optimizer = torch.optim.AdamW(net.parameters())
    net(torch.rand(5, 3)).sum().backward()
    optimizer.step()
    checkpoint = {"model": net.state_dict(), "optimizers": [optimizer.state_dict()]}
    checkpoint |= {"trained_on": "cpu", "losses": [torch.ones(1)]}
    before = copy.deepcopy(checkpoint)
    path = make_gpu_checkpoint(checkpoint, tmp_path / "gpu.pt")
    moments = ["cpu", "cuda:0", "cuda:0"] * 6  # step, exp_avg, exp_avg_sq
    assert tags(path) == ["cuda:0"] * 9 + moments + ["cuda:0"]
    back = torch.load(path, map_location="cpu", weights_only=True)
    assert back["trained_on"] == "cpu"
    assert compare(back["model"], before["model"]).identical
    assert compare(checkpoint["model"], before["model"]).identical


def test_later_saves_and_other_threads_are_not_tagged(tmp_path, monkeypatch):
    state = small_net().state_dict()
    real_save = torch.save

    def save_twice(content, path):
        other = threading.Thread(target=real_save, args=(content, tmp_path / "other.pt"))
        other.start()
        other.join()
        real_save(content, path)

    monkeypatch.setattr(torch, "save", save_twice)
    make_gpu_checkpoint(state, tmp_path / "gpu.pt")
    real_save(state, tmp_path / "later.pt")
    found = {name: set(tags(tmp_path / f"{name}.pt")) for name in ("gpu", "other", "later")}
    assert found == {"gpu": {"cuda:0"}, "other": {"cpu"}, "later": {"cpu"}}


def test_a_save_that_fails_leaves_no_tag_behind(tmp_path):
    state = small_net().state_dict()
    with pytest.raises(RuntimeError, match="Parent directory"):
        make_gpu_checkpoint(state, tmp_path / "no" / "gpu.pt")
    torch.save(state, tmp_path / "later.pt")
    assert set(tags(tmp_path / "later.pt")) == {"cpu"}


@pytest.mark.parametrize(
    "device", ["cpu", "meta", "gpu", "cuda:", "cuda:x", "cuda:-1", "", 0, None]
)
def test_only_a_gpu_can_be_named(tmp_path, device):
    with pytest.raises(ValueError) as caught:
        make_gpu_checkpoint(small_net().state_dict(), tmp_path / "gpu.pt", device)
    assert str(caught.value) == (f"device is {device!r}; expected a GPU, such as 'cuda:0'")
    assert not (tmp_path / "gpu.pt").exists()


def test_a_path_that_is_none_is_refused():
    with pytest.raises(TypeError, match="expected str, bytes"):
        make_gpu_checkpoint(small_net().state_dict(), None)


def test_what_holds_no_tensor_is_refused(tmp_path):
    for empty in ({"epoch": 3, "model": {}}, nn.Linear(1, 1, device="meta").state_dict()):
        with pytest.raises(ValueError, match="state_dict holds no tensor with values"):
            make_gpu_checkpoint(empty, tmp_path / "gpu.pt")
    with pytest.raises(TypeError, match=r"Linear; expected a dict: model\.state_dict"):
        make_gpu_checkpoint(nn.Linear(1, 1), tmp_path / "gpu.pt")


def test_importing_registers_nothing_in_torch():
    code = """
import torch
before = list(torch.serialization._package_registry)
import helpers.classroom.faults.gpu_files, helpers.devices
assert torch.serialization._package_registry == before
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_what_a_call_registers_is_taken_back_even_after_an_error(tmp_path):
    registry = torch.serialization._package_registry
    before = list(registry)
    make_gpu_checkpoint(small_net().state_dict(), tmp_path / "gpu.pt")
    with pytest.raises(RuntimeError, match="Parent directory"):
        make_gpu_checkpoint(small_net().state_dict(), tmp_path / "no" / "gpu.pt")
    assert torch.serialization._package_registry is registry and registry == before


def test_two_threads_each_write_their_own_device(tmp_path):
    registry, state = list(torch.serialization._package_registry), small_net().state_dict()
    devices = [f"cuda:{index}" for index in range(4)]
    threads = [
        threading.Thread(
            target=make_gpu_checkpoint, args=(state, tmp_path / f"{index}.pt", device)
        )
        for index, device in enumerate(devices)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [set(tags(tmp_path / f"{index}.pt")) for index in range(4)]
    assert found == [{device} for device in devices]
    assert torch.serialization._package_registry == registry
