"""Same to the last bit, how far apart, or why nobody can say."""

import math

import pytest
import torch

from helpers.state_dicts import all_or_nothing, compare, load_matching
from helpers.state_dicts.differences import NotComparableError, is_same, largest_difference
from helpers.state_dicts.kinds import in_words
from helpers.state_dicts.summarizing import _bytes_held
from tests.state_dicts import samples

pytestmark = pytest.mark.filterwarnings("ignore")

DISTANCES = {
    **dict.fromkeys(("COO", "CSR", "CSC", "BSR", "BSC", "nested", "jagged", "dense"), 0.5),
    "qint8": pytest.approx(0.5, abs=0.11),
    "qint8 per channel": pytest.approx(0.5, abs=0.21),
    "int8 of torchao": pytest.approx(0.5, abs=0.02),
    "fp4": math.inf,
    "uint4": math.inf,
}


@pytest.mark.parametrize("kind", samples.KINDS)
def test_the_same_is_the_same_and_another_is_not(kind):
    value, same, other = (samples.entry(kind, seed) for seed in (0, 0, 1))
    assert is_same(value, same) and largest_difference(value, same) is None
    if kind not in ("zero-size", "bool"):
        assert not is_same(value, other)
        assert largest_difference(value, other) > 0


@pytest.mark.parametrize("kind", DISTANCES)
def test_the_distance_is_that_of_the_values(kind):
    values = samples.entry("dense").mul(8).round() / 8
    further = values.clone()
    further[1, 0] += 0.5
    make = samples.KINDS[kind]
    assert largest_difference(make(values), make(further)) == DISTANCES[kind]


class Plain:
    """Defines no equality."""

    def __init__(self, value):
        self.value = value


@pytest.mark.parametrize(
    "a, b, same",
    [
        ({"a": [1, torch.ones(2)]}, {"a": [1, torch.ones(2)]}, True),
        ({"a": [1, torch.ones(2)]}, {"a": [1, torch.zeros(2)]}, False),
        ({"a": 1}, {"b": 1}, False),
        ([1, 2], [1], False),
        (1, True, False),
        (math.nan, math.nan, True),
        (0.0, -0.0, False),
        (b"x", b"x", True),
        (None, None, True),
        (None, torch.ones(1), False),
        (torch.ones(2).numpy(), torch.ones(2).numpy(), True),
        (torch.float32, torch.float32, True),
        (Plain(1), Plain(1), True),
        (torch.eye(2).to_sparse(), torch.eye(2), False),
        (torch._neg_view(torch.ones(2)), -torch.ones(2), True),
    ],
)
def test_entries_that_are_no_tensors(a, b, same):
    assert is_same(a, b) is same
    assert (largest_difference(a, b) is None) is same


@pytest.mark.parametrize(
    "a, b, why",
    [
        (Plain(1), Plain(2), "nothing says whether two objects of type Plain are equal"),
        (torch.empty(2, device="meta"), torch.ones(2), "no values on the meta device"),
        (*2 * (torch.ones(2, 2).to_mkldnn(),), "a mkldnn does not show what it is made of"),
    ],
)
def test_what_cannot_be_compared_says_why(a, b, why):
    with pytest.raises(NotComparableError, match=why):
        largest_difference(a, b)


def test_the_parts_of_a_distributed_tensor_are_compared_and_loaded():
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import DTensor, distribute_module

    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        mesh = init_device_mesh("cpu", (1,))
        net, other = (distribute_module(torch.nn.Linear(4, 2), mesh) for _ in range(2))
        assert isinstance(net.weight, DTensor)
        assert in_words(net.weight) == "DTensor float32 (2, 4)"
        assert _bytes_held([net.weight]) == 32
        gap = (net.weight.to_local() - other.weight.to_local()).abs().max().item()
        assert largest_difference(net.weight, other.weight) == pytest.approx(gap)
        before = samples.photograph(net)
        with pytest.raises(KeyError), all_or_nothing(net):
            net.load_state_dict(other.state_dict())
            assert compare(net, other).identical
            net.double()
            raise KeyError
        assert samples.photograph(net) == before
        assert load_matching(net, other.state_dict()).loaded == ("weight", "bias")
        assert compare(net, other).identical
    finally:
        dist.destroy_process_group()


def test_indices_of_a_file_that_point_nowhere_are_not_followed():
    good = torch.eye(3).to_sparse_csr()
    bad = good.clone()
    bad.col_indices()[0] = 2**40
    assert largest_difference(good, bad) == math.inf
