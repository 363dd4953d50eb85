"""Write the file that a GPU machine would write, and see what torch says without a GPU."""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor

from helpers.arguments import type_of


def hide_cuda() -> AbstractContextManager:
    """Return a context in which `torch.cuda.is_available()` is False.

    What a machine without a GPU says can then be seen on any machine.

    >>> with hide_cuda():
    ...     torch.cuda.is_available()
    False
    """
    return mock.patch("torch.cuda.is_available", return_value=False)


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
        TypeError: state_dict is not a dict, or path is not a path.
        ValueError: the device is not a GPU, or there is no tensor to be tagged.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder, hide_cuda():
    ...     path = make_gpu_checkpoint({"weight": torch.ones(2)}, f"{folder}/gpu.pt")
    ...     try:
    ...         torch.load(path, weights_only=True)
    ...     except RuntimeError as error:
    ...         print(str(error).partition(" but ")[0])
    Attempting to deserialize object on a CUDA device
    """
    if not isinstance(state_dict, Mapping):
        raise TypeError(
            f"state_dict is {type_of(state_dict)}; expected a dict: model.state_dict()"
        )
    path = Path(path)
    kind, colon, index = str(device).partition(":")
    if kind not in ("cuda", "xpu", "mps") or not (index.isdecimal() or not colon):
        raise ValueError(f"device is {device!r}; expected a GPU, such as 'cuda:0'")
    tensors = list(_tensors_inside(state_dict))
    if not tensors:
        raise ValueError(
            "state_dict holds no tensor with values, so no device would be in the file"
        )
    on_cpu = {t.untyped_storage().data_ptr() for name, t in tensors if name == "step"}
    # torch writes an index for every kind but mps, of which there is one.
    name = "mps" if kind == "mps" else f"{kind}:{index or 0}"
    with _pretend(name, on_cpu):
        torch.save(state_dict, path)
    return path


_one_at_a_time = threading.Lock()


@contextmanager
def _pretend(device: str, on_cpu: set[int]) -> Iterator[None]:
    """Let what this thread saves name the device, except for the storages at `on_cpu`.

    torch asks each tagger in its registry for the name; None leaves it to the next one.
    https://docs.pytorch.org/docs/stable/notes/serialization.html
    """
    this_thread = threading.get_ident()

    def tag(storage: torch.UntypedStorage) -> str | None:
        if threading.get_ident() != this_thread:
            return None
        return "cpu" if storage.data_ptr() in on_cpu else device

    tagger = (0, tag, lambda storage, location: None)
    with _one_at_a_time:
        # A new list in place of the old one, which another thread may be walking through.
        taggers = [tagger, *torch.serialization._package_registry]
        with mock.patch.object(torch.serialization, "_package_registry", taggers):
            yield


def _tensors_inside(value: object, name: object = None) -> Iterator[tuple[object, Tensor]]:
    if isinstance(value, Tensor) and not value.is_meta:
        yield name, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _tensors_inside(inner, key)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _tensors_inside(inner, name)
