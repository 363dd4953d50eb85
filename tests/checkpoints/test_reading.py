"""Reading: what map_location may be, and what is not the file's fault."""

import pytest
import torch
from torch import nn

from helpers.checkpoints import (
    CheckpointFolder,
    IncompatibleCheckpointError,
    load_checkpoint,
    reading,
    save_checkpoint,
)
from helpers.classroom.faults.gpu_files import make_gpu_checkpoint
from tests.checkpoints.runs import Net


def saved(folder):
    return save_checkpoint(folder / "a.pt", model=Net(), extra={"mean": torch.ones(3)})


@pytest.mark.parametrize(
    "place",
    [
        "cpu",
        "cpu:0",
        torch.device("cpu"),
        torch.device("cpu", 0),
        None,
        {"cpu": "cpu:0"},
        {"cuda:0": torch.device("cpu", 0), torch.device("cuda:1"): "cpu"},
        {"cuda:1": "cuda:97"},
        lambda storage, location: storage,
        lambda storage, location: None,
    ],
    # An address would differ from one worker to the other.
    ids=lambda place: getattr(place, "__name__", str(place)),
)
def test_every_way_to_say_cpu_is_taken(tmp_path, place):
    path = saved(tmp_path)
    model = Net()
    found = load_checkpoint(path, model=model, map_location=place)
    assert found.extra["mean"].device.type == "cpu" and found.extra["mean"].sum() == 3
    folder = CheckpointFolder(tmp_path / "runs", keep_best=0)
    folder.save(model=model)
    assert folder.load_latest(model=model, map_location=place).skipped == ()


@pytest.mark.parametrize(
    ("place", "kind", "message"),
    [
        ("nowhere", RuntimeError, "map_location is 'nowhere': Expected one of cpu, "),
        (torch.device("meta"), ValueError, "map_location is 'meta', where tensors have no"),
        ({"cpu": "meta"}, ValueError, "map_location is 'meta', where tensors have no"),
        (
            {"cpu": 0},
            TypeError,
            "map_location is of type int; expected a device, a dict, a",
        ),
        (
            0,
            TypeError,
            "map_location is of type int; expected a device, a dict, a function",
        ),
    ],
)
def test_what_no_tensor_can_go_to_is_refused_by_name(tmp_path, place, kind, message):
    path = saved(tmp_path)
    with pytest.raises(kind) as caught:
        load_checkpoint(path, model=Net(), map_location=place)
    assert str(caught.value).startswith(message)


def test_a_gpu_that_is_not_here_is_refused_by_the_arguments_name(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("here is a GPU")
    with pytest.raises(RuntimeError, match=r"^map_location is 'cuda': "):
        load_checkpoint(saved(tmp_path), model=Net(), map_location="cuda")


def test_a_function_that_fails_is_not_damage(tmp_path):
    def choose(storage, location):
        raise KeyError("rank 3")

    path = saved(tmp_path)
    with pytest.raises(RuntimeError) as caught:
        load_checkpoint(path, model=Net(), map_location=choose)
    assert str(caught.value) == (
        f"map_location is {choose!r}: {path} cannot go there: 'rank 3'"
    )


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (MemoryError("no room"), MemoryError, "no room"),
        (OSError(24, "Too many open files"), OSError, "Too many open files"),
        (
            AttributeError("module 'torch' has no attribute 'float3'"),
            IncompatibleCheckpointError,
            "{path}: its checksums are right, but torch {torch} cannot load it: module "
            "'torch' has no attribute 'float3'",
        ),
    ],
)
def test_what_torch_cannot_do_here_is_not_damage(
    tmp_path, monkeypatch, error, kind, message
):
    path = saved(tmp_path)

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(reading.torch, "load", fail)
    with pytest.raises(kind) as caught:
        load_checkpoint(path, model=Net())
    assert message.format(path=path, torch=torch.__version__) in str(caught.value)


def test_a_file_of_a_gpu_says_where_it_was_and_loads_on_a_cpu(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("here is a GPU")
    path = saved(tmp_path)
    content = torch.load(path, weights_only=True)
    make_gpu_checkpoint(content, path)
    load_checkpoint(path, model=Net())
    with pytest.raises(RuntimeError) as caught:
        load_checkpoint(path, model=nn.Sequential(), map_location=None)
    assert str(caught.value).startswith(
        f"map_location is None: {path} cannot go there: Attempting to deserialize object on"
    )
