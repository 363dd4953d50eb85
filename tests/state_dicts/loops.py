"""Values that hold themselves, that share, and that are nested deeply."""

import functools
from collections import OrderedDict

import torch


def own_dict():
    value = {"n": torch.ones(2)}
    value["self"] = value
    return value


def own_list():
    value = [torch.ones(2)]
    value.append(value)
    return value


def through_a_tuple():
    value = {"n": torch.ones(2)}
    value["deep"] = [(value, (value,))]
    return value


def own_ordered():
    value = OrderedDict(n=torch.ones(2))
    value["self"] = value
    return value


def two_paths():
    """Return what has 2**60 ways to its only tensor."""
    value = [torch.ones(2)]
    for _ in range(60):
        value = [value, value]
    return value


def nested(put_in, levels=5_000):
    return functools.reduce(lambda value, _: put_in(value), range(levels), torch.ones(2))


LOOPS = {
    each.__name__: each
    for each in (own_dict, own_list, through_a_tuple, own_ordered, two_paths)
}
DEEP = {
    "dicts": lambda: nested(lambda value: {"in": value}),
    "lists": lambda: nested(lambda value: [value]),
    "tuples": lambda: nested(lambda value: (value,)),
    "ordered": lambda: nested(lambda value: OrderedDict(a=value)),
}


class Holder(torch.nn.Linear):
    """Has such a value as its extra state."""

    def __init__(self, value):
        super().__init__(2, 1)
        self.value = value

    def get_extra_state(self):
        return self.value

    def set_extra_state(self, state):
        self.value = state


def tensor_in(value):
    """Return the tensor in a value."""
    while not isinstance(value, torch.Tensor):
        inside = value.values() if isinstance(value, dict) else value
        value = next(iter(inside))
    return value
