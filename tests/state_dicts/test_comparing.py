"""Every bit counts, and every difference has its place in the report."""

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from helpers.state_dicts import compare
from tests.state_dicts import small_net


def test_a_copy_is_identical_and_so_is_a_module_with_its_own_state_dict():
    net = small_net()
    for theirs in (copy.deepcopy(net), net.state_dict(), net):
        found = compare(net, theirs)
        assert found.identical is True
        assert repr(found) == "Comparison(9 equal)"
    assert set(found.table().finding) == {"equal"}


def test_the_order_of_keys_does_not_matter():
    state = small_net().state_dict()
    assert compare(state, dict(reversed(state.items()))).identical


def test_every_kind_of_finding_has_its_field_and_its_row():
    ours = {
        "same": torch.ones(2),
        "gone": torch.ones(3),
        "wide": torch.ones(2, 2),
        "half": torch.tensor([1.0, 0.1]),
        "off": torch.tensor([1.0, 5.0]),
    }
    theirs = {
        "same": torch.ones(2),
        "wide": torch.ones(2, 5),
        "half": torch.tensor([1.0, 0.1]).half(),
        "off": torch.tensor([1.5, 3.0]),
        "new": torch.ones(1, dtype=torch.int64),
    }
    found = compare(ours, theirs)
    assert found.identical is False
    assert found.missing == ("gone",)
    assert found.unexpected == ("new",)
    assert found.mismatched_shape == {"wide": ((2, 2), (2, 5))}
    assert found.mismatched_dtype == {"half": ("float32", "float16")}
    assert found.different["off"] == 2.0
    assert found.different["half"] == pytest.approx(2.44e-5, rel=1e-2)
    assert found.not_compared == ()
    assert [tuple(row) for row in found.table().to_numpy()] == [
        ("same", "equal", "float32 (2,)", "float32 (2,)", ""),
        ("gone", "missing", "float32 (3,)", "", ""),
        ("wide", "other shape", "float32 (2, 2)", "float32 (2, 5)", ""),
        (
            "half",
            "other dtype",
            "float32 (2,)",
            "float16 (2,)",
            "largest difference 2.44e-05",
        ),
        ("off", "different", "float32 (2,)", "float32 (2,)", "largest difference 2"),
        ("new", "unexpected", "", "int64 (1,)", ""),
    ]
    assert repr(found) == (
        "Comparison(1 equal, 1 missing, 1 other shape, 1 other dtype, 1 different, "
        "1 unexpected)"
    )


def test_another_dtype_with_the_same_values_is_not_different():
    found = compare({"w": torch.ones(2)}, {"w": torch.ones(2).double()})
    assert found.mismatched_dtype == {"w": ("float32", "float64")}
    assert found.different == {}
    assert not found.identical


def test_nan_equals_the_same_nan_but_not_a_number():
    nan, one = torch.tensor([1.0, math.nan]), torch.tensor([1.0, 2.0])
    assert compare({"w": nan}, {"w": nan.clone()}).identical
    assert compare({"w": nan}, {"w": one}).different == {"w": math.inf}
    assert compare({"w": nan}, {"w": nan.double()}).different == {}


def test_infinity_equals_itself_only():
    inf = torch.tensor([math.inf, 1.0])
    assert compare({"w": inf}, {"w": inf.clone()}).identical
    assert compare({"w": inf}, {"w": inf + torch.tensor([0.0, 0.5])}).different == (
        {"w": 0.5}
    )
    assert compare({"w": inf}, {"w": torch.ones(2)}).different == {"w": math.inf}
    assert compare({"w": inf}, {"w": -inf}).different == {"w": math.inf}


def test_other_bits_of_an_equal_value_are_found_with_difference_zero():
    zero = torch.zeros(3)
    assert compare({"w": zero}, {"w": -zero}).different == {"w": 0.0}
    nan = torch.tensor([0x7FC00000], dtype=torch.int32).view(torch.float32)
    other_nan = torch.tensor([0x7FC00001], dtype=torch.int32).view(torch.float32)
    assert compare({"w": nan}, {"w": other_nan}).different == {"w": 0.0}


def test_integers_are_compared_exactly():
    # As float64, 2**53 and 2**53 + 1 are one number, and 2**53 and 2**53 + 3 are 4 apart.
    large = torch.tensor([2**53])
    assert compare({"n": large}, {"n": large + 1}).different == {"n": 1.0}
    assert compare({"n": large}, {"n": large + 3}).different == {"n": 3.0}
    least, most = torch.tensor([-(2**63)]), torch.tensor([2**63 - 1])
    assert compare({"n": least}, {"n": most}).different == {"n": 2.0**64}


def test_integers_of_two_dtypes_are_compared_exactly_too():
    wide = torch.tensor([2**53 + 1])
    unsigned = wide.to(torch.uint64)
    assert compare({"n": wide}, {"n": unsigned}).different == {}
    assert compare({"n": wide - 1}, {"n": unsigned}).different == {"n": 1.0}
    most = torch.tensor([-1]).view(torch.uint64)  # 2**64 - 1, and not -1
    assert compare({"n": most}, {"n": torch.tensor([-1])}).different == {"n": 2.0**64}
    assert compare({"n": torch.tensor([True])}, {"n": torch.tensor([1])}).different == {}


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**64 - 1))
def test_the_difference_of_two_integers_is_rounded_once(ours, theirs):
    signed = torch.tensor([ours])
    unsigned = torch.tensor([theirs], dtype=torch.uint64)
    found = compare({"n": signed}, {"n": unsigned}).different
    assert found == ({} if ours == theirs else {"n": float(abs(ours - theirs))})


@pytest.mark.parametrize("bit", range(32))
def test_one_flipped_bit_is_never_missed(bit):
    ours = torch.linspace(-1, 1, 9)
    theirs = ours.clone()
    theirs.view(torch.int32)[4 if bit % 2 else 7] ^= torch.tensor(
        2**bit - (2**32 if bit == 31 else 0), dtype=torch.int32
    )
    found = compare({"w": ours}, {"w": theirs})
    assert not found.identical and list(found.different) == ["w"]


@pytest.mark.parametrize(
    "dtype",
    [
        torch.bool,
        torch.int8,
        torch.uint8,
        torch.uint16,
        torch.int64,
        torch.uint64,
        torch.float16,
        torch.bfloat16,
        torch.float8_e4m3fn,
        torch.float64,
        torch.complex64,
    ],
)
def test_every_usual_dtype_is_compared(dtype):
    ours, theirs = torch.zeros(3).to(dtype), torch.tensor([0, 1, 0]).to(dtype)
    assert compare({"w": ours}, {"w": ours.clone()}).identical
    assert compare({"w": ours}, {"w": theirs}).different == {"w": 1.0}


def test_the_difference_of_complex_values_is_a_distance():
    ours, theirs = torch.tensor([0j]), torch.tensor([3 + 4j])
    assert compare({"w": ours}, {"w": theirs}).different == {"w": 5.0}


def test_scalars_empty_tensors_and_strided_views_are_compared():
    state = {
        "scalar": torch.tensor(3),
        "empty": torch.zeros(0, 4),
        "every second": torch.arange(10)[::2],
        "transposed": torch.arange(6).view(2, 3).T,
        "expanded": torch.ones(1).expand(4),
        "conjugated": torch.tensor([1 + 2j]).conj(),
    }
    fresh = {name: value.clone() for name, value in state.items()}
    assert compare(state, fresh).identical
    halves = {"empty": torch.zeros(0, 4).half()}
    assert compare({"empty": state["empty"]}, halves).different == {}


@pytest.mark.parametrize("first, last", [(0.25, 0.5), (0.5, 0.25)])
def test_the_largest_difference_is_taken_over_all_of_a_large_tensor(first, last):
    ours = torch.zeros(2**20 + 3)  # longer than the pieces that are compared
    theirs = ours.clone()
    theirs[0], theirs[-1] = first, last
    assert compare({"w": ours}, {"w": theirs}).different == {"w": 0.5}


def test_parameters_in_a_plain_dict_are_compared_as_values():
    ours, theirs = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.ones(2))
    assert compare({"w": ours}, {"w": theirs}).different == {"w": 1.0}
    assert compare({"w": ours}, {"w": ours.half()}).different == {}


def test_values_on_the_meta_device_are_not_called_identical():
    net = small_net()
    with torch.device("meta"):
        empty = small_net()
    for ours, theirs in ((net, empty), (empty, net), (empty, empty)):
        found = compare(ours, theirs)
        assert found.not_compared == tuple(net.state_dict())
        assert found.identical is False
        assert repr(found) == "Comparison(0 equal, 9 not compared)"
        assert set(found.table().note) == {"no values on the meta device"}


@pytest.mark.filterwarnings("ignore")
def test_other_kinds_are_named_and_a_quantized_tensor_is_compared_after_conversion():
    dense = torch.tensor([[1.0, 0.0], [0.0, 0.5]])
    quantized = torch.quantize_per_tensor(dense, 0.5, 0, torch.qint8)
    ours = {"a": dense, "b": dense, "c._extra_state": {"factor": 1}, "d._extra_state": 1}
    theirs = {
        "a": dense.to_sparse_csr(),
        "b": quantized,
        "c._extra_state": {"factor": 2},
        "d._extra_state": dense,
    }
    found = compare(ours, theirs)
    assert found.mismatched_kind == {
        "a": ("float32", "sparse CSR float32"),
        "d._extra_state": ("int", "float32"),
    }
    assert found.mismatched_dtype == {"b": ("float32", "qint8")}
    assert found.different == {"c._extra_state": math.inf}
    assert repr(found) == ("Comparison(0 equal, 2 other kind, 1 other dtype, 1 different)")
    assert not found.identical
    further = torch.quantize_per_tensor(dense * 2, 0.5, 0, torch.qint8)
    assert compare(ours, {**ours, "b": further}).different == {"b": 1.0}


class Plain:
    """Defines no equality, and cannot be pickled."""

    def __reduce__(self):
        raise TypeError


def test_what_nobody_can_compare_is_reported_with_the_reason():
    found = compare({"_extra_state": Plain()}, {"_extra_state": Plain()})
    assert found.not_compared == ("_extra_state",)
    assert found.identical is False
    assert found.table().note.tolist() == [
        "nothing says whether two objects of type Plain are equal"
    ]


def test_html_shows_only_what_is_worth_a_look():
    ours = {"same": torch.ones(2), "a<b": torch.ones(2)}
    page = compare(ours, {**ours, "a<b": torch.zeros(2)})._repr_html_()
    assert "a&lt;b" in page and "a<b" not in page
    assert "largest difference 1" in page and "same" not in page
    assert compare(ours, ours)._repr_html_() == "<p>Comparison(2 equal)</p>"


def test_a_report_cannot_be_asserted_by_mistake():
    with pytest.raises(TypeError, match="a Comparison is not true or false"):
        assert compare(small_net(), small_net())


def test_reports_are_frozen():
    with pytest.raises(AttributeError):
        compare(small_net(), small_net()).missing = ()
