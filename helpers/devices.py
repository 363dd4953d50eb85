"""Where tensors live: choose a device, and load a state dict onto it.

A `.pt` file names, for each storage, the device that it was saved from, and `torch.load`
puts it back there unless `map_location` says otherwise.

Save, Load, Ship 0.2.0: helpers/devices.py · repairs: CHANGELOG.md
"""

import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from helpers.arguments import require_module
from helpers.model_files.recognizing import recognize
from helpers.state_dicts import tensors_of
from helpers.state_dicts.kinds import kind_of
from helpers.state_dicts.restoring import all_or_nothing, what_is_left
from helpers.state_dicts.written import unwritten


class BestDevice(NamedTuple):
    """The device to use, and why this one.

    >>> BestDevice(torch.device("cpu"), "torch was built without CUDA").device
    device(type='cpu')
    """

    device: torch.device
    reason: str


def available_devices() -> list[torch.device]:
    """Return every device that tensors can be put on here, the fastest kind first.

    >>> available_devices()[-1]
    device(type='cpu')
    """
    devices = []
    if torch.cuda.is_available():  # AMD's ROCm answers to this name, too
        devices += [torch.device("cuda", k) for k in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        devices.append(torch.device("mps", 0))
    if torch.xpu.is_available():
        devices += [torch.device("xpu", k) for k in range(torch.xpu.device_count())]
    return [*devices, torch.device("cpu")]


def best_device() -> BestDevice:
    """Return the first of cuda, mps, xpu and cpu that is available, with the reason.

    >>> device, reason = best_device()
    >>> nn.Linear(3, 2).to(device).weight.device.type == device.type
    True
    """
    device = available_devices()[0]
    if device.type == "cuda":
        reason = f"an NVIDIA or AMD GPU is available: {torch.cuda.get_device_name(device)}"
    elif device.type == "mps":
        reason = "no CUDA device, but Apple's GPU is available (MPS)"
    elif device.type == "xpu":
        reason = f"no CUDA or MPS, but an Intel GPU: {torch.xpu.get_device_name(device)}"
    elif torch.version.cuda or torch.version.hip:
        reason = "torch was built for a GPU, but finds none: check the driver"
    else:
        # The usual surprise on a machine with a GPU: pip took the build without CUDA.
        reason = "torch finds no GPU, and was built without CUDA"
    return BestDevice(device, reason)


def load_to_device(
    model: nn.Module, path: str | Path, device: str | torch.device
) -> nn.Module:
    """Load a state dict's file into the model, move the model to the device, return it.

    The result is that of `model.to(device)` and `model.load_state_dict(...)`, with hooks
    and extra state, but all or nothing: names and shapes must fit exactly, and whatever
    fails leaves the model unchanged, on the device where it was. Where a class of its own
    or shared memory can keep torch from writing, it is compared with the file. Parameters
    stay the same objects, so an optimizer that was built before still trains them; its own
    state stays where it was. Dtypes are converted to the model's. The file is read with
    `weights_only=True`. Until all is loaded, a second copy of the model's state is held.

    Args:
        model: has the names and shapes that the file has; not on the meta device, and
            without lazy layers that have seen no batch yet.
        path: a file that `torch.save(model.state_dict(), path)` wrote, on any device.
        device: such as "cpu", "cuda:0", "mps".

    Raises:
        TypeError: the model is not a module, or the file does not hold a state dict.
        ValueError: the device is not available, the model has tensors without memory or
            shape, or the file is damaged or not safe to open.
        FileNotFoundError, PermissionError: the file does not exist, or cannot be opened.
        RuntimeError: names, shapes or kinds do not fit, torch cannot write to a tensor
            (made by `expand`), or one that is tied has two values in the file; torch's own
            text, with the path.

    >>> from tempfile import TemporaryDirectory
    >>> saved, model = nn.Linear(3, 2), nn.Linear(3, 2)
    >>> with TemporaryDirectory() as folder:
    ...     torch.save(saved.state_dict(), path := Path(folder, "model.pt"))
    ...     model = load_to_device(model, path, "cpu")
    >>> torch.equal(saved.weight, model.weight)
    True
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
    try:
        with all_or_nothing(model):
            _load(model, device, state_dict)
    except RuntimeError as error:
        error.add_note(f"{path} does not fit; {what_is_left(error)}")
        raise
    return model


def _load(model: nn.Module, device: torch.device, state_dict: Mapping[str, Any]) -> None:
    model.to(device)
    model.load_state_dict(state_dict, strict=True)
    targets, values = dict(_loaded_plainly(model)), {}
    for name, tensor in targets.items():
        value = state_dict.get(name)
        if isinstance(value, Tensor) and _is_comparable(tensor, value):
            # Files of torch 0.3 have one number as a row of one.
            values[name] = value[0] if (tensor.dim(), value.shape) == (0, (1,)) else value
    if lost := unwritten(targets, values):
        raise RuntimeError(
            f"{lost} does not hold what the file holds: torch copied another value "
            "into the same memory (tied weights?), or the tensor's class, "
            f"{type(targets[lost]).__name__}, cannot be copied into"
        )


def _loaded_plainly(model: nn.Module, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield what torch's own code loads; hooks may rightly change the file's values."""
    loaders = (type(model).load_state_dict, type(model)._load_from_state_dict)
    is_torchs = all(loader.__module__.startswith("torch.") for loader in loaders)
    hooks = (model._load_state_dict_pre_hooks, model._load_state_dict_post_hooks)
    if any(hooks) or not is_torchs:
        return
    yield from model.named_parameters(prefix, recurse=False, remove_duplicate=False)
    yield from model.named_buffers(prefix, recurse=False, remove_duplicate=False)
    for name, module in model._modules.items():  # one that is shared by each of its names
        if module is not None:
            yield from _loaded_plainly(module, f"{prefix}.{name}" if prefix else name)


def _is_comparable(tensor: Tensor, value: Tensor) -> bool:
    """Return whether it is clear what must be held; only a class knows how it converts."""
    kinds = kind_of(tensor), kind_of(value)
    return kinds[0] == kinds[1] and (not kinds[0] or tensor.dtype == value.dtype)


def _require_device(device: str | torch.device) -> torch.device:
    available = available_devices()
    names = ", ".join(map(str, available))
    try:
        wanted = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"device is {device!r}; expected one of: {names}") from error
    # Without an index, "cuda" means the current one; "mps" is the same as "mps:0".
    if not any(
        d.type == wanted.type and wanted.index in (None, d.index or 0) for d in available
    ):
        raise ValueError(
            f"device {str(wanted)!r} is not available; this machine has: {names}"
        )
    return wanted


def _read(path: Path) -> Mapping[str, Tensor]:
    if not path.exists():
        raise FileNotFoundError(f"there is no file at {path}")
    found = recognize(path)
    if path.is_dir():
        raise FileNotFoundError(f"there is no file at {path}, but {found}")
    if found.kind not in ("torch zip", "legacy torch"):
        raise ValueError(f"{path} is not a .pt file but {found}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        # torch's text proposes weights_only=False, which is how a crafted file gets to run:
        # it is not to stand above ours either.
        raise ValueError(
            f"{path} is not a .pt file, or holds more than tensors (a whole model?); save "
            "model.state_dict() instead. Tensors of another library (torchao) load once it "
            "is imported. What else is in it says: python -m helpers inspect FILE"
        ) from None
    except PermissionError:  # its own text says enough, and names the file
        raise
    except Exception as error:  # RuntimeError, EOFError, KeyError: depends on the damage
        first = next(iter(str(error).splitlines()), "").partition(" weights_only")[0]
        raise ValueError(
            f"{path} is damaged or not a .pt file ({type(error).__name__}: {first})"
        ) from error
    try:
        return tensors_of(content, path.name)
    except TypeError as error:
        error.add_note("load_to_device reads a file that holds a state dict alone")
        raise
