"""Containers of every class, as pickles of every protocol keep them."""

import argparse
import collections
import dataclasses
import pickle

import pytest

from helpers.model_files.following import follow
from helpers.model_files.pickle_instructions import Made
from helpers.model_files.pickled_containers import inside, pairs


class Mapping(dict):
    """A mapping of somebody's own."""


class Ordered(collections.OrderedDict):
    """And an ordered one."""


class Row(list):
    """A list of somebody's own."""


@dataclasses.dataclass(slots=True)
class Slots:
    """No dict behind it."""

    w: object


class Plain:
    """Attributes alone."""

    def __init__(self, w):
        self.w = w


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    ("kind", "key"),
    [
        (lambda w: Mapping(w=w), "w"),
        (lambda w: Ordered(w=w), "w"),
        (lambda w: collections.defaultdict(list, w=w), "w"),
        (lambda w: argparse.Namespace(w=w), "w"),
        (Slots, "w"),
        (Plain, "w"),
        (lambda w: collections.deque([w]), 0),
        (lambda w: Row([w]), 0),
        (lambda w: [w], 0),
        (lambda w: (w,), 0),
    ],
)
def test_what_is_in_a_container_is_found(kind, key, protocol):
    found = dict(inside(follow(pickle.dumps(kind({"a": 1}), protocol)).value))
    assert found[key].items == ["a", 1]


def test_what_could_hold_no_tensor_is_not_looked_into():
    assert inside([1, 2]) is None and inside(Made("my.Own")) is None
    assert pairs(Made("my.Own", (), None, ["a", 1])) is None
