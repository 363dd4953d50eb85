"""Copy into a model what fits it, and say what became of the rest.

Save, Load, Ship 0.2.0: helpers/state_dicts/partial_loading.py · repairs: CHANGELOG.md
"""

import contextlib
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from helpers.arguments import require_module
from helpers.state_dicts.differences import largest_difference
from helpers.state_dicts.reports import NameReport
from helpers.state_dicts.tensors import StateDict, describe_tensor, dtype_name, tensors_of


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

    Dtypes are converted, as `load_state_dict` does. Tied weights stay tied. An error,
    even Ctrl-C, leaves the model unchanged; a copy of what is overwritten is held for
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
    targets, source = tensors_of(model, "model"), tensors_of(state_dict, "state_dict")
    own = {t.untyped_storage() for t in (*model.parameters(), *model.buffers())}
    values, skipped, converted = {}, {}, {}
    first_at: dict[tuple, str] = {}
    for name, value in source.items():
        if (target := targets.get(name)) is None:
            skipped[name] = "not in the model"
        elif value.shape != target.shape:
            in_file, in_model = describe_tensor(value), describe_tensor(target)
            skipped[name] = f"{in_file} in the file, {in_model} in the model"
        elif value.is_meta or target.is_meta:
            where = "file" if value.is_meta else "model"
            skipped[name] = f"the tensor in the {where} is on the meta device"
        elif target.untyped_storage() not in own:
            skipped[name] = "the model's state_dict() returns a copy of it"
        else:
            first = first_at.setdefault(_view(target), name)
            if first != name:
                pair = value.to(target.dtype), source[first].to(target.dtype)
                if largest_difference(*pair) is not None:
                    skipped[name] = f"same tensor as {first}, different values in the file"
                    continue
            # A value that is part of the model could be overwritten before its turn.
            values[name] = value.clone() if value.untyped_storage() in own else value
            if value.dtype != target.dtype:
                converted[name] = dtype_name(value), dtype_name(target)
    _copy_or_undo(targets, values)

    absent = [name for name in targets if name not in source]
    same = {name: first_at.get(_view(targets[name])) for name in absent}
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


def _view(tensor: Tensor) -> tuple:
    """Equal for two tensors that are the same elements of the same memory."""
    storage = tensor.untyped_storage()
    return storage, tensor.storage_offset(), tensor.shape, tensor.stride()


def _copy_or_undo(targets: StateDict, values: StateDict) -> None:
    before, name = {}, "the start"
    try:
        with torch.no_grad():
            for name, value in values.items():
                # Kept before the copy: Ctrl-C is noticed right after it.
                before[name] = targets[name].clone()
                targets[name].copy_(value)
    except BaseException as error:
        with torch.no_grad():
            for done, old in reversed(before.items()):
                # A tensor that refuses to be written has not changed either.
                with contextlib.suppress(RuntimeError):
                    targets[done].copy_(old)
        error.add_note(f"load_matching stopped at {name}; the model is unchanged")
        raise
