"""Fit the saved state of an optimizer to one that may order its parameters otherwise.

An optimizer's state dict knows parameters by position. Two models with the same
parameters in another order would swap their moments without a word.

Save, Load, Ship 0.2.0: helpers/checkpoints/optimizers.py · repairs: CHANGELOG.md
"""

import copy
import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, suppress
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from helpers.state_dicts.differences import NotComparableError, is_same
from helpers.state_dicts.kinds import contents

_Groups = list[list[str]]
# They say how this machine computes, and a CPU cannot do what a GPU was told to.
_OF_THE_MACHINE = ("capturable", "fused")


def order_problem(
    ours: _Groups, names: _Groups, state: dict[str, Any], shapes: Mapping[str, Any]
) -> str | None:
    """Return why the saved state cannot follow its parameters into another order.

    Args:
        ours: for each group of the optimizer, its parameters' names.
        names: the same of the saved one.
        state: the saved `optimizer.state_dict()`.
        shapes: parameter's name -> shape.

    >>> state = {"state": {"rounds": [3, 7]}, "param_groups": [{"params": [0, 1]}]}
    >>> shapes = {"a": (2,), "b": (3,)}
    >>> order_problem([["b", "a"]], [["a", "b"]], state, shapes)  # doctest: +ELLIPSIS
    "its parameters are in another order than in the file, and 'rounds' is not of one..."
    """
    if ours == names:
        return None
    begin = "its parameters are in another order than in the file, and"
    cure = f"build it in the order {'; '.join(', '.join(group) for group in names)}"
    place = _places(state, names)
    if place is None:
        return f"{begin} its state dict has a form of its own: {cure}"
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    totals = {sum(sizes[name] for name in group) for group in [*names, [*chain(*names)]]}
    of_one = {place[name]: sizes[name] for name in place}
    shared = [
        key
        for at, size in of_one.items()
        for key, value in _by_key(state["state"].get(at, {})).items()
        if any(n != size and n in totals for n in _sizes(value))  # LBFGS: all in a row
    ]
    beside = {key: value for key, value in state["state"].items() if key not in of_one}
    beside |= {key: state[key] for key in state if key not in ("state", "param_groups")}
    shared += [key for key, value in beside.items() if not _is_one_number(value)]
    for group in state["param_groups"]:
        shared += [key for key in group if any(n > 1 for n in _sizes(group[key]))]
    return f"{begin} {shared[0]!r} is not of one parameter: {cure}" if shared else None


def fit_state(
    optimizer: Optimizer, ours: _Groups, names: _Groups, state: dict[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Return the saved state as this optimizer is to load it, and what is not as saved.

    Arguments are those of `order_problem`, which found no problem.

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.ones(3), torch.ones(2)], lr=0.1)
    >>> state = {"state": {}, "param_groups": [{"lr": 0.5, "params": [0, 1]}]}
    >>> fit_state(optimizer, [["b", "a"]], [["a", "b"]], state)
    ({'state': {}, 'param_groups': [{'lr': 0.5, 'params': [1, 0]}]}, [])
    """
    place, notes = _places(state, names), []
    if place is None:
        return state, []
    saved: dict[frozenset, list[int]] = {}  # groups without parameters look alike
    for k, group in enumerate(names):
        saved.setdefault(frozenset(group), []).append(k)
    groups = []
    for group, live in zip(ours, optimizer.param_groups, strict=True):
        entry = state["param_groups"][saved[frozenset(group)].pop(0)].copy()
        # torch pairs these with its parameters in turn, whatever the numbers are.
        entry["params"] = [place[name] for name in group]
        if "param_names" in live:
            entry["param_names"] = live["param_names"]
        else:
            entry.pop("param_names", None)
        for key in _OF_THE_MACHINE:
            if key in entry and key in live and bool(entry[key]) != bool(live[key]):
                notes.append(f"{key} stays {live[key]}; it was {entry[key]} when saved")
                entry[key] = live[key]
        for key, value in entry.items():
            if isinstance(value, Tensor) and isinstance(live.get(key), Tensor):
                entry[key] = value.to(live[key].device)
        groups.append(entry)
    return {**state, "param_groups": groups}, list(dict.fromkeys(notes))


def load_state(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Load a state, and keep the types and dtypes in which it was saved.

    torch makes every tensor the parameter's dtype: of a bfloat16 model, NAdam's float32
    product of momenta would come back rounded. What the optimizer's own hooks and its own
    load_state_dict do to the state, they do here as well.

    Raises:
        ValueError: the state contains itself, or is nested too deeply for torch.

    >>> import torch
    >>> weight = torch.ones(2, dtype=torch.bfloat16)
    >>> optimizer = torch.optim.SGD([weight])
    >>> state = optimizer.state_dict() | {"state": {0: {"sum": torch.ones(2)}}}
    >>> load_state(optimizer, state)
    >>> optimizer.state[weight]["sum"].dtype
    torch.float32
    """
    with ExitStack() as stack:
        for each in _with_inner(optimizer):
            # The last of its hooks before torch would convert what the others left.
            handle = each.register_load_state_dict_pre_hook(_keyed_by_parameter)
            stack.callback(handle.remove)
        try:
            optimizer.load_state_dict(state)
        except RecursionError:  # here, or in torch's own copy of it
            raise ValueError("the state contains itself, or is nested too deeply") from None


def _with_inner(optimizer: Any) -> Iterator[Optimizer]:
    """Yield the optimizer, and those that it wraps: all that torch's own method loads."""
    seen: set[int] = set()
    waiting = [optimizer, *getattr(optimizer, "__dict__", {}).values()]  # of any class
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, Optimizer):
            waiting += vars(one).values()
            if "_optimizer_load_state_dict_pre_hooks" in vars(one):
                yield one
        elif type(one) is dict:
            waiting += one.values()
        elif type(one) in (list, tuple):
            waiting += one


def inner_left_out(optimizer: Any, state: Any, known: Collection[int]) -> list[str]:
    """Return the classes of optimizers in this one whose state its state dict lacks.

    So it is with SAM's. `known` has the id of each that is saved anyway.

    >>> inner_left_out(torch.optim.SGD([torch.ones(2)]), {}, ())
    []
    """
    found = []
    for inner in _with_inner(optimizer):
        held = [] if id(inner) in known else contents([*inner.state.values()])
        tensors = [one for one in held if isinstance(one, Tensor)]
        largest = max(tensors, key=Tensor.numel, default=None)
        with suppress(NotComparableError):  # a wrapper may give out copies
            if tensors and not any(is_same(largest, one) for one in contents(state)):
                found.append(type(inner).__name__)
    return found


def _keyed_by_parameter(optimizer: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    """Return the state keyed by parameters: what has no number, torch takes as it is."""
    owners = {
        at: (parameter, group)
        for group, live in zip(state["param_groups"], optimizer.param_groups, strict=False)
        for at, parameter in zip(group["params"], live["params"], strict=False)
    }
    kept = {}
    for at, value in state["state"].items():
        if at in owners:
            parameter, group = owners[at]
            kept[parameter] = _placed(value, parameter, group)
        else:
            kept[at] = value
    return {**state, "state": kept}


def _placed(value: Any, parameter: Tensor, group: dict[str, Any], key: Any = None) -> Any:
    """Return a value with its tensors on the parameter's device."""
    if isinstance(value, Tensor):
        if key != "step":
            return value.to(parameter.device)
        # As torch does: it stays where it is, except for what computes on the device.
        computes = group.get("capturable") or group.get("fused")
        return value.to(parameter.device, torch.float32) if computes else value
    if isinstance(value, dict):
        placed = copy.copy(value)
        for inner, each in value.items():
            placed[inner] = _placed(each, parameter, group, inner)
        return placed
    if type(value) in (list, tuple, set):
        return type(value)(_placed(each, parameter, group) for each in value)
    return value


def makes_new_state(optimizer: Optimizer) -> bool:
    """Return whether loading leaves the former state alone, as torch's own method does.

    >>> import torch
    >>> makes_new_state(torch.optim.SGD([torch.ones(1)]))
    True
    """
    held, kind = getattr(optimizer, "__dict__", {}), type(optimizer)
    hooks = (f"_optimizer_load_state_dict_{when}_hooks" for when in ("pre", "post"))
    own = any(map(held.get, ("load_state_dict", "__setstate__", *hooks)))
    if own or kind.load_state_dict is not Optimizer.load_state_dict:
        return False
    # Another's may write into the state that is there before torch's own replaces it.
    module = getattr(kind.__setstate__, "__globals__", {}).get("__name__", "")
    return module.startswith("torch.optim.")


def _places(state: dict[str, Any], names: _Groups) -> dict[str, Any] | None:
    """Return parameter's name -> its number in the saved state, None if it has no such."""
    try:
        numbers = [group["params"] for group in state["param_groups"]]
        counts = [*map(len, numbers)] if isinstance(state["state"], dict) else None
    except (LookupError, TypeError):
        return None
    is_usual = counts == [*map(len, names)]
    return dict(zip(chain(*names), chain(*numbers), strict=True)) if is_usual else None


def _by_key(kept: Any) -> dict[Any, Any]:
    return kept if isinstance(kept, dict) else {"state": kept}


def _is_one_number(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.numel() <= 1
    return value is None or isinstance(value, int | float | complex | str)


def _sizes(value: Any) -> list[int]:
    """Return the elements of each tensor in a value."""
    found = contents(value, lambda one: not isinstance(one, Tensor))
    return [one.numel() for one in found if isinstance(one, Tensor)]
