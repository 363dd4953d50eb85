"""Values that hold themselves or are nested deeply: right, or refused by name."""

import math
import threading

import pytest
import torch
from torch import nn

from helpers.devices import load_to_device
from helpers.state_dicts import (
    all_or_nothing,
    compare,
    load_matching,
    remap_keys,
    strip_prefix,
    summarize,
    tensors_of,
)
from helpers.state_dicts.differences import NotComparableError, is_same, largest_difference
from helpers.state_dicts.held_memory import memory_of, storages_of
from helpers.state_dicts.kinds import contents, copied
from helpers.state_dicts.partial_loading import LoadReport
from helpers.state_dicts.summarizing import _bytes_held, _bytes_of
from tests.state_dicts.loops import DEEP, LOOPS, Holder, tensor_in

ALL = LOOPS | DEEP
each = pytest.mark.parametrize("kind", ALL)
each_loop = pytest.mark.parametrize("kind", LOOPS)
each_too_deep = pytest.mark.parametrize("kind", DEEP)


@each
def test_what_it_holds_is_found_once(kind):
    value = ALL[kind]()
    assert [*memory_of(value)] == [tensor_in(value)] and len(storages_of(value)) == 1
    assert _bytes_of(value) == _bytes_held([value, value]) == 8


@each
def test_it_is_the_same_as_one_that_looks_alike_and_no_other(kind):
    value, same, other = (ALL[kind]() for _ in range(3))
    tensor_in(other).zero_()
    assert is_same(value, same) and largest_difference(value, same) is None
    assert not is_same(value, other) and largest_difference(value, other) == math.inf


def test_a_loop_and_its_first_round_written_out_are_the_same():
    loop = LOOPS["own_dict"]()
    assert is_same(loop, {"n": torch.ones(2), "self": loop})
    assert not is_same(loop, {"n": torch.ones(2), "self": {"n": torch.ones(2), "self": 1}})


@each_loop
def test_a_copy_is_the_same_and_shares_nothing(kind):
    value = LOOPS[kind]()
    other = copied(value)
    assert is_same(value, other)
    tensor_in(other).zero_()
    assert tensor_in(value).sum() == 2
    mine = set(map(id, contents(value)))
    assert [one for one in contents(other) if id(one) in mine] == []


def test_what_is_shared_in_it_is_shared_in_the_copy_and_keys_stay_the_same_objects():
    inner, key = (torch.ones(1),), threading.Lock()
    value = [inner, ((inner,), {key: inner})]
    other = copied(value)
    assert is_same(other, value) and list(other[1][1]) == [key]
    assert other[0] is other[1][0][0] is other[1][1][key] is not inner


@each_too_deep
def test_what_python_cannot_copy_is_refused(kind):
    with pytest.raises(ValueError) as caught:
        copied([DEEP[kind]()])
    assert str(caught.value) == "a list is nested too deeply to be copied"


@each
def test_summarize_and_compare(kind):
    net, other = (nn.Sequential(Holder(ALL[kind]())) for _ in range(2))
    other.load_state_dict(net.state_dict())
    table = summarize(net).set_index("name")
    assert table.bytes["0._extra_state"] == 8 and table.attrs["total_bytes"] == 8 + 12
    other[0].value = ALL[kind]()
    assert compare(net, other).identical
    tensor_in(other[0].value).zero_()
    assert compare(net, other).different == {"0._extra_state": math.inf}


@each
def test_names_are_changed_around_it(kind):
    state = {"a._extra_state": ALL[kind]()}
    assert list(strip_prefix(state, "a.")) == ["_extra_state"]
    assert list(remap_keys(state, [("^a", "b")])) == ["b._extra_state"]
    assert tensors_of(state, "state") is state


def test_a_state_dict_that_holds_itself_is_none():
    with pytest.raises(TypeError, match=r"state\['self'\] is of type dict; expected a ten"):
        tensors_of(LOOPS["own_dict"](), "state")


@each_loop
def test_it_is_put_back(kind):
    net = nn.Sequential(Holder(LOOPS[kind]()))
    value, weight = net[0].value, net[0].weight.detach().clone()
    with pytest.raises(KeyError) as caught, all_or_nothing(net):
        tensor_in(value).zero_()
        net[0].value = None
        net[0].weight.data.zero_()
        raise KeyError
    assert not hasattr(caught.value, "__notes__")
    assert net[0].value is value and tensor_in(value).tolist() == [1, 1]
    assert torch.equal(net[0].weight, weight)


def loaded(net, state, tmp_path):
    return load_matching(net, state)


def loaded_from_a_file(net, state, tmp_path):
    torch.save(state, tmp_path / "a.pt")
    return load_to_device(net, tmp_path / "a.pt", "cpu")


@pytest.mark.parametrize("load", [loaded, loaded_from_a_file])
@each_loop
def test_it_is_loaded(kind, load, tmp_path):
    net, other = (nn.Sequential(Holder(LOOPS[kind]())) for _ in range(2))
    tensor_in(other[0].value).zero_()
    found = load(net, other.state_dict(), tmp_path)
    assert isinstance(found, LoadReport) or found is net
    assert is_same(net[0].value, other[0].value) and compare(net, other).identical


@pytest.mark.parametrize("load", [loaded, loaded_from_a_file])
@each_too_deep
def test_what_could_not_be_put_back_is_refused_by_name_before_anything_changes(
    kind, load, tmp_path
):
    net = nn.Sequential(Holder(DEEP[kind]()))
    value, weight = net[0].value, net[0].weight.detach().clone()
    state = nn.Sequential(Holder(1)).state_dict()
    with pytest.raises(ValueError) as caught:
        load(net, state, tmp_path)
    assert str(caught.value) == (
        f"0._extra_state: a {type(value).__name__} is nested too deeply to be copied"
    )
    assert net[0].value is value and torch.equal(net[0].weight, weight)


def test_what_differs_deeply_and_cannot_be_compared_says_why():
    class Plain:
        __reduce__ = None

    value = [Plain()]
    value.append(value)
    with pytest.raises(NotComparableError, match="objects of type Plain are equal"):
        is_same(value, [Plain(), value])
