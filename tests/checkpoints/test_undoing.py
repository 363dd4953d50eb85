"""All or nothing, for real: interrupted after every change, everything is as it was."""

import itertools
import random
import threading
from collections import Counter, OrderedDict, defaultdict, deque

import numpy as np
import pytest
import torch
from torch import nn

from helpers.checkpoints import load_checkpoint, save_checkpoint
from helpers.state_dicts.restoring import unchanged_on_error
from tests.checkpoints import test_optimizers, test_parts, test_schedulers
from tests.checkpoints.interrupts import interrupt_everywhere, photograph, plain_rng
from tests.checkpoints.runs import Run
from tests.checkpoints.test_model_loading import Bank
from tests.state_dicts.samples import KINDS, MODELS, model

REFUSED = {"quint4x2", "nested", "jagged", "uint4", "packed parameters", "subclass"}
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("kind", [k for k in (*KINDS, *MODELS) if k not in REFUSED])
def test_every_kind_of_model(tmp_path, monkeypatch, kind):
    path = save_checkpoint(tmp_path / "a.pt", model=model(kind, seed=1))
    net = model(kind, seed=2)
    every = 1 if kind in ("expanded", "CSR", "extra state", "inference") else 4
    assert interrupt_everywhere(monkeypatch, path, [net], every, model=net) > 3


@pytest.mark.parametrize("name", test_optimizers.ALL)
def test_every_optimizer(tmp_path, monkeypatch, name):
    runs = []
    for count in (3, 1):
        net = test_optimizers.make_model(embedding=name == "SparseAdam")
        optimizer = test_optimizers.make_optimizer(name, net)
        test_optimizers.steps(net, optimizer, count, seed=count)
        runs.append({"model": net, "optimizer": optimizer})
    path = save_checkpoint(tmp_path / "a.pt", **runs[0])
    every = 3 if name == "NAdam" else 23  # they share torch's own way of loading
    assert interrupt_everywhere(monkeypatch, path, runs[1], every, **runs[1]) > 10


@pytest.mark.parametrize("kind", ["Counts", "OwnState", "Text", "Lookahead"])
def test_optimizers_of_others(tmp_path, monkeypatch, kind):
    runs = []
    for count in (3, 1):
        net = test_optimizers.make_model()
        make = getattr(test_optimizers, kind)
        optimizer = (
            make(torch.optim.SGD(net.parameters(), momentum=0.9))
            if kind == "Lookahead"
            else make(net.parameters(), momentum=0.9)
        )
        test_optimizers.steps(net, optimizer, count, seed=count)
        runs.append({"model": net, "optimizer": optimizer})
    path = save_checkpoint(tmp_path / "a.pt", **runs[0])
    assert interrupt_everywhere(monkeypatch, path, runs[1], 7, **runs[1]) > 10


@pytest.mark.parametrize("make", test_schedulers.EACH)
def test_every_scheduler(tmp_path, monkeypatch, make):
    run = test_schedulers.Run(make, seed=1, steps=5, lr=torch.tensor(0.1))
    path = save_checkpoint(tmp_path / "a.pt", **run.parts)
    other = test_schedulers.Run(make, seed=2, steps=1, lr=torch.tensor(0.1))
    every = 11 if make is test_schedulers.chained else 31
    assert interrupt_everywhere(monkeypatch, path, other.parts, every, **other.parts) > 10


def test_a_model_that_takes_its_shapes_from_the_file(tmp_path, monkeypatch):
    path = save_checkpoint(tmp_path / "a.pt", model=nn.Sequential(Bank(3)))
    net = nn.Sequential(Bank(1))
    assert interrupt_everywhere(monkeypatch, path, [net], model=net) > 3


@pytest.mark.parametrize("kind", ["cpu", "meta"])
def test_generators_are_put_back_whatever_the_default_device_is(tmp_path, kind):
    class Draws:
        def state_dict(self):
            return {}

        def load_state_dict(self, state):
            random.random(), np.random.rand(), torch.rand(1, device="cpu")
            raise KeyError("no")

    net = nn.Linear(2, 2)
    before = plain_rng()
    with torch.device(kind):
        path = save_checkpoint(tmp_path / "a.pt", model=net, others={"it": Draws()})
        with pytest.raises(KeyError, match="no"):
            load_checkpoint(path, model=net, others={"it": Draws()})
    assert plain_rng() == before


class Merges(torch.optim.SGD):
    """Writes into the state that is there, as one that keeps its buffers' places does."""

    def __setstate__(self, state):
        for parameter, kept in state["state"].items():
            for key, value in kept.items():
                self.state[parameter][key].copy_(value)
            self.state[parameter]["seen"] = True
        raise ValueError("not mine")


def test_an_optimizer_that_writes_into_its_present_state_and_fails(tmp_path):
    runs = []
    for count in (3, 1):
        net = test_optimizers.make_model()
        kind = torch.optim.SGD if count == 3 else Merges
        optimizer = kind(net.parameters(), momentum=0.9)
        test_optimizers.steps(net, optimizer, count, seed=count)
        runs.append({"model": net, "optimizer": optimizer})
    runs[0]["optimizer"].__class__ = Merges
    path = save_checkpoint(tmp_path / "a.pt", **runs[0])
    before = photograph(runs[1])
    with pytest.raises(ValueError, match="not mine"):
        load_checkpoint(path, **runs[1])
    assert photograph(runs[1]) == before


class Application:
    """Holds a model and an optimizer of its own, as torch's tutorial on DCP has it."""

    def __init__(self, seed):
        self.run = Run(seed=seed)
        self.shadow = {"weight": torch.full((2,), float(seed))}
        self.random = torch.Generator().manual_seed(seed)
        self.lock, self.last = threading.Lock(), deque([seed], maxlen=3)

    def state_dict(self):
        parts = {name: part.state_dict() for name, part in self.run.parts.items()}
        return {**parts, "shadow": self.shadow, "random": self.random.get_state()}

    def load_state_dict(self, state):
        for name, part in self.run.parts.items():
            part.load_state_dict(state[name])
        self.shadow["weight"].copy_(state["shadow"]["weight"])
        self.random.set_state(state["random"])
        self.last.append(0)
        torch.rand(1)  # whoever loads may draw from the global generator


def scaler(scale):
    made = torch.amp.GradScaler("cpu", init_scale=scale)
    made.scale(torch.ones(1))
    return made


OTHERS = {
    "application": Application,
    "loader": test_parts.Loader,
    "scaler": lambda seed: scaler(2.0**seed),
    "module": lambda seed: model("parameters, buffers, gradients", seed),
    "optimizer": lambda seed: Run(seed=seed).optimizer,
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_objects(tmp_path, monkeypatch, kind):
    path = save_checkpoint(
        tmp_path / "a.pt", **Run(seed=1).parts, others={kind: OTHERS[kind](1)}
    )
    run, other = Run(seed=2), OTHERS[kind](2)
    things = [run.parts, other]
    arguments = {**run.parts, "others": {kind: other}}
    assert interrupt_everywhere(monkeypatch, path, things, 13, **arguments) > 10


def test_several_of_everything(tmp_path, monkeypatch):
    path = save_checkpoint(tmp_path / "a.pt", **test_parts.Gan(seed=1).parts)
    run = test_parts.Gan(seed=2)
    assert interrupt_everywhere(monkeypatch, path, run.parts, 29, **run.parts) > 20


# What is remembered


class Slots:
    __slots__ = ("empty", "number")

    def __init__(self):
        self.number = 1


class Holder:
    def __init__(self, **things):
        self.__dict__.update(things)


def change(thing):
    """Change all that a thing holds, in place and by another object."""
    if isinstance(thing, dict):
        thing.pop(next(iter(thing)))
        thing["new"] = 1
    elif isinstance(thing, list | deque | bytearray):
        thing.append(7)
    elif isinstance(thing, set):
        thing.add(7)
    elif isinstance(thing, np.ndarray):
        thing += 1
    elif isinstance(thing, torch.Tensor):
        thing.zero_()
    elif isinstance(thing, torch.Generator):
        thing.manual_seed(9)
    elif isinstance(thing, random.Random | np.random.RandomState | np.random.Generator):
        thing.random()
    elif isinstance(thing, Slots):
        thing.number, thing.empty = 2, 3
    elif isinstance(thing, nn.Module):
        nn.init.zeros_(thing.weight)
    else:
        thing.__dict__ = {"other": 1}


THINGS = {
    "dict": lambda: {"a": 1, "b": 2},
    "ordered": lambda: OrderedDict(a=1, b=2),
    "counter": lambda: Counter("aab"),
    "default": lambda: defaultdict(list, a=[1]),
    "list": lambda: [1, 2],
    "set": lambda: {1, 2},
    "deque": lambda: deque([1, 2], maxlen=2),
    "bytearray": lambda: bytearray(b"ab"),
    "array": lambda: np.ones(3),
    "tensor": lambda: torch.ones(3),
    "generator": torch.Generator,
    "random": lambda: random.Random(3),
    "RandomState": lambda: np.random.RandomState(3),
    "numpy": lambda: np.random.default_rng(3),
    "slots": Slots,
    "module": lambda: nn.Linear(2, 2),
    "attributes": lambda: Holder(a=1),
}


def value_of(thing):
    if isinstance(thing, random.Random):
        return thing.getstate()
    if isinstance(thing, np.random.RandomState):
        return repr(thing.get_state())
    if isinstance(thing, np.random.Generator):
        return repr(thing.bit_generator.state)
    if isinstance(thing, np.ndarray):
        return thing.tolist()
    if isinstance(thing, Slots):
        return thing.number, hasattr(thing, "empty")
    return photograph(thing)


@pytest.mark.parametrize("kind", THINGS)
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_every_kind_of_thing_is_put_back(kind, error):
    thing = THINGS[kind]()
    owner = Holder(deep=[{"in": (thing,)}])
    before = value_of(thing)
    with pytest.raises(error), unchanged_on_error([owner]):
        change(thing)
        assert value_of(thing) != before, "nothing was changed: nothing was tested"
        owner.deep = None
        raise error
    assert owner.deep[0]["in"][0] is thing and value_of(thing) == before


@pytest.mark.parametrize("kind", THINGS)
def test_without_an_error_everything_stays_changed(kind):
    thing = THINGS[kind]()
    with unchanged_on_error([thing]):
        change(thing)
        changed = value_of(thing)
    assert value_of(thing) == changed


def test_what_is_known_and_what_other_threads_change_is_left_alone():
    known, event = [1], threading.Event()
    owner = Holder(known=known, event=event)
    with pytest.raises(ValueError), unchanged_on_error([owner], {id(known)}):
        known.append(2)
        event.set()
        raise ValueError
    assert known == [1, 2] and event.is_set()


def test_an_order_that_changed_alone_is_put_back():
    thing = OrderedDict(a=1, b=2)
    with pytest.raises(ValueError), unchanged_on_error([thing]):
        thing.move_to_end("a")
        raise ValueError
    assert list(thing) == ["a", "b"]


def test_a_second_ctrl_c_stops_no_step_and_what_fails_is_named():
    class Fails(nn.Module):
        left = 1

        def __init__(self):
            super().__init__()
            self.numbers = itertools.count()  # which C alone knows

        def get_extra_state(self):
            return repr(self.numbers)

        def set_extra_state(self, state):
            if self.left:
                self.left -= 1
                raise KeyboardInterrupt
            self.numbers = itertools.count()

    once, never = Fails(), Fails()
    never.left = 99
    with pytest.raises(ValueError) as caught, unchanged_on_error([once, never]):
        next(once.numbers)
        next(never.numbers)
        raise ValueError
    assert next(once.numbers) == 0
    assert caught.value.__notes__ == [
        "could not be put back: _extra_state (KeyboardInterrupt: )"
    ]


def test_the_load_that_is_not_interrupted_is_whole(tmp_path):
    """The other half of the proof: what was compared would have shown a change."""
    path = save_checkpoint(tmp_path / "a.pt", **Run(seed=1).parts)
    run = Run(seed=2)
    before = photograph(run.parts)
    load_checkpoint(path, **run.parts)
    after = photograph(run.parts)
    changed = [where for where in before if before[where] != after.get(where)]
    assert len(changed) > 20
