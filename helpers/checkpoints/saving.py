"""Save a checkpoint: all of a training run, atomically, in types that load safely.

Save, Load, Ship 0.2.0: helpers/checkpoints/saving.py · repairs: CHANGELOG.md
"""

import os
import warnings
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from helpers.arguments import type_of, whole_number
from helpers.atomic import atomic_write
from helpers.checkpoints.archive.container import map_archive, seal
from helpers.checkpoints.archive.errors import UnsafeCheckpointError
from helpers.checkpoints.archive.pickles import unsafe_globals
from helpers.checkpoints.optimizers import inner_left_out
from helpers.checkpoints.parts import (
    Named,
    checked_parts,
    group_names,
    label,
    named_parameters,
    other_names,
)
from helpers.checkpoints.plain import PlainCheck
from helpers.checkpoints.schedulers import describe_scheduler
from helpers.training import capture_rng

# The second where parts were given by name, which older helpers cannot read.
FORMAT_VERSIONS = (1, 2)
KEYS = ("model", "optimizer", "scheduler", "rng", "epoch", "step", "metrics", "extra")
_OVERHEAD = 4096


def save_checkpoint(
    path: str | os.PathLike,
    *,
    model: nn.Module | Mapping[str, nn.Module],
    optimizer: Optimizer | Mapping[str, Optimizer] | None = None,
    scheduler: LRScheduler | Mapping[str, LRScheduler] | None = None,
    others: Mapping[str, Any] | None = None,
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
        model: its state dict is saved. Here and below, several go by name, such as
            {"generator": ..., "critic": ...}.
        optimizer: over parameters of the models. A warning names one inside it whose state
            its state dict lacks, as SAM's does.
        scheduler: the learning rate's.
        others: name -> any object with state_dict() and load_state_dict(): a GradScaler,
            a stateful data loader, an AveragedModel.
        epoch: epochs finished.
        step: optimizer steps taken.
        metrics: name -> number; NumPy numbers and one-element tensors become plain ones.
        rng: whether to save the states of the random number generators.
        architecture: what to build the model from again, such as {"width": 24}.
        extra: anything else: numbers, strings, tensors, and containers of those.

    Raises:
        TypeError: a model is not a module, another part has no state_dict() and
            load_state_dict(), or the metrics are not a dict.
        ValueError: something cannot be loaded again with weights_only=True or into its
            model, a lazy layer has no weights yet, or the optimizer holds a parameter that
            is not the model's. Nothing was written.
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
    parts = checked_parts(model, optimizer, scheduler, others)
    if path.suffix == ".safetensors":
        raise ValueError(
            f"{path}: torch.load expects another format with this suffix; use .pt"
        )
    epoch = whole_number("epoch", epoch, least=0)
    step = whole_number("step", step, least=0)
    if not isinstance(metrics, Mapping | None):
        raise TypeError(f"metrics is {type_of(metrics)}; expected a dict: name -> number")
    metrics = {name: _number(name, value) for name, value in (metrics or {}).items()}
    for part, objects in parts.items():
        for name, thing in objects.items():
            _refuse_lazy(label(part, name), thing)
    metadata = _metadata(parts, metrics, architecture)
    states = {part: _states(part, objects) for part, objects in parts.items()}
    known = {id(each) for objects in parts.values() for each in objects.values()}
    for name, thing in parts["optimizer"].items():
        for inner in inner_left_out(thing, states["optimizer"][name], known):
            warnings.warn(
                f"{label('optimizer', name)}: its state_dict() lacks the state of the "
                f"{inner} in it; save and load that as well, before it: "
                'optimizer={"inner": ..., "outer": ...}',
                stacklevel=2,
            )
    payload = {
        **{part: _as_given(states[part]) for part in ("model", "optimizer", "scheduler")},
        "rng": capture_rng() if rng else None,
        "epoch": epoch,
        "step": step,
        "metrics": metrics,
        "extra": extra,
        **({"others": states["others"]} if others else {}),
        "metadata": metadata,
    }
    check = PlainCheck()
    try:
        for name, thing in parts["others"].items():
            state, is_module = states["others"][name], isinstance(thing, nn.Module)
            check(state, label("others", name), into=is_module)
        for key, value in payload.items():
            check(value, key, into=key == "model")
        with atomic_write(path, sum(check.storages.values()) + _OVERHEAD) as file:
            _write(path, payload, file)
    except RecursionError:
        raise ValueError(
            f"{check.deepest[:60]}... is nested more deeply than torch.save can follow"
        ) from None
    return path


def _refuse_lazy(where: str, thing: Any) -> None:
    layers = thing.named_modules() if isinstance(thing, nn.Module) else ()
    for inside, layer in layers:
        tensors = *layer._parameters.values(), *layer._buffers.values()
        if any(map(nn.parameter.is_lazy, tensors)):
            what = f"the layer {inside!r} of {where}" if inside else where
            raise ValueError(
                f"{what} is lazy and has no weights yet ({type(layer).__name__}): run one "
                "batch through the model before it is saved. Nothing was written."
            )


def _states(part: str, objects: Named) -> Named:
    states = {}
    for name, thing in objects.items():
        try:
            states[name] = thing.state_dict()
        except Exception as error:
            error.add_note(f"in {label(part, name)}.state_dict(); nothing was written")
            raise
    return states


def _as_given(objects: Named) -> Any:
    """Return what was given alone as itself, several as a dict, and None for none."""
    return objects[None] if None in objects else dict(objects) or None


def _metadata(
    parts: dict[str, Named],
    metrics: dict[str, float],
    architecture: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return what the file says about itself, in plain types alone."""
    models = parts["model"]
    told: dict[str, Named] = {
        part: {name: {"class": type(one).__name__} for name, one in objects.items()}
        for part, objects in parts.items()
    }
    for name, one in parts["scheduler"].items():
        told["scheduler"][name] = describe_scheduler(one)
    for name, one in parts["optimizer"].items():
        told["optimizer"][name]["groups"] = group_names(models, one)
    classes = {name: each["class"] for name, each in told["model"].items()}
    parameters, aliases = named_parameters(models).items(), other_names(models)
    several = [part for part in parts if parts[part] and None not in parts[part]]
    return {
        "format_version": FORMAT_VERSIONS[bool(several)],
        "torch": str(torch.__version__),  # itself a class that weights_only refuses
        "time": datetime.now(UTC).isoformat(),
        "architecture": {"class": _as_given(classes), "config": architecture},
        "parameters": {name: tuple(value.shape) for name, value in parameters},
        **({"aliases": aliases} if aliases else {}),
        "optimizer": _as_given(told["optimizer"]),
        "scheduler": _as_given(told["scheduler"]),
        "metrics": metrics,
        **({"several": several, "others": told["others"]} if several else {}),
    }


def _number(name: str, value: Any) -> Any:
    """Return NumPy's and torch's numbers as plain ones."""
    with suppress(ValueError, RuntimeError):  # more than one number
        if hasattr(value, "item"):
            value = value.item()
    if not isinstance(value, int | float):
        raise ValueError(f"metrics[{name!r}] is {type_of(value)}; expected one number")
    return value


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
