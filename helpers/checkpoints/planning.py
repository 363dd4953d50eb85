"""Settle what goes where before anything changes, or say why it cannot.

Save, Load, Ship 0.2.0: helpers/checkpoints/planning.py · repairs: CHANGELOG.md
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from helpers.checkpoints.archive.errors import IncompatibleCheckpointError
from helpers.checkpoints.matching import model_problem, optimizer_problem
from helpers.checkpoints.model_loading import takes_other_sizes
from helpers.checkpoints.optimizers import fit_state
from helpers.checkpoints.parts import (
    Named,
    class_problem,
    group_names,
    label,
    named_parameters,
    other_names,
)
from helpers.checkpoints.schedulers import functions_left_out, scheduler_problem


def plan_loading(
    path: Path, parts: dict[str, Named], content: dict[str, Any]
) -> tuple[dict[str, Named], list[str]]:
    """Return part -> name -> the state to load, and what will not be as it was saved.

    Args:
        path: the file, for messages.
        parts: what was given, as `checked_parts` returns it.
        content: what the file holds.

    Raises:
        ValueError: an optimizer holds a parameter that is not the model's.
        IncompatibleCheckpointError: something does not fit.

    >>> content = {"model": nn.Linear(3, 2).state_dict(), "metadata": {}}
    >>> states, notes = plan_loading(Path(), {"model": {None: nn.Linear(3, 2)}}, content)
    >>> list(states["model"][None]), notes
    (['weight', 'bias'], [])
    """
    metadata, notes = content["metadata"], []
    names = _our_names(parts["model"], metadata)
    shapes = {names[name]: shape for name, shape in metadata.get("parameters", {}).items()}
    said_of = {part: _stored(metadata, metadata, part) for part in parts}
    said_of["optimizer"] = {
        name: said | {"groups": [[names[one] for one in group] for group in said["groups"]]}
        for name, said in said_of.get("optimizer", {}).items()
    }
    states: dict[str, Named] = {}
    for part, objects in parts.items():
        there = states[part] = _stored(content, metadata, part)
        for name, thing in objects.items():
            where = label(part, name)
            state, said = there.get(name, {}), said_of[part].get(name, {})
            problem = _absence(part, name, there)
            if problem is None and part == "optimizer":
                problem = optimizer_problem(parts["model"], thing, said, state, shapes)
            elif problem is None and part == "scheduler":
                problem = scheduler_problem(thing, said, state)
                problem = problem or _moved_groups(name, thing, parts, said_of["optimizer"])
            elif problem is None and part == "others":
                problem = class_problem("object", thing, said)
            if problem is None and isinstance(thing, nn.Module):
                problem = model_problem(thing, state)
                problem = None if problem and takes_other_sizes(thing, state) else problem
            if problem:
                raise IncompatibleCheckpointError(
                    f"{path} does not fit the {where}: {problem}. Nothing was changed."
                )
            if part == "optimizer":
                ours = group_names(parts["model"], thing)
                there[name], new = fit_state(thing, ours, said["groups"], state)
                notes += [f"{where}: {note}" for note in new]
            if part == "scheduler":
                notes += [
                    f"{where}: torch does not save the functions in {what}; those of the "
                    "given one go on"
                    for what in functions_left_out(thing, said, state)
                ]
                notes += [f"{where}: {note}" for note in _other_rates(thing, state, parts)]
    return states, notes


def _our_names(models: Named, metadata: dict[str, Any]) -> dict[str, str]:
    """Return a saved parameter's name -> the one that it has here.

    One that is shared has several, and another may come first, as where only one of two
    models is loaded.
    """
    ours = {name: name for name in named_parameters(models)}
    for name, others in other_names(models).items():
        ours |= dict.fromkeys(others, name)
    saved, aliases = metadata.get("parameters", {}), metadata.get("aliases", {})
    names, taken = {}, set(saved)
    for name in saved:
        found = {ours[one] for one in (name, *aliases.get(name, ())) if one in ours}
        # Shared on one side alone: the names then say what differs.
        if len(found) == 1 and not found & taken:
            taken |= found
            names[name] = found.pop()
        else:
            names[name] = name
    return names


def _stored(content: Mapping[str, Any], metadata: Mapping[str, Any], part: str) -> Named:
    """Return what a file holds for a part, by name; `content` may be the metadata."""
    if content.get(part) is None:
        return {}
    several = part == "others" or part in metadata.get("several", ())
    return content[part] if several else {None: content[part]}


def _absence(part: str, name: str | None, there: Named) -> str | None:
    """Return why the file holds nothing for what was given, None if it does."""
    if name in there:
        return None
    if not there:
        return f"the file holds no {part}: load it without {part}="
    if None in there:
        return f"the file holds one {part}, without a name: pass it without a dict"
    shown = ", ".join(map(repr, there))
    if name is None:
        return f"the file holds several, {shown}: pass a dict with such names"
    return f"the file holds none of this name, but {shown}"


def _other_rates(scheduler: Any, state: Any, parts: dict[str, Named]) -> list[str]:
    """Return a note if the scheduler will go on from rates that are not the saved ones."""
    groups = getattr(getattr(scheduler, "optimizer", None), "param_groups", [])
    now, saved = [group.get("lr") for group in groups], state.get("_last_lr")
    loaded = any(each.param_groups is groups for each in parts["optimizer"].values())
    if loaded or saved is None or now == saved:
        return []
    return [f"its optimizer is not loaded: its rates are {now}, when saved {saved}"]


def _moved_groups(
    name: str | None, scheduler: Any, parts: dict[str, Named], optimizers: Named
) -> str | None:
    """Return what is wrong if the scheduler's optimizer has its groups in another order.

    A scheduler knows them by position, and would give one the rates of another.
    """
    optimizer = getattr(scheduler, "optimizer", None)
    of = [key for key, each in parts["optimizer"].items() if each is optimizer]
    said = optimizers.get(*of or [name])
    if said is None or optimizer is None:
        return None
    try:
        ours = group_names(parts["model"], optimizer)
    except ValueError:  # of other models than those that were given
        return None
    if [*map(sorted, ours)] == [*map(sorted, said["groups"])]:
        return None
    saved = "; ".join(", ".join(group) for group in said["groups"])
    return f"its optimizer's groups are in another order: build them in the order {saved}"
