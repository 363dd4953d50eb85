"""Save a checkpoint: all of a training run, atomically, in types that load safely.

Save, Load, Ship 0.2.0: helpers/checkpoints/saving.py · repairs: CHANGELOG.md
"""

import os
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from helpers.arguments import require_module, type_of, whole_number
from helpers.atomic import atomic_write
from helpers.checkpoints.archive.container import map_archive, seal
from helpers.checkpoints.archive.errors import UnsafeCheckpointError
from helpers.checkpoints.archive.pickles import unsafe_globals
from helpers.training import capture_rng

FORMAT_VERSION = 1
KEYS = ("model", "optimizer", "scheduler", "rng", "epoch", "step", "metrics", "extra")
_LEAVES = (type(None), bool, int, float, str, bytes, torch.dtype, torch.device, torch.Size)
_TENSORS = (torch.Tensor, nn.Parameter, nn.Buffer)
_OVERHEAD = 4096


def save_checkpoint(
    path: str | os.PathLike,
    *,
    model: nn.Module,
    optimizer: torch.optim.Optimizer | None = None,
    scheduler: LRScheduler | None = None,
    epoch: int = 0,
    step: int = 0,
    metrics: Mapping[str, float] | None = None,
    rng: bool = True,
    architecture: Mapping[str, Any] | None = None,
    extra: Any = None,
) -> Path:
    """Save a training run and return the path.

    The path then holds the run whole, or what it held before.

    Args:
        path: where to; the folder must exist.
        model: its state dict is saved.
        optimizer: over parameters of the model.
        scheduler: the learning rate's.
        epoch: epochs finished.
        step: optimizer steps taken.
        metrics: name -> number; NumPy numbers and one-element tensors become plain ones.
        rng: whether to save the states of the random number generators.
        architecture: what to build the model from again, such as {"width": 24}.
        extra: anything else: numbers, strings, tensors, and containers of those.

    Raises:
        TypeError: the model is not a module, the optimizer or the scheduler has no state
            dict, or the metrics are not a dict.
        ValueError: something cannot be loaded again with weights_only=True, or the
            optimizer holds a parameter that is not the model's. Nothing was written.
        RuntimeError: torch.save refuses, as where two tensors of different dtypes share
            their memory. Nothing was written.
        OSError: the file cannot be written; what was at the path is unchanged.

    >>> from tempfile import TemporaryDirectory
    >>> model = nn.Linear(3, 2)
    >>> with TemporaryDirectory() as folder:
    ...     path = save_checkpoint(f"{folder}/run.pt", model=model, epoch=3, step=90)
    ...     torch.load(path, weights_only=True)["epoch"]
    3
    """
    path = Path(path)
    require_module(model)
    if path.suffix == ".safetensors":
        raise ValueError(
            f"{path}: torch.load expects another format with this suffix; use .pt"
        )
    epoch = whole_number("epoch", epoch, least=0)
    step = whole_number("step", step, least=0)
    for name, value in (("optimizer", optimizer), ("scheduler", scheduler)):
        if value is not None and not hasattr(value, "state_dict"):
            raise TypeError(f"{name} is {type_of(value)}; expected one with a state_dict()")
    if not isinstance(metrics, Mapping | None):
        raise TypeError(f"metrics is {type_of(metrics)}; expected a dict: name -> number")
    metrics = {name: _number(name, value) for name, value in (metrics or {}).items()}
    metadata = _metadata(model, optimizer, scheduler, metrics, architecture)
    payload = {
        "model": model.state_dict(),
        "optimizer": None if optimizer is None else optimizer.state_dict(),
        "scheduler": None if scheduler is None else scheduler.state_dict(),
        "rng": capture_rng() if rng else None,
        "epoch": epoch,
        "step": step,
        "metrics": metrics,
        "extra": extra,
        "metadata": metadata,
    }
    storages: dict[int, int] = {}
    for key, value in payload.items():
        _check_plain(value, key, storages)
    with atomic_write(path, sum(storages.values()) + _OVERHEAD) as file:
        _write(path, payload, file)
    return path


def _metadata(
    model: nn.Module,
    optimizer: torch.optim.Optimizer | None,
    scheduler: LRScheduler | None,
    metrics: dict[str, float],
    architecture: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return what the file says about itself, in plain types alone."""
    shapes = {name: tuple(value.shape) for name, value in model.named_parameters()}
    metadata: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "torch": str(torch.__version__),  # itself a class that weights_only refuses
        "time": datetime.now(UTC).isoformat(),
        "architecture": {"class": type(model).__name__, "config": architecture},
        "parameters": shapes,
        "optimizer": None,
        "scheduler": None,
        "metrics": metrics,
    }
    if optimizer is not None:
        groups = group_names(model, optimizer)
        metadata["optimizer"] = {"class": type(optimizer).__name__, "groups": groups}
    if scheduler is not None:
        metadata["scheduler"] = {"class": type(scheduler).__name__}
    return metadata


def group_names(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[list[str]]:
    """Return, for each of the optimizer's groups, the names of its parameters.

    An optimizer's own state dict knows only their positions.

    Raises:
        ValueError: a parameter is not the model's.

    >>> model = nn.Linear(3, 2)
    >>> group_names(model, torch.optim.SGD(model.parameters(), lr=0.1))
    [['weight', 'bias']]
    """
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    try:
        return [[names[id(p)] for p in group["params"]] for group in optimizer.param_groups]
    except KeyError:
        raise ValueError(
            "the optimizer holds a parameter that is not the model's, so its state could "
            "not be matched by name; pass a module that holds all of them, such as "
            "nn.ModuleDict"
        ) from None


def _number(name: str, value: Any) -> Any:
    """Return NumPy's and torch's numbers as plain ones."""
    with suppress(ValueError, RuntimeError):  # more than one number
        if hasattr(value, "item"):
            value = value.item()
    if not isinstance(value, int | float):
        raise ValueError(f"metrics[{name!r}] is {type_of(value)}; expected one number")
    return value


def _check_plain(value: Any, where: str, storages: dict[int, int]) -> None:
    """Raise ValueError for what weights_only refuses; collect address -> bytes."""
    kind = type(value)
    if kind in _TENSORS:
        if value.is_meta:
            raise ValueError(f"{where} is on the meta device: it has no values to save")
        if value.layout is torch.strided:
            storage = value.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
    elif kind in (dict, OrderedDict):
        for key, entry in value.items():
            _check_plain(key, f"a key of {where}", storages)
            _check_plain(entry, f"{where}[{key!r}]", storages)
    elif kind in (list, tuple, set):
        for position, entry in enumerate(value):
            _check_plain(entry, f"{where}[{position}]", storages)
    elif kind not in _LEAVES and kind not in torch.serialization.get_safe_globals():
        raise ValueError(
            f"{where} is of type {kind.__module__}.{kind.__qualname__}, which torch.load "
            "refuses with weights_only=True; save plain numbers, strings and tensors in "
            "its place, such as float(x), str(x), x.isoformat() or torch.tensor(x)"
        )


def _write(path: Path, payload: dict[str, Any], file: BinaryIO) -> None:
    with_crc = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(True)
    try:
        torch.save(payload, file)
    except RuntimeError as error:
        # When a write fails or is interrupted, torch.save's own clean-up fails as well.
        if "unexpected pos" in str(error) and error.__context__ is not None:
            raise error.__context__ from None
        raise
    finally:
        torch.serialization.set_crc32_options(with_crc)
    file.flush()
    with map_archive(path, file) as archive:
        try:
            names = unsafe_globals(archive)
        except UnsafeCheckpointError as error:
            raise ValueError(str(error)) from error
        if names:
            raise ValueError(f"the checkpoint holds {', '.join(names)}")
        seal(archive, file)
