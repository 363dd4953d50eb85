"""Small files of every kind that torch and pickle write, and hostile ones beside them."""

import io
import os
import pickle
import tarfile
import zipfile
from collections import OrderedDict

import torch
from torch import nn

from helpers.checkpoints import save_checkpoint


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def trained():
    model = net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    model(torch.randn(5, 3)).sum().backward()
    optimizer.step()
    return model, optimizer


class Own(nn.Module):
    """A model whose class is nobody's but the author's."""

    def __init__(self):
        super().__init__()
        self.inner = net()

    def forward(self, x):
        return self.inner(x)


class Runs:
    """Runs a command when it is unpickled; the command leaves a file."""

    def __init__(self, function=os.system, *arguments):
        self.call = function, arguments or ("touch EXECUTED",)

    def __reduce__(self):
        return self.call


# Every sort of plain value, and a call that must stay one.
VARIED = {"a": [1, -5, 2**70, 1.5, "ä", b"x", (1, 2, 3), None], "b": {"c": Runs()}, 3: ()}


def saved(value, **options) -> bytes:
    torch.save(value, file := io.BytesIO(), **options)
    return file.getvalue()


def scripted() -> bytes:
    torch.jit.save(torch.jit.script(net().eval()), file := io.BytesIO())
    return file.getvalue()


def exported() -> bytes:
    program = torch.export.export(net().eval(), (torch.randn(2, 3),))
    torch.export.save(program, file := io.BytesIO())
    return file.getvalue()


def ours(tmp_path) -> bytes:
    model, optimizer = trained()
    path = tmp_path / "ours.pt"
    save_checkpoint(path, model=model, optimizer=optimizer, epoch=3)
    return path.read_bytes()


def repacked(data: bytes, change=lambda name, data: data, **options) -> bytes:
    """Return an archive in which each record went through `change`; None drops it."""
    with zipfile.ZipFile(io.BytesIO(data)) as old:
        records = [(info.filename, old.read(info)) for info in old.infolist()]
    with zipfile.ZipFile(file := io.BytesIO(), "w", **options) as new:
        for name, content in records:
            if (changed := change(name, content)) is not None:
                new.writestr(name, changed)
    return file.getvalue()


def with_pickle(pickled: bytes, **options) -> bytes:
    """Return a file of torch.save with another pickle in it."""
    sound = saved(net().state_dict())
    return repacked(
        sound, lambda name, data: pickled if name.endswith("data.pkl") else data, **options
    )


def legacy(value) -> bytes:
    return saved(value, _use_new_zipfile_serialization=False)


def tar() -> bytes:
    with tarfile.open(fileobj=(file := io.BytesIO()), mode="w") as archive:
        for name in ("sys_info", "pickle", "tensors", "storages"):
            data = pickle.dumps(OrderedDict(a=1), 2)
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def wrapped(prefix: str) -> OrderedDict:
    return OrderedDict((prefix + name, value) for name, value in net().state_dict().items())


def states() -> dict:
    """Return name -> (value to be saved, words of its report, path to the weights)."""
    model, optimizer = trained()
    state, inner = model.state_dict(), optimizer.state_dict()
    by_key = {
        key: ({key: state, "epoch": 7}, f"its weights stand under '{key}'")
        for key in ("state_dict", "model_state_dict", "model", "net", "ema", "params_ema")
    }
    return {
        "bare": (state, "a bare state dict"),
        **by_key,
        "lightning": (
            {"state_dict": state, "pytorch-lightning_version": "2.5.0", "epoch": 7},
            "a checkpoint of Lightning",
        ),
        "timm": (
            {"state_dict": state, "arch": "resnet18", "version": 2, "optimizer": inner},
            "a checkpoint of timm",
        ),
        "imagenet": (
            {"state_dict": state, "arch": "resnet18", "best_acc1": 0.5, "optimizer": inner},
            "the ImageNet example",
        ),
        "mmengine": ({"state_dict": state, "meta": {}}, "a checkpoint of mmengine"),
        "deepspeed": ({"module": state, "ds_version": "0.15"}, "a checkpoint of DeepSpeed"),
        "deep": ({"run": {"weights": state}, "epoch": 7}, "stand under 'run.weights'"),
    }
