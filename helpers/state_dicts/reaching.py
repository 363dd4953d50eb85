"""What can be reached from objects, and how each gets its own contents back.

Whatever is read or written goes through the methods of dict, list, set and so on
themselves: those of a subclass may count, refuse, rename or log.

Save, Load, Ship 0.2.0: helpers/state_dicts/reaching.py · repairs: CHANGELOG.md
"""

import random
from array import array
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import lru_cache, partial
from inspect import ismemberdescriptor
from itertools import chain
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple
from weakref import ProxyTypes

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

_ATOMS = {type(None), bool, int, float, complex, str, bytes}
_CODE = (type, FunctionType, ModuleType, *ProxyTypes)
# What other threads change meanwhile must not be put back, nor what a compiler caches.
_LIVE = (
    *("threading", "_thread", "queue", "_queue", "multiprocessing", "concurrent"),
    *("asyncio", "logging", "weakref", "_weakrefset", "torch._dynamo", "torch._inductor"),
    *("torch._functorch", "torch._subclasses", "torch.fx"),
)
_ALL = slice(None)
_NOTHING = type("nothing", (), {})


def _owner(method: Any) -> list[Any]:
    return [method.__self__]


def _of_tensor(tensor: Tensor) -> list[Any]:
    gradient = tensor.grad if tensor.is_leaf else None
    return [gradient, *vars(tensor).values()]


# What an object of a kind holds beside its attributes; the first that fits counts.
_INSIDE: dict[type, Callable[[Any], Iterable[Any]]] = {
    Tensor: _of_tensor,
    torch.jit.ScriptModule: lambda m: chain(m.modules(), m.parameters(), m.buffers()),
    dict: lambda d: chain(dict.keys(d), dict.values(d)),
    list: list.__iter__,
    tuple: tuple.__iter__,
    set: set.__iter__,
    frozenset: frozenset.__iter__,
    deque: deque.__iter__,
    np.ndarray: lambda a: a.flat if a.dtype.hasobject else (),
    np.random.Generator: lambda g: [g.bit_generator],
    partial: lambda p: [p.func, p.args, p.keywords],
    MethodType: _owner,
    BuiltinFunctionType: _owner,
}


def reach(things: Iterable[Any], known: Collection[int] = ()) -> Iterator[Any]:
    """Yield, each once, what can be reached from the things and may change.

    Followed are attributes, slots, containers, keys, tensors with their gradients, arrays
    of objects, the owner of a bound method, what a partial was given. Not followed are
    functions, classes, what other threads change, and what only C code knows, such as an
    iterator. Of a data set without a `load_state_dict` it is its attributes alone, not what
    they refer to, which may be all the data.

    Args:
        things: where to begin.
        known: the id of each object that is not to be followed.

    >>> history = [0.5]
    >>> [*reach([{"add": history.append}])][-1] is history
    True
    """
    seen: dict[int, Any] = dict.fromkeys(known)  # alive, so that no id is given again
    waiting = list(things)
    while waiting:
        value = waiting.pop()
        kind: Any = type(value)  # isinstance would ask a proxy for its class
        if kind in _ATOMS or id(value) in seen:
            continue
        seen[id(value)] = value
        how = _how(kind)
        if not how.is_followed:
            continue
        yield value
        attributes = _attributes_of(value)
        if how.is_data:
            if attributes is not None and id(attributes) not in seen:
                yield seen.setdefault(id(attributes), attributes)
            continue
        found = [*how.inside(value)] if how.inside else []
        found += [_slot(value, slot) for slot in how.slots]
        found += [attributes]
        waiting += [one for one in found if type(one) not in _ATOMS]


def _is_followed(kind: type) -> bool:
    if issubclass(kind, Tensor | nn.Module):
        return True
    is_live = f"{kind.__module__}.".startswith(tuple(f"{name}." for name in _LIVE))
    return not (is_live or issubclass(kind, _CODE))


class _How(NamedTuple):
    """What is to be done with the objects of a class."""

    is_followed: bool
    is_data: bool  # its own attributes count, and nothing in them
    inside: Callable[[Any], Iterable[Any]] | None
    container: tuple[Callable[[Any], Any], Callable[[Any, Any], None]] | None
    generator: tuple[Callable[[Any], Any], Callable[[Any, Any], Any]] | None
    slots: list[Any]  # the descriptors


@lru_cache(512)  # asked for every object; bounded, since it keeps classes alive
def _how(kind: Any) -> _How:
    def of(table: dict[type, Any]) -> Any:
        return next(
            (entry for base, entry in table.items() if issubclass(kind, base)), None
        )

    classes = [c for c in kind.__mro__ if "__slots__" in vars(c)]
    slots = [d for c in classes for d in vars(c).values() if ismemberdescriptor(d)]
    is_data = issubclass(kind, Dataset) and not issubclass(kind, nn.Module)
    is_data = is_data and not hasattr(kind, "load_state_dict")
    ways = of(_INSIDE), of(_CONTAINERS), of(_GENERATORS)
    return _How(_is_followed(kind), is_data, *ways, slots)


def _slot(value: Any, slot: Any) -> Any:
    try:
        return slot.__get__(value)
    except AttributeError:
        return _NOTHING


def _attributes_of(value: Any) -> dict[str, Any] | None:
    kind = type(value)
    is_empty = kind is OrderedDict and not value  # a module's hooks, by the thousand
    if not kind.__dictoffset__ or issubclass(kind, Tensor) or is_empty:
        return None
    found = object.__getattribute__(value, "__dict__")
    is_own = found is object.__getattribute__(value, "__dict__")  # not made when asked for
    return found if is_own and type(found) is dict else None


def _refill_dict(base: type[dict], value: dict, before: list[Any]) -> None:
    base.clear(value)
    for key, content in zip(before[::2], before[1::2], strict=True):
        base.__setitem__(value, key, content)


def _refill(base: Any, value: Any, before: list[Any]) -> None:
    base.clear(value)
    (base.update if base is set else base.extend)(value, before)


# How a container is read, and filled. An OrderedDict has an order of its own.
_CONTAINERS: dict[type, tuple[Callable[[Any], Any], Callable[[Any, Any], None]]] = {
    OrderedDict: (
        lambda d: [*chain.from_iterable(OrderedDict.items(d))],
        partial(_refill_dict, OrderedDict),
    ),
    dict: (lambda d: [*chain.from_iterable(dict.items(d))], partial(_refill_dict, dict)),
    list: (list.copy, lambda value, before: list.__setitem__(value, _ALL, before)),
    set: (lambda s: [*set.__iter__(s)], partial(_refill, set)),
    deque: (lambda d: [*deque.__iter__(d)], partial(_refill, deque)),
    bytearray: (
        lambda b: [*bytearray.__iter__(b)],
        lambda value, before: bytearray.__setitem__(value, _ALL, before),
    ),
    array: (
        lambda a: array.__getitem__(a, _ALL),
        lambda value, before: array.__setitem__(value, _ALL, before),
    ),
}
# How a generator of random numbers gives its state, and takes it.
_GENERATORS: dict[type, tuple[Callable[[Any], Any], Callable[[Any, Any], Any]]] = {
    torch.Generator: (torch.Generator.get_state, torch.Generator.set_state),
    np.random.RandomState: (
        np.random.RandomState.get_state,
        np.random.RandomState.set_state,
    ),
    random.Random: (random.Random.getstate, random.Random.setstate),
    np.random.BitGenerator: (
        lambda bits: bits.state,
        lambda bits, state: setattr(bits, "state", state),
    ),
}


def ways_back(value: Any) -> Iterator[Callable[[], None]]:
    """Yield what to do, later, to have an object as it is now; a tensor's memory apart.

    Only what differs then is written.

    >>> losses = [0.5]
    >>> steps = [*ways_back(losses)]
    >>> losses.append(0.4)
    >>> for step in steps:
    ...     step()
    >>> losses
    [0.5]
    """
    kind: Any = type(value)
    how = _how(kind)
    if how.container:
        read, fill = how.container
        yield partial(_fill_back, value, read, fill, read(value))
    if how.generator:
        get, put = how.generator
        yield partial(put, value, get(value))
    if issubclass(kind, np.ndarray) and value.flags.writeable:
        plain = value.view(np.ndarray)
        yield partial(np.copyto, plain, plain.copy())
    if how.slots:
        before = [(slot, _slot(value, slot)) for slot in how.slots]
        yield partial(_slots_back, value, before)
    if (attributes := _attributes_of(value)) is not None:
        yield partial(_attributes_back, value, kind, attributes)


def _fill_back(value: Any, read: Callable, fill: Callable, before: Any) -> None:
    now = read(value)
    if len(now) != len(before) or any(map(lambda a, b: a is not b, now, before)):
        fill(value, before)


def _slots_back(value: Any, before: list[tuple[Any, Any]]) -> None:
    for slot, content in before:
        if _slot(value, slot) is content:
            continue
        if content is _NOTHING:
            slot.__delete__(value)
        else:
            slot.__set__(value, content)


def _attributes_back(value: Any, kind: type, attributes: dict[str, Any]) -> None:
    if type(value) is not kind:  # a lazy layer that got a shape
        object.__setattr__(value, "__class__", kind)
    if _attributes_of(value) is not attributes:
        object.__setattr__(value, "__dict__", attributes)
