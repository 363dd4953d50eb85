"""A tensor's bytes: kept once, put back into the same memory."""

import gc

import pytest
import torch
from torch import nn

from helpers.state_dicts.held_memory import swap_memory
from helpers.state_dicts.restoring import all_or_nothing
from helpers.state_dicts.tensors_back import memory_back


def test_what_several_tensors_share_is_copied_once():
    flat = torch.arange(10.0)
    values = {"a": flat[:4].view(2, 2), "b": flat[4:], "all": flat, "other": torch.ones(3)}
    steps = dict(memory_back([*values.items()]))
    kept = [step.args[1] for step in steps.values()]
    assert sorted(map(len, kept)) == [12, 40]
    flat.zero_()
    for step in steps.values():
        step()
    assert flat.tolist() == list(range(10))


def test_a_models_own_list_of_its_parameters_costs_no_second_copy():
    net = nn.Linear(100, 100)
    net.flat, net.views = [net.weight, net.bias], {"row": net.weight.detach()[0]}
    before = {id(some) for some in gc.get_objects()}  # other tests may hold bytes, too
    with pytest.raises(KeyError), all_or_nothing(net):
        gc.collect()
        copies = [
            t
            for t in gc.get_objects()
            if type(t) is torch.Tensor and t.dtype == torch.uint8 and t.dim() == 1
            if id(t) not in before
        ]
        mine = {net.weight.data_ptr(), net.bias.data_ptr()}
        kept = sum(len(t) for t in copies if t.data_ptr() not in mine and len(t) > 100)
        net.weight.data.zero_()
        raise KeyError
    assert kept == 40_400 and net.weight.abs().sum() > 0


def test_memory_that_was_freed_meanwhile_or_before_is_put_back_as_it_was():
    net = nn.Linear(3, 2)
    flat = torch.rand(8)
    net.weight.data = flat[:6].view(2, 3)
    net.bias.data = flat[6:]
    flat.untyped_storage().resize_(0)
    with pytest.raises(KeyError) as caught, all_or_nothing(net):
        flat.untyped_storage().resize_(32)
        raise KeyError
    assert not hasattr(caught.value, "__notes__")
    assert flat.untyped_storage().nbytes() == 0


def test_a_model_that_left_the_meta_device_is_there_again():
    with torch.device("meta"):
        net = nn.LSTM(2, 2)
    parameters = [*net.parameters()]
    with pytest.raises(KeyError) as caught, all_or_nothing(net):
        for parameter in parameters:
            swap_memory(parameter, torch.ones_like(parameter, device="cpu"))
        assert not any(p.is_meta for p in net.parameters())
        raise KeyError
    assert not hasattr(caught.value, "__notes__")
    assert all(p.is_meta for p in net.parameters())
    assert all(a is b for a, b in zip(net.parameters(), parameters, strict=True))
