"""Load a checkpoint into a run: all of it, or nothing.

Save, Load, Ship 0.2.0: helpers/checkpoints/loading.py · repairs: CHANGELOG.md
"""

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from helpers.checkpoints.archive.errors import IncompatibleCheckpointError
from helpers.checkpoints.model_loading import load_model, own_copy, require_written
from helpers.checkpoints.optimizers import load_state, makes_new_state
from helpers.checkpoints.parts import Named, checked_parts, label
from helpers.checkpoints.planning import plan_loading
from helpers.checkpoints.reading import read_content
from helpers.state_dicts.restoring import all_or_nothing, unchanged_on_error
from helpers.training import capture_rng, check_rng
from helpers.training import restore_rng as _restore_rng  # also an argument's name


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
        notes: what did not come back as it was saved, and why, as sentences; each was
            also given as a warning.

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
    notes: tuple[str, ...] = ()


def load_checkpoint(
    path: str | os.PathLike,
    *,
    model: nn.Module | Mapping[str, nn.Module],
    optimizer: Optimizer | Mapping[str, Optimizer] | None = None,
    scheduler: LRScheduler | Mapping[str, LRScheduler] | None = None,
    others: Mapping[str, Any] | None = None,
    map_location: Any = "cpu",
    restore_rng: bool = True,
) -> Checkpoint:
    """Check every byte of a file of `save_checkpoint`, then load it into what is given.

    All or nothing: if anything fails, all that was given, and the random number
    generators, are as they were. Optimizers are matched by their parameters' names and
    shapes. What the file holds and is not asked for is left alone. In a training run,
    create the data loader's iterator first: it draws from the generators.

    Args:
        path: the file.
        model: gets the values in place, on the device where it is. Built on the meta
            device, it gets the file's own tensors: pages of the file, copied when they are
            written to. Then replace the file, as `save_checkpoint` does, but never write
            into it. Here and below, where several were saved by name: a dict with some or
            all of those names.
        optimizer: of the class that was saved. Whether it is `capturable` or `fused`
            depends on the machine and stays as it is.
        scheduler: of the class that was saved. Give its plain functions (LambdaLR) again
            yourself: torch saves none.
        others: name -> object with a load_state_dict().
        map_location: where tensors go that no model takes, as in torch.load: a device, a
            dict, a function or None.
        restore_rng: whether the generators go back to their saved states, if any.

    Raises:
        TypeError: a model is not a module, another part has no load_state_dict(), or the
            map_location is none of those.
        ValueError: the optimizer holds a parameter that is not the model's, or
            the map_location is "meta".
        RuntimeError: the tensors cannot go to the map_location, or a tensor of the model
            does not hold what was written into it.
        FileNotFoundError, PermissionError, CheckpointError: as `verify`.
        IncompatibleCheckpointError: `save_checkpoint` did not write it, or it does not
            fit.

    >>> import torch
    >>> from tempfile import TemporaryDirectory
    >>> from helpers.checkpoints import save_checkpoint
    >>> model, fresh = nn.Linear(3, 2), nn.Linear(3, 2)
    >>> with TemporaryDirectory() as folder:
    ...     path = save_checkpoint(f"{folder}/run.pt", model=model, epoch=3)
    ...     run = load_checkpoint(path, model=fresh)
    >>> run.epoch, torch.equal(model.weight, fresh.weight)
    (3, True)
    """
    parts = checked_parts(model, optimizer, scheduler, others)
    path = Path(path)
    content = read_content(path, map_location)
    states, notes = plan_loading(path, parts, content)
    rng = content["rng"] if restore_rng else None
    if rng is not None:
        try:
            check_rng(rng)
        except ValueError as error:
            raise IncompatibleCheckpointError(
                f"{path} does not fit the random number generators: {error}. Nothing was "
                "changed."
            ) from error
    extra, metadata = own_copy(content["extra"]), own_copy(content["metadata"])
    known: tuple[set[int], set[int]] = set(), set()
    values = {name: dict(state) for name, state in states["model"].items()}
    with _all_unchanged_on_error(parts):
        for part, objects in parts.items():
            for name, thing in objects.items():
                try:
                    _load(part, thing, states[part][name], known)
                except Exception as error:
                    where = label(part, name)
                    error.add_note(
                        f"{where} did not take what {path} holds of it; nothing was changed"
                    )
                    raise
        require_written(parts["model"], values)
        if rng is not None:
            _restore_rng(rng)
        notes += _left_on_meta(parts)
        for note in notes:  # before all is settled: a warning may be an error
            warnings.warn(f"{path}: {note}", stacklevel=2)
    return Checkpoint(
        content["epoch"],
        content["step"],
        content["metrics"],
        metadata,
        extra,
        path,
        notes=tuple(notes),
    )


def _load(part: str, thing: Any, state: Any, known: tuple[set[int], set[int]]) -> None:
    if isinstance(thing, nn.Module):
        load_model(thing, state, *known)
    elif part == "optimizer":  # also of a class that only looks like torch's
        load_state(thing, own_copy(state))
    else:
        thing.load_state_dict(own_copy(state))


def _left_on_meta(parts: dict[str, Named]) -> Iterator[str]:
    for part, name, thing in ((p, n, one) for p in parts for n, one in parts[p].items()):
        if isinstance(thing, nn.Module):
            tensors = (*thing.named_parameters(), *thing.named_buffers())
            if left := [own for own, tensor in tensors if tensor.is_meta]:
                where, what = label(part, name), ", ".join(left)
                yield f"{where}: the file has no values for {what}: still on meta"


@contextmanager
def _all_unchanged_on_error(parts: dict[str, Named]) -> Iterator[None]:
    generators = capture_rng()
    known: set[int] = set()
    with ExitStack() as stack:
        stack.push(lambda kind, *_: _restore_rng(generators) if kind else None)
        for model in parts["model"].values():
            stack.enter_context(all_or_nothing(model))
            known.update(map(id, (*model.modules(), *model.parameters(), *model.buffers())))
        for optimizer in parts["optimizer"].values():
            if makes_new_state(optimizer):
                known.update(map(id, optimizer.state.values()))
        rest = [
            thing for part in parts if part != "model" for thing in parts[part].values()
        ]
        stack.enter_context(unchanged_on_error(rest, known))
        yield
