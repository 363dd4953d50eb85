"""Numbers in fewer bits: casts of state dicts, and fractions rounded bit by bit."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from helpers.dtypes import cast_floats, round_fraction
from helpers.state_dicts.kinds import in_words
from tests.state_dicts import samples

floats = st.lists(st.floats(width=32), min_size=1, max_size=8).map(torch.tensor)


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.dtype == b.dtype and torch.equal(a.nan_to_num(nan=7.7), b.nan_to_num(nan=7.7))


def test_floats_are_cast_and_integers_and_the_model_stay():
    model = nn.BatchNorm1d(2)
    cast = cast_floats(model, torch.bfloat16)
    assert {name: t.dtype for name, t in cast.items()} == {
        **dict.fromkeys(("weight", "bias", "running_mean", "running_var"), torch.bfloat16),
        "num_batches_tracked": torch.int64,
    }
    assert model.weight.dtype == torch.float32
    assert not cast["weight"].requires_grad


def test_what_would_overflow_is_named_and_infinities_may_stay():
    state = {"fine": torch.tensor([65504.0, torch.inf]), "var": torch.tensor([1.0, -7e4])}
    with pytest.raises(ValueError) as caught:
        cast_floats(state, torch.float16)
    assert str(caught.value) == (
        "'var' holds 70000, and the largest torch.float16 is 65504; "
        "keep it in torch.float32, or use bfloat16"
    )
    del state["var"]
    assert cast_floats(state, torch.float16)["fine"].tolist() == [65504.0, torch.inf]


def test_the_meta_device_has_no_values_that_could_be_lost():
    cast = cast_floats(nn.Linear(2, 1, device="meta"), torch.float16)
    assert {(t.dtype, t.device.type) for t in cast.values()} == {(torch.float16, "meta")}


@pytest.mark.parametrize("dtype", [torch.int8, "float16", None])
def test_only_a_float_can_be_cast_to(dtype):
    with pytest.raises(TypeError) as caught:
        cast_floats(nn.Linear(1, 1), dtype)
    assert str(caught.value) == f"dtype is {dtype!r}; expected one such as torch.float16"


def test_a_checkpoint_is_refused():
    with pytest.raises(TypeError, match=r"pass checkpoint\['model'\]"):
        cast_floats({"epoch": 1, "model": nn.Linear(1, 1).state_dict()}, torch.float16)


@given(floats)
def test_seven_bits_are_bfloat16_and_all_bits_are_the_number_itself(values):
    assert same(round_fraction(values, 7), values.bfloat16().float())
    assert same(round_fraction(values, 23), values)


@given(st.lists(st.floats(2**-14, 65504, width=32), min_size=1, max_size=8))
def test_ten_bits_are_float16_within_its_range(values):
    values = torch.tensor(values)
    expected = values.half().float()
    inside = expected.isfinite()
    assert torch.equal(round_fraction(values, 10)[inside], expected[inside])


@given(floats, st.integers(0, 23))
def test_cutting_goes_towards_zero_and_never_past_a_step(values, bits):
    cut = round_fraction(values, bits, cut=True)
    finite = values.isfinite()
    assert bool((cut.abs() <= values.abs())[finite].all())
    assert same(cut[~finite], values[~finite])
    assert same(round_fraction(cut, bits), cut)


def test_the_tie_goes_to_the_even_number():
    # Between 1 and 2, with one bit: 1.25 lies between 1.0 and 1.5, 1.75 between 1.5 and 2.
    values = torch.tensor([1.25, 1.75, -1.75, 1.26])
    assert round_fraction(values, 1).tolist() == [1.0, 2.0, -2.0, 1.5]
    assert round_fraction(values, 1, cut=True).tolist() == [1.0, 1.5, -1.5, 1.0]


@pytest.mark.parametrize("cut", [True, False])
def test_what_is_no_number_stays_so_without_any_fraction(cut):
    values = torch.tensor([torch.nan, torch.inf, -torch.inf])
    assert same(round_fraction(values, 0, cut=cut), values)


def test_the_input_stays_and_may_be_a_parameter_or_a_view():
    values = torch.tensor([[1.1, 2.2], [3.3, 4.4]])
    parameter = nn.Parameter(values.T)
    rounded = round_fraction(parameter, 0)
    assert rounded.tolist() == [[1.0, 4.0], [2.0, 4.0]]
    assert values.tolist() == torch.tensor([[1.1, 2.2], [3.3, 4.4]]).tolist()


@pytest.mark.parametrize("bits", [-1, 24, 3.0, True, None])
def test_bits_must_be_those_of_a_fraction(bits):
    with pytest.raises(ValueError) as caught:
        round_fraction(torch.ones(1), bits)
    assert str(caught.value) == f"bits is {bits!r}; expected a whole number from 0 to 23"


@pytest.mark.parametrize(
    "value, what", [(torch.ones(1).double(), "torch.float64"), ([1.0], "of type list")]
)
def test_only_float32_is_rounded(value, what):
    with pytest.raises(TypeError) as caught:
        round_fraction(value, 3)
    assert str(caught.value) == f"tensor is {what}; expected torch.float32"


def test_a_type_without_infinity_could_lose_numbers_unseen():
    with pytest.raises(TypeError, match="float8_e4m3fn; expected one such as"):
        cast_floats({"weight": torch.tensor([1e6])}, torch.float8_e4m3fn)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", [*samples.MODELS, *samples.KINDS])
def test_only_dense_floats_are_cast_and_the_rest_are_the_same_objects(kind):
    state = samples.model(kind).state_dict()
    cast = cast_floats(state, torch.float64)
    assert list(cast) == list(state)
    for name, value in state.items():
        dense = isinstance(value, torch.Tensor) and "float" in in_words(value).split()[0]
        if dense and "float4" not in in_words(value):
            assert cast[name].dtype == torch.float64
        else:
            assert cast[name] is value
