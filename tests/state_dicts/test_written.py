"""What was written is there, or it is said."""

import pytest
import torch
from torch import nn
from torch.utils import _pytree
from torch.utils._python_dispatch import return_and_correct_aliasing

from helpers.state_dicts import load_matching
from helpers.state_dicts.written import unwritten
from tests.state_dicts import samples

aten = torch.ops.aten


class Forgets(torch.Tensor):
    """An int8 tensor whose copy_ writes into a dequantized copy, as some libraries have."""

    @staticmethod
    def __new__(cls, numbers, scale):
        return torch.Tensor._make_wrapper_subclass(
            cls, numbers.shape, dtype=torch.float32, device=numbers.device
        )

    def __init__(self, numbers, scale):
        self.numbers, self.scale = numbers, scale

    def __tensor_flatten__(self):
        return ["numbers", "scale"], None

    @classmethod
    def __tensor_unflatten__(cls, inner, context, size, stride):
        return cls(inner["numbers"], inner["scale"])

    @classmethod
    def __torch_dispatch__(cls, op, types, args, kwargs=None):
        kwargs = kwargs or {}
        if op in (aten.detach.default, aten.clone.default, aten._to_copy.default):
            made = cls(*(op(t) for t in (args[0].numbers, args[0].scale)))
            return return_and_correct_aliasing(op, args, kwargs, made)
        dense = _pytree.tree_map_only(cls, lambda t: t.numbers.float() * t.scale, args)
        result = op(*dense, **kwargs)
        return args[0] if op is aten.copy_.default else result


def forgetful(seed):
    net = samples.model("parameters, buffers, gradients", seed)
    numbers = torch.randint(-9, 9, (2, 4), dtype=torch.int8)
    net.own = nn.Parameter(Forgets(numbers, torch.ones(1)), requires_grad=False)
    return net


class Transposed(nn.Module):
    def __init__(self, are_tied):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(4, 3), nn.Linear(3, 4)
        if are_tied:
            self.decoder.weight = nn.Parameter(self.encoder.weight.data.T)


class Row(nn.Module):
    def __init__(self, are_tied):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(3, 3))
        self.register_buffer("row", self.weight.detach()[0] if are_tied else torch.rand(3))


class Windows(nn.Module):
    def __init__(self, are_tied):
        super().__init__()
        windows = torch.rand(7).as_strided((5, 3), (1, 1))
        self.register_buffer("windows", windows if are_tied else torch.rand(5, 3))


MODELS = {
    "own.copy_ does nothing": (forgetful, "own"),
    "transposed": (lambda seed: Transposed(seed == 2), "encoder.weight"),
    "row": (lambda seed: Row(seed == 2), "weight"),
    "windows": (lambda seed: Windows(seed == 2), "windows"),
}


@pytest.mark.parametrize("kind", MODELS)
def test_what_is_not_there_after_writing_is_refused_by_name_and_put_back(kind):
    make, name = MODELS[kind]
    state, net = make(1).state_dict(), make(2)
    before = samples.photograph(net)
    with pytest.raises(RuntimeError) as caught:
        load_matching(net, state)
    assert str(caught.value).startswith(f"{name} does not hold what was written into it")
    assert caught.value.__notes__ == [
        f"load_matching stopped at {name}; the model is unchanged"
    ]
    assert samples.photograph(net) == before


@pytest.mark.parametrize("kind", MODELS)
def test_what_the_model_holds_already_is_written(kind):
    net = MODELS[kind][0](2)
    report = load_matching(net, net.state_dict())
    assert len(report.loaded) == len(net.state_dict())


def test_plain_tensors_and_ties_with_one_value_are_not_even_compared(monkeypatch):
    monkeypatch.delattr("helpers.state_dicts.written._holds")
    a, b, given = torch.ones(2), torch.ones(3), torch.zeros(2)
    targets = {"a": a, "tied": a.detach(), "b": b}
    assert unwritten(targets, {"a": given, "tied": given, "b": b.half(), "c": a}) is None


def test_values_are_compared_as_written_in_the_targets_dtype():
    memory = torch.zeros(4)
    targets = {"whole": memory, "half": memory[:2]}
    values = {"whole": torch.full((4,), 0.1).double(), "half": torch.tensor([0.1, 0.1])}
    for name, value in values.items():
        targets[name].copy_(value)
    assert unwritten(targets, values) is None
    memory[1] = torch.nan
    assert unwritten(targets, values) == "whole"


def test_other_placements_of_the_same_values_are_the_same():
    """As DTensor: what it is made of differs, what it is does not."""
    ours = Forgets(torch.full((2,), 4, dtype=torch.int8), torch.ones(1))
    theirs = Forgets(torch.full((2,), 2, dtype=torch.int8), torch.full((1,), 2.0))
    other = Forgets(torch.full((2,), 3, dtype=torch.int8), torch.ones(1))
    assert unwritten({"a": ours}, {"a": theirs}) is None
    assert unwritten({"a": ours}, {"a": other}) == "a"


def test_what_has_no_values_or_shows_none_is_passed_over():
    shell = torch.empty(2, device="meta")
    opaque = torch.ones(2, 2).to_mkldnn()
    assert unwritten({"a": shell, "b": shell}, {"a": shell, "b": torch.ones(2)}) is None
    assert unwritten({"a": opaque}, {"a": torch.ones(2, 2).to_mkldnn()}) is None
