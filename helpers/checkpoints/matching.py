"""Does the file fit what it is to be loaded into? Asked before anything changes.

Save, Load, Ship 0.2.0: helpers/checkpoints/matching.py · repairs: CHANGELOG.md
"""

from collections.abc import Iterator
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

from helpers.checkpoints.optimizers import order_problem
from helpers.checkpoints.parts import Named, class_problem, group_names, named_parameters
from helpers.checkpoints.plain import loading_problem
from helpers.state_dicts.differences import is_same
from helpers.state_dicts.held_memory import memory_of
from helpers.state_dicts.kinds import in_words, is_empty_shell, is_freed, kind_of

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
    ours = live_state(model)
    for prefix, wrapper in _PREFIXES.items() if ours else ():
        if set(saved) == {prefix + name for name in ours}:
            return f"its names begin with {prefix!r}, {wrapper}: wrap the model first"
        if set(ours) == {prefix + name for name in saved}:
            return f"only the model's names begin with {prefix!r}, {wrapper}: unwrap it"
    problems = [f"{name} is missing from the file" for name in ours if name not in saved]
    problems += [f"{name} is not in the model" for name in saved if name not in ours]
    owned = {
        id(tensor)
        for module in model.modules()
        for named in (module._parameters, module._buffers)
        if isinstance(named, dict)  # TorchScript has its own, and lends copies
        for tensor in named.values()
    }
    for name in ours:
        if name in saved and (
            problem := _entry_problem(ours[name], saved[name], id(ours[name]) in owned)
        ):
            problems.append(f"{name} {problem}")
    if not problems:
        problems = [
            f"{first} and {name} are one tensor in the model, and differ in the file"
            for first, name in _ties(ours)
            if not is_same(saved[first], saved[name])
        ]
    return _join(problems or [*_views_on_meta(ours)])


def live_state(model: nn.Module) -> dict[str, Any]:
    """Return the model's state dict with its own tensors in it, not detached ones.

    Where its class has a `state_dict()` that takes no keywords, with what that returns.

    >>> model = nn.Linear(3, 2)
    >>> live_state(model)["weight"] is model.weight
    True
    """
    try:
        return model.state_dict(keep_vars=True)
    except TypeError:
        return model.state_dict()


def meta_place(tensor: Tensor) -> tuple:
    """Return what is equal for two tensors on the meta device that would be one memory.

    >>> shell = torch.empty(2, device="meta")
    >>> meta_place(shell.data) == meta_place(shell) != meta_place(shell[:1])
    True
    """
    storage = tensor.untyped_storage()
    return storage._cdata, tensor.storage_offset(), tensor.shape, tensor.stride()


def _ties(state: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the names of two entries that are the same memory, seen alike."""
    first: dict[tuple, str] = {}
    for name, value in state.items():
        if isinstance(value, Tensor) and not kind_of(value) and value.numel():
            place = value.data_ptr(), value.dtype, value.shape, value.stride()
            place = meta_place(value) if value.is_meta else place
            if first.setdefault(place, name) != name:
                yield first[place], name


def _views_on_meta(state: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong where two entries are different parts of one memory to come."""
    first: dict[int, tuple[tuple, str]] = {}
    for name, value in state.items():
        if isinstance(value, Tensor) and value.is_meta and not kind_of(value):
            place = meta_place(value)
            known, other = first.setdefault(place[0], (place, name))
            if known != place:
                yield (
                    f"{other} and {name} are views of one memory in the model, and have "
                    "none (meta): build the model with memory"
                )


def _entry_problem(ours: Any, saved: Any, is_owned: bool) -> str | None:
    if nn.parameter.is_lazy(ours):
        return "of the model has no shape yet: run one batch through the model first"
    if any(map(is_freed, memory_of(ours))):
        return "of the model has lost its memory (as FSDP frees it): gather it first"
    if in_words(ours) != in_words(saved):
        return f"is {in_words(saved)} in the file, {in_words(ours)} in the model"
    if not isinstance(ours, Tensor):
        return None
    if is_empty_shell(ours):
        if (
            not is_owned
            or not ours.is_meta
            or kind_of(ours)
            or isinstance(ours, FakeTensor)
        ):
            return "of the model has no memory (meta, or fake): call model.to_empty() first"
        if ours._backward_hooks or ours._post_accumulate_grad_hooks:
            return "of the model has hooks and no memory (meta): register them afterwards"
        return None  # it gets the file's memory
    if repeated(ours) is not ours:
        once = repeated(saved, like=ours)
        if not is_same(saved, once.expand_as(saved)):
            return "repeats its values in the model (expand), and not in the file"
    elif kind_of(ours) and (problem := loading_problem(ours, saved)):
        return f"cannot be written: {problem}"
    return None


def repeated(tensor: Tensor, like: Tensor | None = None) -> Tensor:
    """Return each value once, as a view, of what `expand` made; else the tensor itself.

    Args:
        tensor: any tensor.
        like: the tensor whose repeated dimensions count, if not this one's.

    >>> repeated(torch.arange(3).expand(2, 3)).shape
    torch.Size([1, 3])
    """
    like = tensor if like is None else like
    if kind_of(like) or 0 not in like.stride():
        return tensor
    for dim, (step, size) in enumerate(zip(like.stride(), like.shape, strict=True)):
        if step == 0 and size > 1:
            tensor = tensor.narrow(dim, 0, 1)
    return tensor


def optimizer_problem(
    model: nn.Module | Named,
    optimizer: torch.optim.Optimizer,
    saved: dict[str, Any],
    state: dict[str, Any],
    shapes: dict[str, tuple],
) -> str | None:
    """Return why a saved state does not fit the optimizer, None if it does.

    Args:
        model: whose parameters the optimizer holds.
        optimizer: the one that is to take the state.
        saved: the class of the saved one, and its groups' parameter names.
        state: its state dict.
        shapes: name -> shape of the saved parameters.

    Raises:
        ValueError: the optimizer holds a parameter that is not the model's.

    >>> model = nn.Linear(3, 2)
    >>> saved = {"class": "SGD", "groups": [["weight", "bias"]]}
    >>> optimizer_problem(model, torch.optim.Adam(model.parameters()), saved, {}, {})
    'the optimizer is of class Adam, the saved one of class SGD'
    """
    if problem := class_problem("optimizer", optimizer, saved):
        return problem
    ours = group_names(model, optimizer)
    if sorted(map(sorted, ours)) != sorted(map(sorted, saved["groups"])):
        mine, theirs = set(chain(*ours)), set(chain(*saved["groups"]))
        problems = [f"{name} is not in the file" for name in sorted(mine - theirs)]
        problems += [f"{name} is only in the file" for name in sorted(theirs - mine)]
        why = _join(problems) or "the same parameters are grouped differently"
        return f"the optimizer's parameters differ: {why}"
    here = named_parameters(model)
    wrong = [
        f"{name} had shape {tuple(shapes[name])}, has {tuple(here[name].shape)}"
        for name in chain(*ours)
        if tuple(shapes[name]) != tuple(here[name].shape)
    ]
    return _join(wrong) or order_problem(ours, saved["groups"], state, shapes)


def _join(problems: list[str]) -> str | None:
    more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    return "; ".join(problems[:_SHOWN]) + more if problems else None
