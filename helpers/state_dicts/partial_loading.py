"""Copy into a model what fits it, and say what became of the rest.

Save, Load, Ship 0.2.0: helpers/state_dicts/partial_loading.py · repairs: CHANGELOG.md
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from helpers.arguments import require_module
from helpers.state_dicts.comparing import NameReport
from helpers.state_dicts.differences import is_same
from helpers.state_dicts.held_memory import memory_of, places_of, storages_of
from helpers.state_dicts.kinds import (
    copied,
    dtype_name,
    in_words,
    is_empty_shell,
    is_freed,
    kind_of,
    shape_of,
)
from helpers.state_dicts.restoring import (
    all_or_nothing,
    extra_state_holders,
    what_is_left,
)
from helpers.state_dicts.tensors import StateDict, tensors_of
from helpers.state_dicts.written import unwritten


@dataclass(frozen=True, repr=False)
class LoadReport(NameReport):
    """What `load_matching` did.

    Attributes:
        loaded: names that were copied into the model.
        skipped: name in the file -> why it was not copied.
        not_in_file: names of the model that the file lacks; they keep their values.
        converted: loaded name -> (dtype in the file, dtype in the model).
        tied: name that the file lacks -> the loaded name that is the same tensor.

    >>> report = load_matching(nn.Linear(3, 2), {"weight": torch.zeros(2, 3)})
    >>> report
    LoadReport(1 loaded, 1 not in file)
    >>> report.not_in_file
    ('bias',)
    """

    loaded: tuple[str, ...]
    skipped: dict[str, str]
    not_in_file: tuple[str, ...]
    converted: dict[str, tuple[str, str]]
    tied: dict[str, str]
    _good = "loaded"
    _columns = ("name", "finding", "note")


def load_matching(model: nn.Module, state_dict: StateDict) -> LoadReport:
    """Copy into the model, in place, every tensor whose name and shape fit.

    Dtypes are converted, as `load_state_dict` does. Tied weights stay tied. Extra state is
    given to `set_extra_state`. What cannot be copied is skipped, and the report says why.
    An error, even Ctrl-C, leaves the model unchanged; a copy of its state is held for
    that. The modules' load hooks and version upgrades do not run: where a library needs
    them, use `model.load_state_dict(..., strict=False)`.

    >>> model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 5))
    >>> report = load_matching(model, nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 7)))
    >>> report.loaded
    ('0.weight', '0.bias')
    >>> report.skipped["1.bias"]
    'float32 (7,) in the file, float32 (5,) in the model'
    """
    require_module(model)
    # The model's own objects: a sparse tensor is not written through its detached twin.
    targets = tensors_of(model.state_dict(keep_vars=True), "model")
    source = tensors_of(state_dict, "state_dict")
    tensors = [*model.parameters(), *model.buffers()]
    own, objects = storages_of(tensors), set(map(id, tensors))
    holders = extra_state_holders(model)
    first_at: dict[tuple, str] = {}

    def problem_with(name: str, value: Any) -> str | None:
        if name not in targets:
            return "not in the model"
        if name in holders:
            return None
        target = targets[name]
        if not isinstance(target, Tensor):
            return "only load_state_dict can load it"
        if problem := _write_problem(target, value):
            return problem
        is_view = not kind_of(target) and storages_of(target).keys() <= own.keys()
        if not is_view and id(target) not in objects:
            return "the model's state_dict() returns a copy of it"
        first = first_at.setdefault(places_of(target) or (name,), name)
        both = (copied(target).copy_(v) for v in (value, source[first]))
        if first != name and not is_same(*both):
            return f"same tensor as {first}, different values in the file"
        return None

    values, skipped, converted = {}, {}, {}
    for name, value in source.items():
        if problem := problem_with(name, value):
            skipped[name] = problem
            continue
        # A value that is part of the model could be overwritten before its turn.
        is_own = not storages_of(value).keys().isdisjoint(own)
        values[name] = copied(value) if is_own else value
        if name not in holders and value.dtype != targets[name].dtype:
            converted[name] = dtype_name(value), dtype_name(targets[name])
    at = "the start"
    try:
        with all_or_nothing(model), torch.no_grad():
            for at, value in values.items():
                if at in holders:
                    holders[at].set_extra_state(value)
                else:
                    targets[at].copy_(value)
            copies = {name: v for name, v in values.items() if name not in holders}
            if lost := unwritten(targets, copies):
                at = lost
                raise RuntimeError(
                    f"{lost} does not hold what was written into it: its type "
                    f"({type(targets[lost]).__name__}) does not take it, or another "
                    "entry has the same memory and other values"
                )
    except BaseException as error:
        error.add_note(f"load_matching stopped at {at}; {what_is_left(error)}")
        raise

    absent = [name for name in targets if name not in source]
    same = {name: first_at.get(places_of(targets[name])) for name in absent}
    tied = {name: first for name, first in same.items() if first}
    kept = tuple(name for name in absent if name not in tied)
    rows = [(name, "loaded", " to ".join(converted.get(name, ()))) for name in values]
    rows += [(name, "tied", f"same tensor as {first}") for name, first in tied.items()]
    rows += [(name, "skipped", why) for name, why in skipped.items()]
    rows += [(name, "not in file", "keeps its values") for name in kept]
    return LoadReport(
        rows=tuple(rows),
        loaded=tuple(values),
        skipped=skipped,
        not_in_file=kept,
        converted=converted,
        tied=tied,
    )


def _write_problem(target: Tensor, value: Any) -> str | None:
    """Return why `target.copy_(value)` could not work, None if it can."""
    other = not isinstance(value, Tensor) or shape_of(value) != shape_of(target)
    if other or kind_of(target) != kind_of(value):
        return f"{in_words(value)} in the file, {in_words(target)} in the model"
    if is_empty_shell(value) or is_empty_shell(target):
        where = "file" if is_empty_shell(value) else "model"
        return f"the tensor in the {where} is on the meta device"
    for where, tensor in (("file", value), ("model", target)):
        if any(map(is_freed, memory_of(tensor))):
            return f"the memory of the tensor in the {where} was freed"
    if target.is_inference() and not torch.is_inference_mode_enabled():
        return "made in torch.inference_mode(), so not to be written to: .clone() it first"
    if not kind_of(target) and torch._debug_has_internal_overlap(target) == 1:
        return "made by expand(), several elements in one place: .clone() it first"
    if not kind_of(target):  # one number tells as much
        target, value = (torch.empty(1, dtype=t.dtype) for t in (target, value))
    try:
        copied(target).copy_(value.detach())
    except RuntimeError as error:  # such as packed 4-bit types
        return f"torch cannot write it: {str(error).splitlines()[0]}"
    return None
