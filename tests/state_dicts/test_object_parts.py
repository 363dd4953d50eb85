"""What is no tensor: the same to the last bit, or not, or nobody can say."""

import math
import operator
import threading
from collections import Counter, OrderedDict, UserDict, deque
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from helpers.state_dicts import compare
from helpers.state_dicts.differences import NotComparableError, is_same
from helpers.state_dicts.object_parts import is_told_by_order, object_parts, reduced
from tests.state_dicts.loops import Holder

NAN = float("nan")


@dataclass
class Record:
    value: object = None


@dataclass(slots=True)
class Slotted:
    value: object = None


class Pair(NamedTuple):
    value: object
    other: object = 1


class Colour(Enum):
    RED = 1
    BLUE = 2


class Plain:
    def __init__(self, value):
        self.value = value


class Equal(Plain):
    """Calls everything equal."""

    def __eq__(self, other):
        return True

    __hash__ = None


def cells(*values):
    made = np.empty(len(values), dtype=object)
    made[:] = values
    return made


WRAPPERS = {
    "list": lambda v: [v],
    "dict": lambda v: {"a": v},
    "ordered": lambda v: OrderedDict(a=v),
    "user dict": lambda v: UserDict(a=v),
    "deque": lambda v: deque([v]),
    "record": Record,
    "slots": Slotted,
    "namespace": lambda v: SimpleNamespace(a=v),
    "named tuple": Pair,
    "cells": cells,
}
ZERO = torch.zeros(1)
DIFFERENT = {
    "dtype of a tensor": (ZERO, ZERO.double()),
    "shape of a tensor": (ZERO, ZERO[0]),
    "zero of a tensor": (ZERO, -ZERO),
    "dtype of an array": (np.ones(1, np.float32), np.ones(1)),
    "whole numbers": (np.array([1]), np.array([1.0])),
    "shape of an array": (np.array([1]), np.array(1)),
    "zero of an array": (np.array([0.0]), np.array([-0.0])),
    "arrays": (np.array([1, 2]), np.array([1, 3])),
    "numbers of NumPy": (np.float32(1), np.float32(2)),
    "zero": (0.0, -0.0),
    "zero of a complex": (complex(0, 0.0), complex(0, -0.0)),
    "True and 1": (True, 1),
    "1 and 1.0": (1, 1.0),
    "classes": (int, float),
    "members": (Colour.RED, Colour.BLUE),
    "dtypes": (torch.float32, torch.float64),
    "sets": ({1}, {True}),
    "functions of C": (math.pow, operator.pow),
}
SAME = {
    "NaN": lambda: float("nan"),
    "NaN of NumPy": lambda: np.float32("nan"),
    "complex NaN": lambda: complex("nan"),
    "array": lambda: np.array([1.0, NAN]),
    "transposed array": lambda: np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "set of NaN": lambda: {float("nan")},
    "set": lambda: frozenset({1, "a", (2.0, None)}),
    "tensor in a set": lambda: {torch.ones(1)},
    "decimal": lambda: Decimal("0.10"),
    "member": lambda: Colour.RED,
    "device": lambda: torch.device("cpu"),
    "plain": lambda: Plain([torch.ones(2)]),
    "equal": lambda: Equal(NAN),
    "class": lambda: Plain,
    "function": lambda: cells,
    "storage": lambda: torch.ones(2).untyped_storage(),
    "counter": lambda: Counter("aab"),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("kind", DIFFERENT)
def test_what_differs_is_never_called_the_same(kind, wrapper):
    a, b = DIFFERENT[kind]
    assert not is_same(a, b)
    assert not is_same(WRAPPERS[wrapper](a), WRAPPERS[wrapper](b))


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("kind", SAME)
def test_what_is_the_same_is_never_called_different(kind, wrapper):
    make = SAME[kind]
    assert is_same(make(), make())
    assert is_same(WRAPPERS[wrapper](make()), WRAPPERS[wrapper](make()))


@pytest.mark.parametrize(
    "a, b",
    [
        ({True: 1}, {1: 1}),
        ({0.0: 1}, {-0.0: 1}),
        ({(1, 0.0): 1}, {(1, -0.0): 1}),
        (deque([1], maxlen=2), deque([1], maxlen=3)),
        ({1, 2}, {1, 3}),
        ({1}, frozenset({1})),
        ({ZERO}, {ZERO, 1}),
        ({1, ZERO, ZERO[0]}, {2, ZERO, ZERO[0]}),
        (Record(1), Slotted(1)),
        # Of the first one nobody can say it, but the second one surely differs.
        ([Plain(1), 2], [Plain(2), 3]),
        ([threading.Lock(), 1], [threading.Lock(), 2]),
    ],
)
def test_other_keys_and_forms_differ(a, b):
    assert not is_same(a, b) and not is_same(b, a)


def test_keys_are_the_same_in_any_order_and_nan_is_one():
    assert is_same({"a": 1, NAN: [2]}, {float("nan"): [2], "a": 1})


@pytest.mark.parametrize(
    "a, b, why",
    [
        (Plain(1), Plain(2), "objects of type Plain are equal"),
        (Plain(ZERO), Plain(ZERO.half()), "objects of type Plain are equal"),
        (Equal(ZERO), Equal(-ZERO), "objects of type Equal are equal"),
        ([threading.Lock()], [threading.Lock()], "objects of type lock are equal"),
        (np.ma.array([1, 2]), np.ma.array([1, 2], mask=[0, 1]), "of type MaskedArray"),
        (*2 * ({torch.zeros(1), torch.ones(1)},), "which part of a set is which"),
    ],
)
def test_what_nobody_can_say_is_said(a, b, why):
    with pytest.raises(NotComparableError, match=why):
        is_same(a, b)
    found = compare(Holder(a), Holder(b))
    assert "_extra_state" in found.not_compared and not found.identical


def test_an_object_is_the_same_as_itself():
    lock = threading.Lock()
    assert is_same([lock], [lock]) and is_same(lambda: 0, 1) is False


def test_the_parts_are_the_objects_themselves():
    tensor = torch.ones(2)
    for wrap in WRAPPERS.values():
        assert any(part is tensor for part in _deep(wrap(tensor)))
    assert object_parts("text") is None and reduced(threading.Lock()) is None
    assert not is_told_by_order({1, (2, "a"), torch.ones(1)})


def _deep(value):
    found = (object_parts(value) or (None, []))[1]
    return [*found, *(inner for part in found for inner in _deep(part))]


def test_a_freed_tensor_is_not_compared():
    net, other = nn.Linear(3, 2), nn.Linear(3, 2)
    net.weight.untyped_storage().resize_(0)
    found = compare(net, other)
    assert found.not_compared == ("weight",) and "bias" in found.different
    note = found.table().set_index("name").note["weight"]
    assert note == "no values: the memory was freed"
    assert compare({"a": net.weight}, {"a": other.weight.half()}).not_compared == ("a",)
