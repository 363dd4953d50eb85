"""What is held comes back, however deep, and no subclass notices."""

import argparse
import random
from array import array
from collections import Counter, OrderedDict, UserDict, defaultdict, deque
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from helpers.state_dicts.reaching import reach
from helpers.state_dicts.restoring import all_or_nothing, unchanged_on_error
from helpers.state_dicts.trying import unchanged
from tests.state_dicts.samples import content


def refuse(self, *arguments, **named):
    raise AssertionError("a subclass's own method was called")


OWN = (
    *("__setitem__", "__delitem__", "__iter__", "update", "clear", "pop", "extend"),
    *("append", "add", "items", "keys", "values", "copy", "setdefault", "__setattr__"),
)


def guarded(base):
    """Return a subclass that refuses whatever its base class defines."""
    return type(
        f"Guarded{base.__name__}", (base,), {n: refuse for n in OWN if hasattr(base, n)}
    )


GUARDED = {
    "dict": (guarded(dict), [("a", 1), ("b", 2)]),
    "ordered": (guarded(OrderedDict), [("a", 1)]),
    "list": (guarded(list), [1, 2]),
    "set": (guarded(set), [1, 2]),
    "deque": (guarded(deque), [1, 2]),
    "bytearray": (guarded(bytearray), b"ab"),
}


def made(kind):
    cls, items = GUARDED[kind]
    thing = cls.__new__(cls)
    base = cls.__base__
    if issubclass(base, dict):
        for key, value in items:
            base.__setitem__(thing, key, value)
    else:
        base.__init__(thing, items)
    return thing


def inside(thing):
    base = type(thing).__base__
    return [*base.items(thing)] if issubclass(base, dict) else [*base.__iter__(thing)]


@pytest.mark.parametrize("kind", GUARDED)
def test_no_method_of_a_subclass_is_called_and_what_changed_comes_back(kind):
    net = nn.Linear(1, 1)
    net.thing = thing = made(kind)
    before = inside(thing)
    with unchanged(net):
        pass
    assert inside(thing) == before
    with unchanged(net):
        type(thing).__base__.clear(thing)
        net.thing = None
    assert net.thing is thing and inside(thing) == before


def test_containers_that_behave_in_their_own_way_keep_what_they_hold():
    class Upper(dict):
        def __setitem__(self, key, value):
            super().__setitem__(key.upper(), value)

    net = nn.Linear(1, 1)
    net.seen, net.own = Counter(cat=3), Upper()
    net.own["a"] = 1
    for _ in range(2):
        with unchanged(net):
            net.seen["dog"] += 1
            net.own["b"] = 2
        assert net.seen == Counter(cat=3) and net.own == {"A": 1}


@dataclass
class Cache:
    keys: list
    length: int = 0


class Slots:
    __slots__ = ("deep", "late")


def a_slot():
    thing = Slots()
    thing.deep = {"a": [1]}
    return thing


def an_array_of_objects():
    cells = np.empty(1, dtype=object)
    cells[0] = [0]
    return cells


def with_an_attribute():
    tensor = torch.zeros(2)
    tensor.scales = [torch.ones(1)]
    return tensor


def a_gradient():
    weight = torch.ones(2, requires_grad=True)
    weight.grad = torch.ones(2)
    return weight


def late(thing):
    thing.late = 1
    thing.deep["a"].append(2)


# What a model may hold, how it is changed in place, and what then must be as before.
HELD = {
    "tensor": (lambda: torch.zeros(2), lambda t: t.add_(1), content),
    "list of tensors": (lambda: [torch.zeros(2)], lambda v: v[0].add_(1), content),
    "nested": (lambda: {"a": [({"b": [1]},)]}, lambda v: v["a"][0][0]["b"].append(2), repr),
    "array": (lambda: np.zeros(2), lambda a: a.__iadd__(1), repr),
    "typed array": (lambda: array("d", [0.5]), lambda a: a.append(1), repr),
    "objects": (an_array_of_objects, lambda a: a[0].append(1), repr),
    "own object": (lambda: argparse.Namespace(n=[0]), lambda v: v.n.append(1), repr),
    "cache": (lambda: Cache([torch.zeros(2)]), lambda c: c.keys[0].add_(1), repr),
    "user dict": (lambda: UserDict(a=[1]), lambda d: d["a"].append(1), repr),
    "default": (lambda: defaultdict(list), lambda d: d["a"].append(1), repr),
    "slots": (a_slot, late, lambda v: (v.deep, hasattr(v, "late")).__repr__()),
    "set of objects": (lambda: {(1, Cache([]))} if 0 else {1}, lambda s: s.add(2), repr),
    "modules": (lambda: [nn.Linear(1, 1)], lambda v: v[0].weight.data.zero_(),
                lambda v: repr(v[0].weight)),
    "attribute of a tensor": (with_an_attribute, lambda t: t.scales[0].zero_(),
                              lambda t: repr(t.scales)),
    "gradient": (a_gradient, lambda t: t.grad.zero_(), lambda t: repr(t.grad)),
    "torch's generator": (torch.Generator, lambda g: torch.rand(1, generator=g),
                          lambda g: content(g.get_state())),
    "numpy's generator": (np.random.default_rng, lambda g: g.random(),
                          lambda g: repr(g.bit_generator.state)),
    "python's generator": (random.Random, lambda g: g.random(), lambda g: g.getstate()),
    "bound method": (lambda: Cache([]).__repr__, lambda m: m.__self__.keys.append(1),
                     lambda m: m()),
    "method of a list": (lambda: [].append, lambda m: m(1), lambda m: m.__self__[:]),
    "partial": (lambda: partial(max, [1], key=[2].index), lambda p: p.args[0].append(3),
                repr),
}  # fmt: skip


@pytest.mark.parametrize("where", ["model", "others"])
@pytest.mark.parametrize("kind", HELD)
def test_what_is_held_and_changed_in_place_comes_back(kind, where):
    make, change, value_of = HELD[kind]
    net, thing = nn.Linear(1, 1), make()
    net.deep = {"in": [thing]}
    before = value_of(thing)
    undoing = all_or_nothing(net) if where == "model" else unchanged_on_error([net.deep])
    with pytest.raises(KeyError) as caught, undoing:
        change(thing)
        assert value_of(thing) != before, "nothing was changed: nothing was tested"
        raise KeyError
    assert net.deep["in"][0] is thing and value_of(thing) == before
    assert not hasattr(caught.value, "__notes__")


def test_what_did_not_change_is_not_even_written():
    net = nn.Linear(1, 1)
    net.recent = deque([1, 2])
    running = iter(net.recent)  # which notices
    with unchanged(net):
        pass
    assert next(running) == 1


@pytest.mark.filterwarnings("ignore")
def test_what_a_scripted_module_holds_comes_back_wherever_it_is():
    scripted = torch.jit.script(nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1)))
    before = {name: t.clone() for name, t in scripted.state_dict().items()}
    with pytest.raises(KeyError), unchanged_on_error([argparse.Namespace(a=[scripted])]):
        for tensor in scripted.state_dict().values():
            tensor.fill_(7)
        raise KeyError
    after = scripted.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_a_data_set_gets_its_own_attributes_back_and_is_not_looked_into():
    class Slotted(Dataset):
        __slots__ = ("at",)

    class Rows(list, Dataset):
        pass

    plain, slotted, rows = Dataset(), Slotted(), Rows([1])
    plain.at, plain.cache, slotted.at = 0, {}, 0
    model = nn.Linear(1, 1)
    model.data = [plain, slotted, rows]
    with pytest.raises(KeyError), all_or_nothing(model):
        plain.at, plain.cache, plain.new, slotted.at = 1, None, 2, 1
        rows.append(2)
        raise KeyError
    assert vars(plain) == {"at": 0, "cache": {}} and slotted.at == 0 and rows == [1]
    cells = [torch.ones(1)]
    plain.cells = cells
    reached = [*reach([plain, plain, [plain]])]
    assert not any(one is cells or one is cells[0] for one in reached)
    assert sum(one is plain for one in reached) == 1


def test_a_data_set_is_followed_if_it_has_a_state_to_load():
    class Plain(Dataset):
        def __init__(self):
            self.seen = []

    class Stateful(Plain):
        def load_state_dict(self, state):
            self.seen = state

    plain, stateful = Plain(), Stateful()
    owner = argparse.Namespace(both=[plain, stateful])
    with pytest.raises(KeyError), unchanged_on_error([owner]):
        plain.seen.append(1)
        stateful.seen.append(1)
        raise KeyError
    assert (plain.seen, stateful.seen) == ([1], [])


def test_an_object_is_reached_once_and_not_at_all_if_known():
    shared = [1]
    loop = {"a": shared, "b": (shared,)}
    loop["self"] = loop
    assert [one for one in reach([loop, loop]) if one is shared] == [shared]
    assert not [one for one in reach([loop], {id(shared)}) if one is shared]


def test_what_pretends_to_be_another_object_is_not_asked():
    class Pretends:
        def __init__(self):
            vars(self)["n"] = [1]

        def __getattribute__(self, name):
            raise AssertionError(name)

    one = Pretends.__new__(Pretends)
    object.__setattr__(one, "n", [1])
    with pytest.raises(KeyError), unchanged_on_error([one]):
        object.__getattribute__(one, "n").append(2)
        raise KeyError
    assert object.__getattribute__(one, "n") == [1]
