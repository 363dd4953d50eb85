"""One row per tensor, and what a storage really weighs."""

from array import array
from collections import deque
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from helpers.state_dicts import summarize
from helpers.state_dicts.summarizing import _bytes_of
from tests.state_dicts import Tied, samples, small_net


def test_a_module_shows_parameters_and_persistent_buffers_in_order():
    net = small_net()
    net.bn.register_buffer("scratch", torch.zeros(7), persistent=False)
    table = summarize(net)
    assert ", ".join(table) == "name, kind, shape, dtype, device, elements, bytes"
    assert list(table.name) == list(net.state_dict())
    rows = table.set_index("name")
    assert list(rows.loc["fc.weight"]) == ["parameter", (3, 4), "float32", "cpu", 12, 48]
    assert list(rows.loc["bn.running_mean"][:2]) == ["buffer", (3,)]
    assert list(rows.loc["bn.num_batches_tracked"]) == (
        ["buffer", (), "int64", "cpu", 1, 8]
    )
    assert "bn.scratch" not in rows.index
    assert table.attrs["total_bytes"] == table.bytes.sum() == 148


def test_a_plain_dict_cannot_tell_parameters_from_buffers():
    assert set(summarize(small_net().state_dict()).kind) == {"tensor"}


def test_tied_weights_are_named_and_counted_once():
    for source in (Tied(), Tied().state_dict()):
        table = summarize(source)
        assert list(table.shares) == ["", "embed.weight"]
        assert list(table.bytes) == [60, 60]
        assert table.attrs["total_bytes"] == 60
        assert "storage_bytes" not in table
    assert list(summarize(Tied()).kind) == ["parameter", "parameter"]


def test_a_slice_shows_the_storage_it_keeps_alive():
    big = torch.zeros(1000)
    table = summarize({"slice": big[:10], "alone": torch.zeros(2)})
    assert list(table.bytes) == [40, 8]
    assert list(table.storage_bytes) == [4000, 8]
    assert "shares" not in table
    assert table.attrs["total_bytes"] == 4008


def test_two_views_of_one_storage_share_it():
    big = torch.zeros(1000)
    table = summarize({"left": big[:500], "right": big[500:]})
    assert list(table.shares) == ["", "left"]
    assert table.attrs["total_bytes"] == 4000


def test_the_meta_device_has_shapes_holds_nothing_and_has_no_false_sharing():
    with torch.device("meta"):
        net = small_net()
    table = summarize(net)
    assert set(table.device) == {"meta"}
    assert "shares" not in table and "storage_bytes" not in table
    assert set(table.bytes) == {0} and table.attrs["total_bytes"] == 0
    assert table.elements.sum() == 36
    with torch.device("meta"):
        assert list(summarize(Tied()).shares) == ["", "embed.weight"]


@pytest.mark.parametrize(
    "dtype, size", [(torch.float16, 2), (torch.bool, 1), (torch.complex64, 8)]
)
def test_bytes_are_elements_times_element_size(dtype, size):
    row = summarize({"w": torch.zeros(2, 3, dtype=dtype)}).iloc[0]
    assert (row.elements, row.bytes) == (6, 6 * size)
    assert row["dtype"] == str(dtype).removeprefix("torch.")


def test_a_module_without_state_gives_an_empty_table():
    table = summarize(nn.ReLU())
    assert len(table) == 0 and "bytes" in table
    assert table.attrs["total_bytes"] == 0


@pytest.mark.filterwarnings("ignore")
def test_entries_of_other_kinds_have_their_words_and_the_bytes_they_hold():
    names = ("COO", "qint8 per channel", "expanded", "int8 of torchao", "nested")
    state = {name: samples.entry(name) for name in names}
    state["a._extra_state"] = {"table": b"1234", "mean": torch.zeros(3)}
    table = summarize(state)
    assert "storage_bytes" not in table
    assert [tuple(row) for row in table.drop(columns=["name"]).to_numpy()] == [
        ("tensor", (2, 4), "sparse COO float32", "cpu", 8, 8 * 2 * 8 + 32),
        ("tensor", (2, 4), "qint8", "cpu", 8, 8 + 16 + 16),
        ("tensor", (2, 4), "float32", "cpu", 8, 16),
        ("tensor", (2, 4), "Int8Tensor float32", "cpu", 8, 8 + 8 + 2),
        ("tensor", (2, "*"), "nested float32", "cpu", 5, 20 + 3 * 16),
        ("object", "", "dict", "", 0, 16),
    ]
    assert table.attrs["total_bytes"] == table.bytes.sum()
    assert list(summarize(samples.Extra()).kind) == ["object", "parameter", "parameter"]


@pytest.mark.filterwarnings("ignore")
def test_what_has_a_shape_and_no_values_holds_nothing_whatever_its_kind():
    kinds = ("COO", "CSR", "int8 of torchao", "every second", "jagged", "subclass")
    state = {kind: samples.entry(kind).to("meta") for kind in kinds}
    with FakeTensorMode():
        state["fake"] = torch.zeros(3)
    state["a._extra_state"] = {"deep": [torch.empty(3, device="meta")]}
    table = summarize(state)
    assert not table.bytes.any() and table.attrs["total_bytes"] == 0
    table = summarize(state | {"held": torch.zeros(3)})
    assert list(table.bytes)[-1] == table.attrs["total_bytes"] == 12


@dataclass
class Record:
    value: object


HELD = {
    "column that expand repeats": (torch.ones(4, 6)[:, :1].expand(4, 3), 16),
    "every second, repeated": (torch.ones(10)[::2].expand(4, 5), 20),
    "windows": (torch.ones(10).unfold(0, 4, 1), 40),
    "record": (Record(torch.ones(10)), 40),
    "deque": (deque([torch.ones(10)]), 40),
    "set": ({b"x" * 100, "ab"}, 102),
    "namespace": (SimpleNamespace(a=[torch.ones(10)]), 40),
    "array": (np.ones((2, 3)), 48),
    "array that is repeated": (np.broadcast_to(np.ones(1), (1000,)), 8),
    "array backwards": (np.ones(10)[::-2], 40),
    "windows of an array": (np.lib.stride_tricks.sliding_window_view(np.ones(9), 5), 72),
    "empty array": (np.ones((0, 3)), 0),
    "array of objects": (np.array([b"x" * 100], dtype=object), 100),
    "typed array": (array("d", [0.5] * 10), 80),
    "storage": (torch.ones(3).untyped_storage(), 12),
}


@pytest.mark.parametrize("kind", HELD)
def test_the_bytes_are_those_that_are_held(kind):
    value, size = HELD[kind]
    assert _bytes_of(value) == _bytes_of({"in": [value]}) == size


def test_memory_that_was_freed_is_said_and_holds_nothing():
    net, flat = nn.Linear(3, 2), torch.zeros(8)
    net.weight.data, net.bias.data = flat[:6].view(2, 3), flat[6:]
    flat.untyped_storage().resize_(0)
    table = summarize(net)
    assert list(table.device) == ["cpu, freed"] * 2 and list(table.bytes) == [0, 0]
    assert table.attrs["total_bytes"] == 0
    flat.untyped_storage().resize_(28)  # the bias reaches beyond it
    assert list(summarize(net).device) == ["cpu", "cpu, freed"]
