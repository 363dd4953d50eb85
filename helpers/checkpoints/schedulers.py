"""Does a saved scheduler fit the given one, and what of it did torch not save?

Save, Load, Ship 0.2.0: helpers/checkpoints/schedulers.py · repairs: CHANGELOG.md
"""

from collections.abc import Iterator
from types import FunctionType
from typing import Any

from helpers.checkpoints.parts import class_problem

# A scheduler's lists with an entry for each of its optimizer's groups.
_PER_GROUP = ("base_lrs", "min_lrs", "lr_lambdas")


def describe_scheduler(scheduler: Any) -> dict[str, Any]:
    """Return its class, those of its functions and, of one that holds others, theirs.

    >>> import torch
    >>> from torch.optim.lr_scheduler import ChainedScheduler, ConstantLR, LambdaLR
    >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    >>> describe_scheduler(ChainedScheduler([ConstantLR(optimizer)]))
    {'class': 'ChainedScheduler', 'schedulers': [{'class': 'ConstantLR'}]}
    >>> describe_scheduler(LambdaLR(optimizer, lambda step: 0.9**step))
    {'class': 'LambdaLR', 'functions': {'lr_lambdas[0]': 'function'}}
    """
    functions = {
        where: type(function).__name__
        for where, function, _ in _functions(scheduler, {})
        if function is not None
    }
    inner = [describe_scheduler(each) for each in getattr(scheduler, "_schedulers", ())]
    told = {"functions": functions, "schedulers": inner}
    return {"class": type(scheduler).__name__} | {k: v for k, v in told.items() if v}


def scheduler_problem(
    scheduler: Any, saved: dict[str, Any], state: dict[str, Any]
) -> str | None:
    """Return why a saved scheduler does not fit, None if it does.

    Args:
        scheduler: the one that is to take the state.
        saved: what `describe_scheduler` said of the saved one.
        state: its state dict.

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    >>> step = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    >>> scheduler_problem(step, {"class": "LinearLR"}, {})
    'the scheduler is of class StepLR, the saved one of class LinearLR'
    """
    if problem := class_problem("scheduler", scheduler, saved):
        return problem
    states, inner = state.get("_schedulers", []), getattr(scheduler, "_schedulers", [])
    if len(states) != len(inner):
        return f"it holds {len(inner)} schedulers, the saved one {len(states)}"
    groups = len(getattr(getattr(scheduler, "optimizer", None), "param_groups", ()))
    for key in _PER_GROUP:
        ours, theirs = getattr(scheduler, key, None), state.get(key)
        if not isinstance(ours, list) or not isinstance(theirs, list):
            continue
        # Functions go into those that are there. Other lists are replaced, and may have
        # grown since the scheduler was made, as ReduceLROnPlateau's min_lrs do.
        fitting = {len(ours)} if key == "lr_lambdas" else {len(ours), groups}
        if len(theirs) not in fitting:
            return (
                f"its {key} are of {len(ours)} groups, the saved one's of {len(theirs)}: "
                "create it before or after add_param_group, as the saved one was"
            )
    told = saved.get("functions", {})  # not in files of older versions
    for where, function, kept in _functions(scheduler, state):
        what = f"an object with {', '.join(kept)}" if kept else told.get(where)
        if function is None and what:
            return f"it was created without {where}, the saved one with {what}"
        if kept and isinstance(function, FunctionType):
            return f"{where} is a plain function; {what} was saved"
        if kept and where in told:
            named = {"class": told[where]}
            if problem := class_problem(f"function {where}", function, named):
                return problem
    for k, (each, of_each) in enumerate(zip(inner, _told_inner(saved, inner), strict=True)):
        if problem := scheduler_problem(each, of_each, states[k]):
            return f"number {k + 1} in it: {problem}"
    return None


def functions_left_out(
    scheduler: Any, saved: dict[str, Any], state: dict[str, Any]
) -> list[str]:
    """Return where functions are held that are not in the state.

    torch saves the attributes of a callable object, and nothing of a plain function.
    Arguments are those of `scheduler_problem`, which found no problem.

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    >>> scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.9**step)
    >>> functions_left_out(scheduler, {"class": "LambdaLR"}, scheduler.state_dict())
    ['lr_lambdas of LambdaLR']
    """
    found, told = [], saved.get("functions", {})
    for where, function, kept in _functions(scheduler, state):
        if function is not None and not kept:
            mine = type(function).__name__
            theirs = told.get(where, mine)
            other = f" (of class {mine}, when saved of class {theirs})"
            held = f"{where.partition('[')[0]} of {type(scheduler).__name__}"
            found.append(held + other * (mine != theirs))
    inner, states = getattr(scheduler, "_schedulers", []), state.get("_schedulers", [])
    for each, *of_each in zip(inner, _told_inner(saved, inner), states, strict=True):
        found += functions_left_out(each, *of_each)
    return list(dict.fromkeys(found))


def _told_inner(saved: dict[str, Any], inner: list[Any]) -> list[dict[str, Any]]:
    # Files of older versions do not say which schedulers another one held.
    return saved.get("schedulers") or [{"class": type(each).__name__} for each in inner]


def _functions(scheduler: Any, state: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield (where it is held, the function, what was saved of it)."""
    lambdas = getattr(scheduler, "lr_lambdas", ())
    of_lambdas = state.get("lr_lambdas", [None] * len(lambdas))
    for k, (function, kept) in enumerate(zip(lambdas, of_lambdas, strict=True)):
        yield f"lr_lambdas[{k}]", function, kept
    if hasattr(scheduler, "_scale_fn_custom"):
        yield "scale_fn", scheduler._scale_fn_custom, state.get("_scale_fn_custom")
