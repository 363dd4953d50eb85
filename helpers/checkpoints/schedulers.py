"""Does a saved scheduler fit this one, and what of it torch leaves out of its state.

Save, Load, Ship 0.2.0: helpers/checkpoints/schedulers.py · repairs: CHANGELOG.md
"""

from collections.abc import Iterator
from types import FunctionType
from typing import Any

from helpers.checkpoints.parts import class_problem

# Lists with an entry for each of the optimizer's groups.
_PER_GROUP = ("base_lrs", "min_lrs", "lr_lambdas")


def describe_scheduler(scheduler: Any) -> dict[str, Any]:
    """Return its class and, of those that hold others, theirs.

    >>> import torch
    >>> from torch.optim.lr_scheduler import ChainedScheduler, ConstantLR
    >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    >>> describe_scheduler(ChainedScheduler([ConstantLR(optimizer)]))
    {'class': 'ChainedScheduler', 'schedulers': [{'class': 'ConstantLR'}]}
    """
    inner = [describe_scheduler(each) for each in _inside(scheduler)]
    return {"class": type(scheduler).__name__} | ({"schedulers": inner} if inner else {})


def scheduler_problem(
    scheduler: Any, saved: dict[str, Any], state: dict[str, Any]
) -> str | None:
    """Return why a saved scheduler does not fit this one, None if it does.

    Args:
        scheduler: the one that is to take the state.
        saved: what `describe_scheduler` said of the saved one.
        state: its state dict.

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    >>> scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer)
    >>> scheduler_problem(scheduler, {"class": "StepLR"}, {})
    'the scheduler is of class ConstantLR, the saved one of class StepLR'
    """
    if problem := class_problem("scheduler", scheduler, saved):
        return problem
    states, inner = state.get("_schedulers", []), _inside(scheduler)
    if len(states) != len(inner):
        return f"it holds {len(inner)} schedulers, the saved one {len(states)}"
    groups = len(getattr(getattr(scheduler, "optimizer", None), "param_groups", ()))
    for key in _PER_GROUP:
        if groups and key in state and len(state[key]) != groups:
            return f"its optimizer has {groups} groups, the saved one's {len(state[key])}"
    for where, function, kept in _functions(scheduler, state):
        if kept and isinstance(function, FunctionType):
            return (
                f"{where} is a plain function; an object with {', '.join(kept)} was saved"
            )
    for k, each in enumerate(inner):
        # Files of older versions do not say which schedulers another one held.
        told = saved.get("schedulers", [describe_scheduler(each) for each in inner])[k]
        if problem := scheduler_problem(each, told, states[k]):
            return f"number {k + 1} in it: {problem}"
    return None


def functions_left_out(scheduler: Any, state: dict[str, Any]) -> list[str]:
    """Return the classes whose functions are not in the state, with where they are held.

    torch saves the attributes of a callable object, and nothing of a plain function.

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    >>> scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5)
    >>> functions_left_out(scheduler, scheduler.state_dict())
    ['lr_lambdas of LambdaLR']
    """
    found = [
        f"{where.partition('[')[0]} of {type(scheduler).__name__}"
        for where, _, kept in _functions(scheduler, state)
        if not kept
    ]
    for each, inner in zip(_inside(scheduler), state.get("_schedulers", []), strict=True):
        found += functions_left_out(each, inner)
    return list(dict.fromkeys(found))


def _inside(scheduler: Any) -> list[Any]:
    return list(getattr(scheduler, "_schedulers", ()))


def _functions(scheduler: Any, state: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield (where it is held, the function, what was saved of it)."""
    lambdas = getattr(scheduler, "lr_lambdas", ())
    of_lambdas = state.get("lr_lambdas", [None] * len(lambdas))
    for k, (function, kept) in enumerate(zip(lambdas, of_lambdas, strict=True)):
        yield f"lr_lambdas[{k}]", function, kept
    if (scale := getattr(scheduler, "_scale_fn_custom", None)) is not None:
        yield "scale_fn", scale, state.get("_scale_fn_custom")
