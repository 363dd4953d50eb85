"""Write the file that a GPU machine would write, and see what torch says without a GPU.

The parts of `helpers.devices` for trying things out, which is where to begin reading.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor

from helpers.arguments import type_of


def hide_cuda() -> AbstractContextManager:
    """Return a context in which `torch.cuda.is_available()` is False.

    What a machine without a GPU says can then be seen on any machine.
    """
    return mock.patch("torch.cuda.is_available", return_value=False)


# While a file is written here: the device to name in it, and the storages that a GPU
# machine keeps on the CPU. A ContextVar, so that a save in another thread is not touched.
_pretended: ContextVar[tuple[str, set[int]] | None] = ContextVar("_pretended", default=None)


def _tag(storage: torch.UntypedStorage) -> str | None:
    pretended = _pretended.get()
    if pretended is None:
        return None
    device, on_cpu = pretended
    return "cpu" if storage.data_ptr() in on_cpu else device


# torch asks each registered tagger for the name to write; None leaves it to the next.
# https://docs.pytorch.org/docs/stable/notes/serialization.html
torch.serialization.register_package(0, _tag, lambda storage, location: None)


def make_gpu_checkpoint(
    state_dict: Mapping, path: str | os.PathLike, device: str = "cuda:0"
) -> Path:
    """Write the file that `torch.save` would write on a machine with a GPU.

    torch.save writes it. Only the device differs that each storage's entry in the archive's
    `data.pkl` names: ("storage", type, key, "cuda:0", elements) instead of "cpu". Adam's
    `step` counters keep "cpu", as they do on a GPU machine.

    Args:
        state_dict: a state dict, or a checkpoint with dicts and lists of tensors inside.
        path: where to write; an existing file is overwritten.
        device: "cuda:0", "xpu:0", "mps" or another of these kinds.

    Returns:
        The path.

    Raises:
        TypeError: state_dict is no dict, or path no path.
        ValueError: the device is no GPU's, or there is no tensor to be tagged.
    """
    if not isinstance(state_dict, Mapping):
        raise TypeError(
            f"state_dict is {type_of(state_dict)}; expected a dict: model.state_dict()"
        )
    path = Path(path)
    kind, colon, index = str(device).partition(":")
    if kind not in ("cuda", "xpu", "mps") or not (index.isdecimal() or not colon):
        raise ValueError(f"device is {device!r}; expected a GPU's, such as 'cuda:0'")
    tensors = list(_tensors_inside(state_dict))
    if not tensors:
        raise ValueError(
            "state_dict holds no tensor with values, so no device would be in the file"
        )
    on_cpu = {t.untyped_storage().data_ptr() for name, t in tensors if name == "step"}
    # torch writes an index for every kind but mps, of which there is one.
    name = "mps" if kind == "mps" else f"{kind}:{index or 0}"
    token = _pretended.set((name, on_cpu))
    try:
        torch.save(state_dict, path)
    finally:
        _pretended.reset(token)
    return path


def _tensors_inside(value: object, name: object = None) -> Iterator[tuple[object, Tensor]]:
    if isinstance(value, Tensor) and not value.is_meta:
        yield name, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _tensors_inside(inner, key)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _tensors_inside(inner, name)
