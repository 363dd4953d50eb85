"""Where tensors live: choose a device, load a state dict onto it, meet a GPU's file.

A `.pt` file names, for each storage, the device that it was saved from, and `torch.load`
puts it back there unless `map_location` says otherwise. `make_gpu_checkpoint` writes such
a file on a machine without a GPU.
"""

import copy
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from helpers.arguments import require_module
from helpers.classroom.faults.gpu_files import hide_cuda, make_gpu_checkpoint
from helpers.state_dicts import tensors_of

__all__ = [
    "BestDevice",
    "available_devices",
    "best_device",
    "hide_cuda",
    "load_to_device",
    "make_gpu_checkpoint",
]


class BestDevice(NamedTuple):
    """The device to use, and why this one."""

    device: torch.device
    reason: str


def available_devices() -> list[torch.device]:
    """Return every device that tensors can be put on here, the fastest kind first."""
    devices = []
    if torch.cuda.is_available():  # AMD's ROCm answers under this name, too
        devices += [torch.device("cuda", k) for k in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        devices.append(torch.device("mps", 0))
    if torch.xpu.is_available():
        devices += [torch.device("xpu", k) for k in range(torch.xpu.device_count())]
    return [*devices, torch.device("cpu")]


def best_device() -> BestDevice:
    """Return the first of cuda, mps, xpu and cpu that is there, with the reason."""
    device = available_devices()[0]
    if device.type == "cuda":
        reason = f"an NVIDIA or AMD GPU is there: {torch.cuda.get_device_name(device)}"
    elif device.type == "mps":
        reason = "no CUDA device, but Apple's GPU is there (MPS)"
    elif device.type == "xpu":
        reason = f"no CUDA or MPS, but an Intel GPU: {torch.xpu.get_device_name(device)}"
    elif torch.version.cuda or torch.version.hip:
        reason = "torch was built for a GPU, but finds none: look at the driver"
    else:
        # The usual surprise on a machine with a GPU: pip took the build without CUDA.
        reason = "torch finds no GPU, and was built without CUDA"
    return BestDevice(device, reason)


def load_to_device(
    model: nn.Module, path: str | Path, device: str | torch.device
) -> nn.Module:
    """Load a state dict's file into the model, and move the model to the device.

    All or nothing: names and shapes must fit exactly, and whatever fails leaves the model
    as it was, on the device where it was. The parameters stay the same objects, so an
    optimizer that was built before still trains them; its own state stays where it was.
    Dtypes are converted to the model's, as `load_state_dict` does. The file is read with
    `weights_only=True`. A second copy of the model is held until it is whole. Its
    parameters and buffers are taken over, and nothing else that a load hook may set.

    Args:
        model: has the names and shapes that the file has; not on the meta device, and
            without lazy layers that have seen no batch yet.
        path: a file that `torch.save(model.state_dict(), path)` wrote, on any device.
        device: such as "cpu", "cuda:0", "mps".

    Returns:
        The same model, for chaining, as `model.to` does.

    Raises:
        TypeError: the model is no module, or the file holds something else than a state
            dict.
        ValueError: the device is not there, the model has tensors without memory or
            shape, or the file is damaged or none that is safe to open.
        FileNotFoundError, PermissionError: the file is not there, or cannot be opened.
        RuntimeError: names or shapes do not fit; torch's own text, with the path.
    """
    require_module(model)
    device = _require_device(device)
    own = (*model.parameters(), *model.buffers())
    if any(map(nn.parameter.is_lazy, own)):
        # Its first batch would give it new random weights in place of the file's.
        raise ValueError("model has lazy layers: run one batch through it first")
    if any(tensor.is_meta for tensor in own):
        raise ValueError(
            "model has tensors on the meta device, without memory; "
            f"call model.to_empty(device={str(device)!r}) first"
        )
    state_dict = _read(Path(path))
    trial = copy.deepcopy(model)
    try:
        trial.load_state_dict(state_dict, strict=True)
    except RuntimeError as error:
        error.add_note(f"{path} does not fit; the model is unchanged")
        raise
    _adopt(model, trial.to(device))
    return model


def _require_device(device: str | torch.device) -> torch.device:
    there = available_devices()
    names = ", ".join(map(str, there))
    try:
        wanted = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"device is {device!r}; expected one of: {names}") from error
    # Without an index, "cuda" means the current one; "mps" is the same as "mps:0".
    if not any(
        d.type == wanted.type and wanted.index in (None, d.index or 0) for d in there
    ):
        raise ValueError(f"device {str(wanted)!r} is not there; this machine has: {names}")
    return wanted


def _read(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file at {path}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's text proposes weights_only=False, which is how a crafted file gets to run.
        raise ValueError(
            f"{path} is no .pt file, or holds more than tensors (a whole model?); save "
            "model.state_dict() instead"
        ) from error
    except PermissionError:  # says all that is to be said, and names the file
        raise
    except Exception as error:  # RuntimeError, EOFError, KeyError ...: by the damage
        first = next(iter(str(error).splitlines()), "")
        raise ValueError(
            f"{path} is damaged or no .pt file ({type(error).__name__}: {first})"
        ) from error
    try:
        return tensors_of(content, path.name)
    except TypeError as error:
        error.add_note("load_to_device reads a file that holds one state dict alone")
        raise


def _adopt(model: nn.Module, trial: nn.Module) -> None:
    """Let every parameter and buffer of the model take over its copy's memory."""
    parameters, buffers = [], []
    for ours, theirs in zip(model.parameters(), trial.parameters(), strict=True):
        grad = None if ours.grad is None else ours.grad.to(theirs.device)
        parameters.append((ours, (ours.data, ours.grad), (theirs.data, grad)))
    for ours, theirs in zip(model.modules(), trial.modules(), strict=True):
        buffers.append((ours._buffers, dict(ours._buffers), dict(theirs._buffers)))

    def put(which: int) -> None:
        for row in parameters:
            row[0].data, row[0].grad = row[which]
        for row in buffers:
            row[0].update(row[which])

    try:
        put(2)
    except BaseException:  # Ctrl-C, too
        put(1)
        raise
