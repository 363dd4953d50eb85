"""Load a state dict into a model: in place, or as the memory that it does not have yet.

Save, Load, Ship 0.2.0: helpers/checkpoints/model_loading.py · repairs: CHANGELOG.md
"""

import copy
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from typing import Any

import torch
from torch import nn

from helpers.checkpoints.matching import live_state, meta_place, repeated
from helpers.checkpoints.parts import Named
from helpers.state_dicts.differences import is_same
from helpers.state_dicts.held_memory import swap_memory
from helpers.state_dicts.kinds import copied, dtype_name, in_words, is_empty_shell
from helpers.state_dicts.trying import unchanged
from helpers.state_dicts.written import unwritten

_LOST = (
    "{} does not hold what the file holds: its type ({}) does not take it, or another "
    "entry has the same memory and other values. Nothing was changed"
)


def load_model(
    model: nn.Module, state: dict[str, Any], taken: set[int], filled: set[int]
) -> None:
    """Load a state dict that fits, whose tensors are pages of a file.

    Args:
        model: keeps none of the file's pages, but for what is on the meta device.
        state: name -> value; changed.
        taken: addresses of the file's storages that some model has got; extended.
        filled: the id of each tensor that has got one; extended.

    Raises:
        RuntimeError: a tensor that another model has got filled is to hold other values.

    >>> with torch.device("meta"):
    ...     shell = nn.Linear(3, 2)
    >>> load_model(shell, state := nn.Linear(3, 2).state_dict(), set(), set())
    >>> shell.weight.is_meta
    False
    """
    apart = own_ways(model)
    places: dict[tuple, torch.Tensor] = {}
    with ExitStack() as stack:
        for name, own in live_state(model).items():
            is_apart = name.startswith(apart)
            if is_apart or not isinstance(own, torch.Tensor):
                state[name] = own_copy(state[name])  # it may be kept, or written to
            if not isinstance(own, torch.Tensor):
                continue
            if own.is_meta:
                place = meta_place(own)
                if place in places:  # tied by .data
                    swap_memory(
                        own, places[place].detach().requires_grad_(own.requires_grad)
                    )
                else:
                    _fill(own, own_copy(state[name]) if is_apart else state[name], taken)
                    places[place] = own
                filled.add(id(own))
            elif id(own) in filled and not is_same(own, state[name]):
                raise RuntimeError(_LOST.format(name, type(own).__name__))
            if id(own) in filled:
                if not is_apart:
                    state[name] = own  # copied onto itself: no page is touched
            elif own.is_inference():
                stack.enter_context(torch.inference_mode())  # may be written only so
            elif (once := repeated(own)) is not own:
                # copy_ refuses a tensor that repeats its values, except from itself.
                with torch.no_grad():
                    once.copy_(repeated(state[name], like=own))
                state[name] = own
        model.load_state_dict(state)


def own_ways(model: nn.Module) -> tuple[str, ...]:
    """Return how the names of entries begin that hooks or a class of its own may load.

    What does so may keep the tensors that it is given, or write to them.

    >>> own_ways(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)))
    ('1.',)
    """
    torchs, found = nn.Module, []
    for name, module in model.named_modules(remove_duplicate=False):
        kind = type(module)
        is_torchs = (
            kind._load_from_state_dict is torchs._load_from_state_dict
            and kind.load_state_dict is torchs.load_state_dict
            and "load_state_dict" not in vars(module)
        )
        hooks = (module._load_state_dict_pre_hooks, module._load_state_dict_post_hooks)
        if any(hooks) or not is_torchs:
            found.append(f"{name}." if name else "")
    return tuple(found)


def takes_other_sizes(model: nn.Module, state: Mapping[str, Any]) -> bool:
    """Try whether modules that load in their own way take other shapes from a state.

    As the observers of quantization-aware training do. The model is as before.

    >>> model = nn.BatchNorm1d(2)
    >>> takes_other_sizes(model, nn.BatchNorm1d(3).state_dict())
    False
    """
    own, apart = live_state(model), own_ways(model)
    if own.keys() != state.keys() or any(map(nn.parameter.is_lazy, own.values())):
        return False
    other = [name for name in own if in_words(own[name]) != in_words(state[name])]
    may_fit = [
        name.startswith(apart)
        and dtype_name(own[name]) == dtype_name(state[name])
        and not is_empty_shell(own[name])
        for name in other
    ]
    if not may_fit or not all(may_fit):
        return False
    with unchanged(model), suppress(Exception):
        model.load_state_dict(own_copy(state))
        own = live_state(model)  # what passes over an entry has not taken it
        return all(in_words(own[name]) == in_words(state[name]) for name in other)
    return False


def require_written(models: Named, states: Mapping[Any, Mapping[str, Any]]) -> None:
    """Look whether loaded models hold what their states hold, each and all together.

    What a class or a hook loads in its own way is not looked at.

    Raises:
        RuntimeError: an entry holds something else.

    >>> model = nn.Linear(3, 2)
    >>> require_written({None: model}, {None: model.state_dict()})
    """
    targets, wanted = {}, {}
    for key, model in models.items():
        apart = own_ways(model)
        for name, own in live_state(model).items():
            if isinstance(own, torch.Tensor) and not name.startswith(apart):
                where = name if key is None else f"{key}.{name}"
                targets[where], wanted[where] = own, states[key][name]
    if lost := unwritten(targets, wanted):
        raise RuntimeError(_LOST.format(lost, type(targets[lost]).__name__))


def own_copy(value: Any) -> Any:
    """Return a copy of what is still pages of the file.

    >>> value = [torch.ones(2)]
    >>> own_copy(value)[0].data_ptr() == value[0].data_ptr()
    False
    """
    try:
        return copy.deepcopy(value)
    except Exception:  # sparse CSR and others cannot be copied deeply
        return copied(value)


@torch.inference_mode(False)
def _fill(own: torch.Tensor, value: torch.Tensor, taken: set[int]) -> None:
    """Give a tensor on the meta device the file's memory; it stays the same object.

    Two of the run's tensors must not become one, nor one repeat its elements, nor one of
    another layout take the place of the model's: those get a copy.
    """
    place = value.untyped_storage().data_ptr()
    is_another = value.stride() != own.stride() or value.is_conj() or value.is_neg()
    if (
        is_another
        or place in taken
        or value.is_inference()
        or torch._debug_has_internal_overlap(value)
    ):
        value = torch.empty_like(own, device=value.device).copy_(value)
    taken.add(place)
    swap_memory(own, value.detach().requires_grad_(own.requires_grad))
