"""Load a checkpoint into a run: all of it, or nothing.

Save, Load, Ship 0.2.0: helpers/checkpoints/loading.py · repairs: CHANGELOG.md
"""

import copy
import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from helpers.arguments import require_module
from helpers.checkpoints.archive.container import Archive
from helpers.checkpoints.archive.errors import (
    CorruptCheckpointError,
    IncompatibleCheckpointError,
)
from helpers.checkpoints.matching import (
    model_problem,
    optimizer_problem,
    reorder,
    scheduler_problem,
)
from helpers.checkpoints.verifying import open_whole
from helpers.training import capture_rng, check_rng
from helpers.training import restore_rng as _restore_rng  # also an argument's name

_ATTEMPTS = 10


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint says besides its tensors.

    Attributes:
        epoch: epochs finished.
        step: optimizer steps taken.
        metrics: name -> number.
        metadata: as `read_metadata` returns it.
        extra: what was saved as `extra`.
        path: the file.
        skipped: newer files that a CheckpointFolder found damaged, each with the reason.

    >>> run = Checkpoint(3, 90, {"loss": 0.5}, {}, extra=None, path=Path("run.pt"))
    >>> run.epoch, run.metrics["loss"]
    (3, 0.5)
    """

    epoch: int
    step: int
    metrics: dict[str, float]
    metadata: dict[str, Any]
    extra: Any
    path: Path
    skipped: tuple[tuple[Path, str], ...] = ()


def load_checkpoint(
    path: str | os.PathLike,
    *,
    model: nn.Module,
    optimizer: torch.optim.Optimizer | None = None,
    scheduler: LRScheduler | None = None,
    map_location: str | torch.device = "cpu",
    restore_rng: bool = True,
) -> Checkpoint:
    """Check every byte of a file of `save_checkpoint`, then load it into what is given.

    All or nothing: if anything does not fit, model, optimizer, scheduler and random
    number generators are as they were. The optimizer is matched by its parameters' names
    and shapes. What the file holds and is not asked for is left alone. In a training run,
    create the data loader's iterator first: it draws from the generators.

    Args:
        path: the file.
        model: gets the values in place, on the device where it is.
        optimizer: of the class that was saved.
        scheduler: of the class that was saved.
        map_location: where tensors go that the model does not take, as in torch.load.
        restore_rng: whether the generators go back to their saved states, if any.

    Raises:
        TypeError: the model is not a module.
        ValueError: the optimizer holds a parameter that is not the model's.
        FileNotFoundError, PermissionError, CheckpointError: as `verify`.
        IncompatibleCheckpointError: `save_checkpoint` did not write it, or it does not
            fit.

    >>> from tempfile import TemporaryDirectory
    >>> from helpers.checkpoints import save_checkpoint
    >>> model, fresh = nn.Linear(3, 2), nn.Linear(3, 2)
    >>> with TemporaryDirectory() as folder:
    ...     path = save_checkpoint(f"{folder}/run.pt", model=model, epoch=3)
    ...     run = load_checkpoint(path, model=fresh)
    >>> run.epoch, torch.equal(model.weight, fresh.weight)
    (3, True)
    """
    require_module(model)
    torch.empty(0, device=map_location)  # an unknown device is refused by name
    path = Path(path)
    content = _read(path, map_location)
    metadata = content["metadata"]
    with_rng = restore_rng and content["rng"] is not None
    problems = {"model": model_problem(model, content["model"])}
    if optimizer is not None:
        problems["optimizer"] = optimizer_problem(model, optimizer, metadata)
    if scheduler is not None:
        problems["scheduler"] = scheduler_problem(scheduler, metadata["scheduler"])
    if with_rng:
        try:
            check_rng(content["rng"])
        except ValueError as error:
            problems["random number generators"] = str(error)
    for part, problem in problems.items():
        if problem:
            raise IncompatibleCheckpointError(
                f"{path} does not fit the {part}: {problem}. Nothing was changed."
            )
    # Copies, as the loaded tensors are still pages of the file.
    extra, metadata = copy.deepcopy((content["extra"], metadata))
    with ExitStack() as undo:
        _undo_model(model, undo)
        model.load_state_dict(content["model"])
        if optimizer is not None:
            # Loading makes new objects: the old ones come back as they are.
            before = {"state": optimizer.state, "param_groups": optimizer.param_groups}
            undo.callback(optimizer.__dict__.update, before)
            state = copy.deepcopy(content["optimizer"])
            names = metadata["optimizer"]["groups"]
            optimizer.load_state_dict(reorder(model, optimizer, state, names))
        if scheduler is not None:
            undo.callback(scheduler.load_state_dict, copy.deepcopy(scheduler.state_dict()))
            scheduler.load_state_dict(copy.deepcopy(content["scheduler"]))
        if with_rng:
            undo.callback(_restore_rng, capture_rng())
            _restore_rng(content["rng"])
        undo.pop_all()
    return Checkpoint(
        content["epoch"], content["step"], content["metrics"], metadata, extra, path
    )


def _read(path: Path, map_location: str | torch.device) -> dict[str, Any]:
    """Return the content of a file of which every checksum is right."""
    for _ in range(_ATTEMPTS):
        with open_whole(path) as archive:
            try:
                content = torch.load(
                    path, map_location=map_location, weights_only=True, mmap=True
                )
            except Exception as error:
                if not _is_still(archive):
                    continue
                raise CorruptCheckpointError(
                    f"{path}: its checksums are right, but torch.load fails: {error}"
                ) from error
            # torch.load opens the path anew: a writer may have put another file there.
            if _is_still(archive):
                return content
    raise CorruptCheckpointError(
        f"{path} was replaced during each of {_ATTEMPTS} attempts to load it. Copy it, "
        "and load the copy."
    )


def _is_still(archive: Archive) -> bool:
    now, then = archive.path.stat(), archive.status
    same = now.st_size == then.st_size and now.st_mtime_ns == then.st_mtime_ns
    return same and os.path.samestat(now, then)


def _undo_model(model: nn.Module, undo: ExitStack) -> None:
    """Let `undo` put the model's present values back."""
    live = model.state_dict()
    before = copy.deepcopy(live)

    def put_back() -> None:
        others = {}
        with torch.no_grad():
            for name, value in before.items():
                if isinstance(value, torch.Tensor):
                    live[name].copy_(value)
                else:
                    others[name] = value
        if others:
            model.load_state_dict(others, strict=False)

    undo.callback(put_back)
