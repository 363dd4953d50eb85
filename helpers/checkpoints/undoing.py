"""Remember what objects hold, and put it back when something fails. No object is copied.

Save, Load, Ship 0.2.0: helpers/checkpoints/undoing.py · repairs: CHANGELOG.md
"""

import random
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
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
    steps: list[Callable[[], None]] = []
    held = nn.Module()  # its buffers are put back with all the care that a model's are
    with ExitStack() as stack:
        for value in _reach(things, set(known)):
            if isinstance(value, Tensor):
                held.register_buffer(str(len(held._buffers)), value)
            elif isinstance(value, nn.Module):
                stack.enter_context(all_or_nothing(value))
            else:
                steps += _ways_back(value)
        stack.enter_context(all_or_nothing(held))
        try:
            yield
        except BaseException as error:
            for step in steps:
                for attempt in (1, 2):  # another Ctrl-C stops none of them
                    try:
                        step()
                        break
                    except BaseException as failure:
                        if attempt == 2:
                            error.add_note(f"could not be put back: {failure!r}")
            raise


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
    if isinstance(value, dict):
        yield partial(_refill_dict, value, list(dict.items(value)))
    elif isinstance(value, list | set | deque | bytearray):
        yield partial(_refill, value, list(value))
    elif isinstance(value, np.ndarray):
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
        value.__dict__ = attributes


def _refill_dict(value: dict, before: list[tuple[Any, Any]]) -> None:
    if [(id(k), id(v)) for k, v in dict.items(value)] == [
        (id(k), id(v)) for k, v in before
    ]:
        return
    base = OrderedDict if isinstance(value, OrderedDict) else dict
    base.clear(value)
    for key, content in before:  # not update(): a Counter would add
        base.__setitem__(value, key, content)


def _refill(value: Any, before: list[Any]) -> None:
    if [*map(id, value)] == [*map(id, before)]:
        return
    value.clear()
    (value.update if isinstance(value, set) else value.extend)(before)
