"""Values that hold themselves or are nested deeply: they come back, or are refused."""

import os

import pytest
import torch

from helpers.checkpoints import load_checkpoint, read_metadata, save_checkpoint, verify
from helpers.checkpoints.optimizers import order_problem
from helpers.checkpoints.undoing import unchanged_on_error
from helpers.state_dicts.differences import is_same
from tests.checkpoints.runs import Net, Run
from tests.state_dicts.loops import DEEP, LOOPS, Holder, tensor_in


class Keeper:
    """Any object with a state."""

    def __init__(self, state):
        self.state = state

    def state_dict(self):
        return {"state": self.state}

    def load_state_dict(self, state):
        self.state = state["state"]


def given(value):
    """Return the arguments that take the value in, and what each entry is called."""
    return {
        "extra": ({"extra": value}, "extra["),
        "others": ({"others": {"a": Keeper(value)}}, "others['a']['state']["),
        "model": ({"model": Holder(value)}, "model['_extra_state']["),
        "architecture": ({"architecture": value}, "metadata['architecture']['config']["),
    }


@pytest.mark.parametrize("place", given(None))
@pytest.mark.parametrize("kind", LOOPS)
def test_what_holds_itself_comes_back(tmp_path, kind, place):
    value = LOOPS[kind]()
    path = save_checkpoint(tmp_path / "a.pt", **{"model": Net()} | given(value)[place][0])
    assert verify(path).missing == ()
    other = LOOPS[kind]()
    tensor_in(other).zero_()
    arguments = given(other)[place][0] if place in ("others", "model") else {}
    run = load_checkpoint(path, **{"model": Net()} | arguments)
    found = {
        "extra": lambda: run.extra,
        "others": lambda: arguments["others"]["a"].state,
        "model": lambda: arguments["model"].value,
        "architecture": lambda: run.metadata["architecture"]["config"],
    }[place]()
    is_back = found is not other and is_same(found, value)  # pytest would print it all
    assert is_back
    assert "format_version" in read_metadata(path)


@pytest.mark.parametrize("place", given(None))
@pytest.mark.parametrize("kind", DEEP)
def test_what_is_nested_too_deeply_is_refused_by_name(tmp_path, kind, place):
    path = tmp_path / "a.pt"
    path.write_bytes(b"old")
    arguments, named = given(DEEP[kind]())[place]
    with pytest.raises(ValueError) as caught:
        save_checkpoint(path, **{"model": Net()} | arguments)
    assert str(caught.value).startswith(named)
    assert str(caught.value).endswith(
        "... is nested more deeply than torch.save can follow"
    )
    assert len(str(caught.value)) < 120
    assert os.listdir(tmp_path) == ["a.pt"] and path.read_bytes() == b"old"


def test_what_is_as_deep_as_can_be_saved_can_be_saved(tmp_path):
    """No depth is let through that torch.save then fails at."""
    saved = refused = 0
    value = torch.ones(1)
    for depth in range(1000):
        value = {"in": value} if depth % 2 else [value]
        if depth < 380:
            continue
        try:
            path = save_checkpoint(tmp_path / "a.pt", model=Net(), extra=value, rng=False)
        except ValueError as error:
            assert "is nested more deeply than" in str(error)
            refused += 1
            if refused == 20:
                break
        else:
            saved += 1
            assert tensor_in(load_checkpoint(path, model=Net()).extra) == 1
    assert saved > 20 and refused == 20


def test_what_holds_itself_is_put_back():
    for make in (LOOPS | DEEP).values():
        value = make()
        with pytest.raises(KeyError), unchanged_on_error([value]):
            tensor_in(value).zero_()
            if not isinstance(value, tuple):
                value.clear()
            raise KeyError
        assert tensor_in(value).tolist() == [1, 1]


def test_an_optimizer_with_such_a_state_is_refused_by_name_and_nothing_changes(tmp_path):
    run, other = Run(seed=1), Run(seed=2)
    run.optimizer.state[run.model.last.bias]["loop"] = LOOPS["own_dict"]()
    path = save_checkpoint(tmp_path / "a.pt", **run.parts)
    before = other.state()
    with pytest.raises(ValueError) as caught:
        load_checkpoint(path, **other.parts)
    assert str(caught.value) == "the state contains itself, or is nested too deeply"
    assert caught.value.__notes__ == [
        f"optimizer did not take what {path} holds of it; nothing was changed"
    ]
    assert other.state() == before


def test_a_state_that_holds_itself_is_not_followed_for_ever():
    for make in (LOOPS | DEEP).values():
        state = {"state": {0: make()}, "param_groups": [{"params": [0, 1]}]}
        shapes = {"a": (2,), "b": (3,)}
        if isinstance(state["state"][0], dict):
            assert order_problem([["b", "a"]], [["a", "b"]], state, shapes) is None
