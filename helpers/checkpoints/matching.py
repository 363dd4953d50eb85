"""Does the file fit the model, optimizer and scheduler? Asked before anything changes.

Save, Load, Ship 0.2.0: helpers/checkpoints/matching.py · repairs: CHANGELOG.md
"""

from itertools import chain
from typing import Any

import torch
from torch import nn

from helpers.checkpoints.saving import group_names

_SHOWN = 4
_PREFIXES = {
    "module.": "DataParallel's or DistributedDataParallel's",
    "_orig_mod.": "torch.compile's",
}


def model_problem(model: nn.Module, saved: dict[str, Any]) -> str | None:
    """Return why a state dict does not fit the model, None if every entry does.

    >>> model_problem(nn.Linear(3, 2), nn.Linear(3, 2, bias=False).state_dict())
    'bias is missing from the file'
    """
    ours = model.state_dict()
    for prefix, wrapper in _PREFIXES.items() if ours else ():
        if set(saved) == {prefix + name for name in ours}:
            return f"its names begin with {prefix!r}, {wrapper}: wrap the model first"
        if set(ours) == {prefix + name for name in saved}:
            return f"only the model's names begin with {prefix!r}, {wrapper}: unwrap it"
    problems = [f"{name} is missing from the file" for name in ours if name not in saved]
    problems += [f"{name} is not in the model" for name in saved if name not in ours]
    for name in ours:
        if name in saved and (_kind(ours[name]) != _kind(saved[name])):
            problems.append(
                f"{name} is {_kind(saved[name])} in the file, {_kind(ours[name])} in the "
                "model"
            )
        elif isinstance(ours[name], torch.Tensor) and ours[name].is_meta:
            problems.append(f"{name} of the model is on the meta device, without memory")
    return _join(problems)


def optimizer_problem(
    model: nn.Module, optimizer: torch.optim.Optimizer, metadata: dict[str, Any]
) -> str | None:
    """Return why a saved state does not fit the optimizer, None if it does.

    `metadata` is what `read_metadata` returns.

    >>> model = nn.Linear(3, 2)
    >>> saved = {"optimizer": {"class": "SGD", "groups": [["weight", "bias"]]}}
    >>> optimizer_problem(model, torch.optim.Adam(model.parameters()), saved)
    'the optimizer is of class Adam, the saved one of class SGD'
    """
    saved = metadata["optimizer"]
    if saved is None:
        return "the file holds no optimizer: load it without optimizer="
    if saved["class"] != type(optimizer).__name__:
        return _other_class("optimizer", optimizer, saved["class"])
    ours = group_names(model, optimizer)
    if sorted(map(sorted, ours)) != sorted(map(sorted, saved["groups"])):
        here, there = set(chain(*ours)), set(chain(*saved["groups"]))
        problems = [f"{name} is not in the file" for name in sorted(here - there)]
        problems += [f"{name} is only in the file" for name in sorted(there - here)]
        why = _join(problems) or "the same parameters are grouped differently"
        return f"the optimizer's parameters differ: {why}"
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    wrong = [
        f"{name} had shape {tuple(metadata['parameters'][name])}, has {shapes[name]}"
        for name in chain(*ours)
        if tuple(metadata["parameters"][name]) != shapes[name]
    ]
    return _join(wrong)


def reorder(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    state: dict[str, Any],
    names: list[list[str]],
) -> dict[str, Any]:
    """Return the saved state with its positions changed to the optimizer's own.

    An optimizer's state dict knows parameters by position. Two models with the same
    parameters in another order would swap their moments without a word.

    `state` is the saved `optimizer.state_dict()`; `names` holds, for each saved group, its
    parameters' names in the saved order.

    >>> model = nn.Linear(3, 2)
    >>> optimizer = torch.optim.SGD([model.bias, model.weight], lr=0.1)
    >>> state = {"state": {1: "of the bias"}, "param_groups": [{"params": [0, 1]}]}
    >>> reorder(model, optimizer, state, [["weight", "bias"]])["state"]
    {0: 'of the bias'}
    """
    group_of = {frozenset(group): k for k, group in enumerate(names)}
    place = {
        name: position
        for group, entry in zip(names, state["param_groups"], strict=True)
        for name, position in zip(group, entry["params"], strict=True)
    }
    moved, groups = {}, []
    current = optimizer.state_dict()["param_groups"]
    for ours, entry in zip(group_names(model, optimizer), current, strict=True):
        for name, position in zip(ours, entry["params"], strict=True):
            if place[name] in state["state"]:
                moved[position] = state["state"][place[name]]
        saved = state["param_groups"][group_of[frozenset(ours)]]
        groups.append({**saved, "params": entry["params"]})
        groups[-1].pop("param_names", None)
        if "param_names" in entry:
            groups[-1]["param_names"] = entry["param_names"]
    return {"state": moved, "param_groups": groups}


def scheduler_problem(scheduler: Any, saved: dict[str, str] | None) -> str | None:
    """Return why a saved state does not fit the scheduler, None if it does.

    >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    >>> scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer)
    >>> scheduler_problem(scheduler, {"class": "StepLR"})
    'the scheduler is of class ConstantLR, the saved one of class StepLR'
    """
    if saved is None:
        return "the file holds no scheduler: load it without scheduler="
    if saved["class"] != type(scheduler).__name__:
        return _other_class("scheduler", scheduler, saved["class"])
    return None


def _other_class(part: str, ours: object, saved: str) -> str:
    return f"the {part} is of class {type(ours).__name__}, the saved one of class {saved}"


def _kind(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
    return type(value).__name__


def _join(problems: list[str]) -> str | None:
    more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    return "; ".join(problems[:_SHOWN]) + more if problems else None
