"""What a run is made of: each part alone or several by name, and parameters' names.

Save, Load, Ship 0.2.0: helpers/checkpoints/parts.py · repairs: CHANGELOG.md
"""

from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.optim import Optimizer

from helpers.arguments import require_module, type_of

# What was given alone has the name None.
Named = dict[str | None, Any]


def label(part: str, name: str | None) -> str:
    """Return how an error calls one object of a part.

    >>> label("model", None), label("model", "critic")
    ('model', "model['critic']")
    """
    return part if name is None else f"{part}[{name!r}]"


def checked_parts(
    model: Any, optimizer: Any = None, scheduler: Any = None, others: Any = None
) -> dict[str, Named]:
    """Return part -> name -> object of all that is to be saved or loaded.

    Raises:
        TypeError: a model is not a module, or something cannot give and take its state.

    >>> checked_parts(nn.Identity())["model"]
    {None: Identity()}
    """
    models = model.values() if isinstance(model, Mapping) else ()
    if not any(isinstance(each, nn.Module) for each in models):
        require_module(model)  # a state dict is a dict, too
    if not isinstance(others, Mapping | None):
        raise TypeError(f"others is {type_of(others)}; expected a dict: name -> object")
    given = {"model": model, "optimizer": optimizer, "scheduler": scheduler}
    parts: dict[str, Named] = {}
    for part, each in (given | {"others": others}).items():
        several = isinstance(each, Mapping)
        parts[part] = dict(each) if several else {} if each is None else {None: each}
        for name, value in parts[part].items():
            if several and not isinstance(name, str):
                raise TypeError(f"{part} has the key {name!r}; expected names: strings")
            found = f"{label(part, name)} is {type_of(value)}"
            if part == "model" and not isinstance(value, nn.Module):
                raise TypeError(f"{found}; expected a torch.nn.Module")
            for method in ("state_dict", "load_state_dict"):
                if not callable(getattr(value, method, None)):
                    raise TypeError(f"{found}; expected one with a {method}()")
            if part == "optimizer" and not hasattr(value, "param_groups"):
                raise TypeError(f"{found}, without param_groups; pass it in others=")
    return parts


def class_problem(what: str, ours: object, saved: dict[str, Any]) -> str | None:
    """Return what is wrong if one of another class was saved.

    >>> class_problem("object", 3, {"class": "GradScaler"})
    'the object is of class int, the saved one of class GradScaler'
    """
    mine, theirs = type(ours).__name__, saved["class"]
    if mine == theirs:
        return None
    return f"the {what} is of class {mine}, the saved one of class {theirs}"


def named_parameters(model: nn.Module | Named) -> dict[str, nn.Parameter]:
    """Return name -> parameter, each once; of several models, "MODEL.NAME".

    Raises:
        ValueError: two have one name, as models "a" and "a.b" can.

    >>> list(named_parameters({"b": nn.Linear(3, 2), "a": nn.Linear(3, 2, bias=False)}))
    ['a.weight', 'b.weight', 'b.bias']
    """
    models: Named = {None: model} if isinstance(model, nn.Module) else model
    found, seen = {}, set()
    for key in sorted(models, key=str):  # whatever order the dict has when loading
        for name, parameter in models[key].named_parameters():
            if id(parameter) not in seen:
                seen.add(id(parameter))
                full = name if key is None else f"{key}.{name}"
                if full in found:
                    raise ValueError(f"two parameters are {full!r}: rename model[{key!r}]")
                found[full] = parameter
    return found


def other_names(model: nn.Module | Named) -> dict[str, list[str]]:
    """Return, of each parameter that is shared, its name -> the others that it has.

    >>> net = nn.ModuleDict({"a": nn.Linear(2, 2, bias=False)})
    >>> net["b"] = net["a"]
    >>> other_names(net), other_names({"x": net, "y": net["a"]})
    ({'a.weight': ['b.weight']}, {'x.a.weight': ['x.b.weight', 'y.weight']})
    """
    models: Named = {None: model} if isinstance(model, nn.Module) else model
    first = {id(parameter): name for name, parameter in named_parameters(models).items()}
    found: dict[str, list[str]] = {}
    for key in sorted(models, key=str):
        # A model may have a named_parameters() of its own, which knows each once.
        every = nn.Module.named_parameters(models[key], remove_duplicate=False)
        for name, parameter in every:
            full, known = name if key is None else f"{key}.{name}", first.get(id(parameter))
            if known not in (None, full):
                found.setdefault(known, []).append(full)
    return found


def group_names(model: nn.Module | Named, optimizer: Optimizer) -> list[list[str]]:
    """Return, for each of the optimizer's groups, the names of its parameters.

    An optimizer's own state dict knows only their positions.

    Raises:
        ValueError: a parameter is not the model's.

    >>> import torch
    >>> model = nn.Linear(3, 2)
    >>> group_names(model, torch.optim.SGD(model.parameters(), lr=0.1))
    [['weight', 'bias']]
    """
    names = {id(parameter): name for name, parameter in named_parameters(model).items()}
    try:
        return [[names[id(p)] for p in group["params"]] for group in optimizer.param_groups]
    except KeyError:
        raise ValueError(
            "the optimizer holds a parameter that is not the model's, so its state could "
            "not be matched by name; pass every module that it trains, as in "
            'model={"generator": ..., "critic": ...}'
        ) from None
