"""Load a checkpoint into a run: all of it, or nothing.

Save, Load, Ship 0.2.0: helpers/checkpoints/loading.py · repairs: CHANGELOG.md
"""

import copy
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from helpers.checkpoints.archive.errors import IncompatibleCheckpointError
from helpers.checkpoints.matching import repeated
from helpers.checkpoints.optimizers import load_state, makes_new_state
from helpers.checkpoints.parts import Named, checked_parts, label
from helpers.checkpoints.planning import plan_loading
from helpers.checkpoints.reading import read_content
from helpers.checkpoints.undoing import unchanged_on_error
from helpers.state_dicts.kinds import copied
from helpers.state_dicts.restoring import all_or_nothing, swap_memory
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
        RuntimeError: the tensors cannot go to the map_location.
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
    extra, metadata = _own(content["extra"]), copy.deepcopy(content["metadata"])
    with _all_unchanged_on_error(parts):
        for part, objects in parts.items():
            for name, thing in objects.items():
                try:
                    _loader(thing)(states[part][name])
                except Exception as error:
                    where = label(part, name)
                    error.add_note(
                        f"{where} did not take what {path} holds of it; nothing was changed"
                    )
                    raise
        if rng is not None:
            _restore_rng(rng)
    for name, each in parts["model"].items():
        tensors = (*each.named_parameters(), *each.named_buffers())
        if left := [own for own, tensor in tensors if tensor.is_meta]:
            where, what = label("model", name), ", ".join(left)
            notes.append(f"{where}: the file has no values for {what}: still on meta")
    for note in notes:
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


def _loader(thing: Any) -> Callable[[Any], Any]:
    """Return what loads a state into a thing."""
    if isinstance(thing, nn.Module):
        return lambda state: _load_model(thing, state)
    if isinstance(thing, Optimizer):
        return lambda state: load_state(thing, _own(state))
    return lambda state: thing.load_state_dict(_own(state))


def _own(value: Any) -> Any:
    """Return a copy of what is still pages of the file."""
    try:
        return copy.deepcopy(value)
    except Exception:  # sparse CSR and others cannot be copied deeply
        return copied(value)


def _load_model(model: nn.Module, state: dict[str, Any]) -> None:
    filled: set[int] = set()
    taken: set[int] = set()
    with ExitStack() as stack:
        for name, own in model.state_dict(keep_vars=True).items():
            if not isinstance(own, torch.Tensor):
                state[name] = _own(state[name])  # set_extra_state may keep it
                continue
            if own.is_meta:
                _fill(own, state[name], taken)
                filled.add(id(own))
            if id(own) in filled:
                state[name] = own  # copied onto itself: no page is touched
            elif own.is_inference():
                stack.enter_context(torch.inference_mode())  # may be written only so
            elif (once := repeated(own)) is not own:
                # copy_ refuses a tensor that repeats its values, except from itself.
                with torch.no_grad():
                    once.copy_(repeated(state[name], like=own))
                state[name] = own
        model.load_state_dict(state)


def _fill(own: torch.Tensor, value: torch.Tensor, taken: set[int]) -> None:
    """Give a tensor on the meta device the file's memory; it stays the same object."""
    value = value.detach().resolve_conj().resolve_neg()
    place = value.untyped_storage().data_ptr()
    # Two of the model's tensors must not become one, nor one repeat its elements.
    if place in taken or torch._debug_has_internal_overlap(value):
        value = value.clone(memory_format=torch.contiguous_format)
    taken.add(place)
    swap_memory(own, value.requires_grad_(own.requires_grad))


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
