"""Remember what objects hold, and put it back when something fails. No object is copied.

Save, Load, Ship 0.2.0: helpers/checkpoints/undoing.py · repairs: CHANGELOG.md
"""

import random
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from inspect import ismemberdescriptor
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any
from weakref import ProxyTypes

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from helpers.state_dicts.restoring import all_or_nothing

_ATOMS = (type(None), bool, int, float, complex, str, bytes)
_CODE = (type, FunctionType, BuiltinFunctionType, MethodType, ModuleType, *ProxyTypes)
# What other threads change meanwhile must not be put back.
_LIVE = ("threading", "queue", "multiprocessing", "concurrent", "asyncio", "logging")
_NOTHING = type("nothing", (), {})
# How a kind of object gives its state, and takes it.
_GENERATORS = {
    torch.Generator: ("get_state", "set_state"),
    np.random.RandomState: ("get_state", "set_state"),
    random.Random: ("getstate", "setstate"),
}


@contextmanager
def unchanged_on_error(things: list[Any], known: Collection[int] = ()) -> Iterator[None]:
    """Put things back as they were when the block raises anything, even Ctrl-C.

    Followed, to any depth: attributes, containers, modules, tensors, arrays, generators of
    random numbers. Each stays the same object and gets its own contents back. Not followed:
    functions, classes, datasets, and what only C code knows, such as an iterator.

    Args:
        things: what may change.
        known: the id of each object that is not to be followed.

    >>> history = {"losses": [0.5], "best": torch.ones(2)}
    >>> try:
    ...     with unchanged_on_error([history]):
    ...         history["losses"].append(0.4)
    ...         history["best"] += 1
    ...         raise KeyboardInterrupt
    ... except KeyboardInterrupt:
    ...     history
    {'losses': [0.5], 'best': tensor([1., 1.])}
    """
    held = nn.Module()  # all that a model may hold is put back as a model's
    steps: list[tuple[str, Callable[[], None]]] = []
    for number, value in enumerate(_reach(things, set(known))):
        if isinstance(value, Tensor):
            held.register_buffer(str(number), value)
        elif isinstance(value, nn.Module):
            held.add_module(str(number), value)
        else:
            vars(held)[str(number)] = value
            steps += [(type(value).__name__, step) for step in _ways_back(value)]
    with all_or_nothing(held, steps):
        yield


def _reach(things: list[Any], seen: set[int]) -> Iterator[Any]:
    """Yield, each once, what can be reached from the things and may change."""
    waiting = list(things)
    while waiting:
        value = waiting.pop()
        kind = type(value)  # isinstance would ask a proxy for its class
        if issubclass(kind, (*_ATOMS, *_CODE, Dataset)) or id(value) in seen:
            continue
        seen.add(id(value))
        if kind.__module__.partition(".")[0] in _LIVE:
            continue
        yield value
        if issubclass(kind, Tensor | nn.Module):
            continue
        if issubclass(kind, dict):
            waiting += dict.values(value)
        elif issubclass(kind, list | tuple | set | frozenset | deque):
            waiting += value
        elif issubclass(kind, np.random.Generator):
            waiting.append(value.bit_generator)
        waiting += _slots(value).values()
        if isinstance(attributes := getattr(value, "__dict__", None), dict):
            waiting.append(attributes)


def _slots(value: Any) -> dict[Any, Any]:
    """Return what an object holds in `__slots__`, by descriptor."""
    classes = [c for c in type(value).__mro__ if "__slots__" in vars(c)]
    slots = [d for c in classes for d in vars(c).values() if ismemberdescriptor(d)]
    return {slot: getattr(value, slot.__name__, _NOTHING) for slot in slots}


def _fill_slot(value: Any, slot: Any, before: Any) -> None:
    if before is not _NOTHING:
        slot.__set__(value, before)
    elif getattr(value, slot.__name__, _NOTHING) is not _NOTHING:
        slot.__delete__(value)


def _ways_back(value: Any) -> Iterator[Callable[[], None]]:
    if isinstance(value, np.ndarray):
        if value.flags.writeable:
            yield partial(np.copyto, value, value.copy())
    elif isinstance(value, np.random.BitGenerator):
        yield partial(setattr, value, "state", value.state)
    for kind, (get, put) in _GENERATORS.items():
        if isinstance(value, kind):
            yield partial(getattr(value, put), getattr(value, get)())
    for slot, content in _slots(value).items():
        yield partial(_fill_slot, value, slot, content)
    if isinstance(attributes := getattr(value, "__dict__", None), dict):
        yield partial(_rebind, value, attributes)


def _rebind(value: Any, attributes: dict[str, Any]) -> None:
    if vars(value) is not attributes:
        object.__setattr__(value, "__dict__", attributes)
