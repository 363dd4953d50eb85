"""What each kind of entry is called, what it holds, and that a copy is one."""

import threading

import pytest
import torch

from helpers.state_dicts.differences import is_same
from helpers.state_dicts.held_memory import memory_of
from helpers.state_dicts.kinds import copied, in_words, raw_bytes
from helpers.state_dicts.summarizing import _bytes_held, _bytes_of
from tests.state_dicts import samples

pytestmark = pytest.mark.filterwarnings("ignore")
every_kind = pytest.mark.parametrize("kind", samples.KINDS)

WORDS = {
    "dense": ("float32 (2, 4)", 32),
    "COO": ("sparse COO float32 (2, 4)", 8 * 2 * 8 + 32),
    "CSR": ("sparse CSR float32 (2, 4)", 3 * 8 + 8 * 8 + 32),
    "BSR": ("sparse BSR float32 (2, 4)", 3 * 8 + 4 * 8 + 32),
    "qint8": ("qint8 (2, 4)", 8),
    "qint8 per channel": ("qint8 (2, 4)", 8 + 2 * 8 + 2 * 8),
    "quint4x2": ("quint4x2 (2, 4)", 4 + 2 * 4 + 2 * 4),
    "nested": ("nested float32 (2, '*')", 5 * 4 + 3 * 2 * 8),
    "jagged": ("nested float32 (2, '*')", 5 * 4 + 3 * 8),
    "expanded": ("float32 (2, 4)", 16),
    "zero-size": ("float32 (0, 4)", 0),
    "complex": ("complex64 (2, 4)", 64),
    "int8 of torchao": ("Int8Tensor float32 (2, 4)", 8 + 2 * 4 + 2),
    "fp4": ("float4_e2m1fn_x2 (2, 4)", 8),
}


@pytest.mark.parametrize("kind", WORDS)
def test_words_and_bytes_held(kind):
    value = samples.entry(kind)
    value = copied(value) if kind in ("CSR", "BSR") else value  # views of larger storages
    assert (in_words(value), _bytes_held([value, value])) == WORDS[kind]


@every_kind
def test_a_copy_is_the_same_and_shares_nothing(kind):
    value = samples.entry(kind)
    other = copied(value)
    assert is_same(value, other)
    before = samples.content(value)
    fixed = kind in ("jagged", "qint8 per channel", "quint4x2")  # offsets, scales: shared
    for memory in list(memory_of(other))[: 1 if fixed else None]:
        raw_bytes(memory).bitwise_xor_(1)
    assert samples.content(value) == before


def test_what_cannot_be_copied_stays_the_same_object():
    lock = threading.Lock()
    value = {"lock": lock, "parts": [torch.ones(1), (2,)]}
    other = copied(value)
    assert other["lock"] is lock and other["parts"][0] is not value["parts"][0]


def test_the_bytes_of_what_is_no_tensor():
    array = torch.ones(3).numpy()
    assert _bytes_held([{"a": b"123", "b": ["äb", torch.ones(2)], "c": 5, "d": array}]) == (
        3 + 3 + 8 + 12
    )


def test_a_tensor_that_hides_what_it_is_made_of_has_a_name_and_bytes():
    hidden = torch.ones(2, 2).to_mkldnn()
    assert (in_words(hidden), _bytes_held([hidden])) == ("mkldnn float32 (2, 2)", 16)


def test_the_bytes_between_first_and_last_element_can_be_written_where_a_tensor_cannot():
    row = torch.zeros(8)
    raw_bytes(row[2:4].expand(3, 2)).fill_(255)
    assert row.isnan().tolist() == [False, False, True, True, *[False] * 4]


def test_a_storage_that_is_shared_is_held_once_and_texts_count_by_what_they_say():
    weight = torch.ones(3)
    state = [weight, weight[:1], torch.eye(2).to_sparse(), {"table": b"1234"}]
    assert _bytes_held(state) == 12 + 32 + 8 + 4
    assert _bytes_of(torch.ones(9)[:2]) == _bytes_of(torch.ones(2).expand(3, 2)) == 8
    assert _bytes_held(["ab", "ab", "\ud800"]) == 2 + 2 + 3
    assert _bytes_held([weight.untyped_storage()]) == 0  # not a size, though it has one
