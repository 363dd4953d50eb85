"""What objects that are no tensors are made of, so that they can be compared and weighed.

Save, Load, Ship 0.2.0: helpers/state_dicts/object_parts.py · repairs: CHANGELOG.md
"""

import copyreg
from collections import deque
from collections.abc import Hashable, Mapping
from dataclasses import is_dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

_EXACT = (type(None), bool, int, float, complex, str, bytes)


def object_parts(value: Any) -> tuple[Any, list[Any]] | None:
    """Return (form, parts) of a container, data class or array of objects; None of others.

    >>> object_parts({"b": 1, "a": [2]})[1]
    [[2], 1]
    >>> object_parts(7) is None
    True
    """
    kind = type(value)
    if isinstance(value, Mapping):
        # True and 1 are one key for Python, and two values.
        keys = {_key(key): key for key in value}
        return (kind, frozenset(keys)), [value[keys[key]] for key in sorted(keys, key=repr)]
    if isinstance(value, list | tuple | deque):
        return (kind, len(value), getattr(value, "maxlen", None)), list(value)
    if isinstance(value, set | frozenset):
        known = {_key(one): one for one in value if _is_told_by_value(one)}
        others = [one for one in value if not _is_told_by_value(one)]
        form = kind, frozenset(known), len(others)
        return form, [known[key] for key in sorted(known, key=repr)] + others
    if kind is np.ndarray and value.dtype.hasobject:
        return (str(value.dtype), value.shape), [*value.flat]
    is_record = is_dataclass(value) and not isinstance(value, type)
    return reduced(value) if is_record or isinstance(value, SimpleNamespace) else None


def reduced(value: Any) -> tuple[Any, list[Any]] | None:
    """Return (form, parts) of any object as pickle takes it apart; None if it refuses.

    >>> from datetime import timedelta
    >>> reduced(timedelta(days=1))[1][0]
    (1, 0, 0)
    >>> reduced(lambda: 0) is None
    True
    """
    kind = type(value)
    try:
        take = copyreg.dispatch_table.get(kind)
        found = take(value) if take else value.__reduce_ex__(4)
    except Exception:  # of a lock, a generator, a class of somebody
        return None
    if isinstance(found, str):  # the name of a global
        return (kind, found, getattr(value, "__module__", None)), []
    make, given, *rest = found
    state, items, pairs = (rest + [None] * 3)[:3]
    pairs = None if pairs is None else dict(pairs)
    return (kind, make), [given, state, None if items is None else list(items), pairs]


def is_told_by_order(value: Any) -> bool:
    """Return whether nobody can say which part of a set is which in another set.

    >>> import torch
    >>> is_told_by_order({1, 2}), is_told_by_order({torch.ones(1), torch.ones(1)})
    (False, True)
    """
    is_set = isinstance(value, set | frozenset)
    return is_set and sum(not _is_told_by_value(one) for one in value) > 1


def _is_told_by_value(one: Any) -> bool:
    if isinstance(one, tuple | frozenset):
        return all(map(_is_told_by_value, one))
    return type(one) in _EXACT


def _key(key: Any) -> Hashable:
    """Return what is equal for keys of one type that are the same to the last bit."""
    if isinstance(key, tuple):
        return type(key), tuple(map(_key, key))
    if isinstance(key, frozenset):
        return type(key), frozenset(map(_key, key))
    return type(key), repr(key) if type(key) in (float, complex) else key
