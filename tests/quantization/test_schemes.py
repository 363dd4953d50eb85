"""The quantizer: figures worked by hand, properties, equality with torch, hard inputs."""

from dataclasses import replace

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from helpers.classroom.data.networks import load_reference_model
from helpers.quantization import (
    GRANULARITIES,
    OBSERVERS,
    QParams,
    Scheme,
    choose_qparams,
    dequantize,
    fake_quantize,
    fold_batch_norm,
    quantize,
    round_trip,
)

LARGEST = float(np.float32(1e38))
# A busy machine is not at fault, so no example has a deadline.
settings.register_profile("patient", settings(), deadline=None)
settings.load_profile("patient")


def tensors(largest=LARGEST, **shape):
    """Float32 tensors of one to three axes, subnormal numbers and zeros included."""
    elements = st.floats(-largest, largest, width=32)
    shapes = arrays.array_shapes(min_dims=1, max_dims=3, max_side=5)
    return arrays.arrays(np.float32, shapes, elements=elements).map(torch.from_numpy)


schemes = st.builds(
    Scheme,
    st.integers(2, 16),
    st.booleans(),
    st.sampled_from(GRANULARITIES),
    st.integers(2, 4),  # of a channel of up to 25 values; the last group may be short
)
observed = st.builds(
    replace, schemes, observer=st.sampled_from(OBSERVERS), percentile=st.floats(50, 100)
)


# Worked by hand


def test_three_bits_symmetric():
    x = torch.tensor([-1.5, 0.25, 0.75, 1.25, 1.5])
    qparams = choose_qparams(x, Scheme(bits=3))
    assert (qparams.scale, qparams.zero_point, *qparams[2:4]) == (0.5, 0, -3, 3)
    integers = quantize(x, qparams)
    assert integers.tolist() == [-3, 0, 2, 2, 3]  # 0.5, 1.5 and 2.5 round to even
    assert dequantize(integers, qparams).tolist() == [-1.5, 0.0, 1.0, 1.0, 1.5]
    assert qparams.levels.tolist() == [-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5]


def test_two_bits_asymmetric():
    x = torch.tensor([-1.0, 0.0, 0.5, 1.5, 2.0])
    qparams = choose_qparams(x, Scheme(bits=2, symmetric=False))
    assert (qparams.scale, qparams.zero_point, *qparams[2:4]) == (1.0, 1, 0, 3)
    assert quantize(x, qparams).tolist() == [0, 1, 1, 3, 3]
    assert qparams.levels.tolist() == [-1.0, 0.0, 1.0, 2.0]


@pytest.mark.parametrize("sign", [1, -1])
def test_an_asymmetric_range_always_holds_zero(sign):
    x = sign * torch.tensor([2.0, 3.0])
    qparams = choose_qparams(x, Scheme(bits=2, symmetric=False))
    assert sorted((sign * qparams.levels).tolist()) == [0.0, 1.0, 2.0, 3.0]


def test_per_channel_means_one_scale_for_each_output_channel():
    weight = torch.tensor([1.0, -2.0, 4.0]).reshape(3, 1, 1, 1).expand(3, 2, 5, 5)
    qparams = choose_qparams(weight, Scheme(bits=2, granularity="channel"))
    assert qparams.scale.shape == qparams.zero_point.shape == (3, 1, 1, 1)
    assert qparams.scale.flatten().tolist() == [1.0, 2.0, 4.0]
    assert qparams.levels.shape == (3, 1, 1, 1, 3)
    assert qparams.levels[2].flatten().tolist() == [-4.0, 0.0, 4.0]
    assert torch.equal(fake_quantize(weight, Scheme(2, granularity="channel")), weight)


def test_values_outside_the_range_are_clipped_to_its_ends():
    qparams = QParams(torch.tensor(0.5), torch.tensor(0, dtype=torch.int32), -3, 3)
    far = torch.tensor([-9.0, 9.0, float("inf"), -float("inf")])
    assert quantize(far, qparams).tolist() == [-3, 3, 3, -3]


def test_dtypes_and_input_are_kept():
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    before = x.detach().clone()
    qparams = choose_qparams(x, Scheme())
    assert qparams.scale.dtype == torch.float32 and not qparams.scale.requires_grad
    assert qparams.zero_point.dtype == quantize(x, qparams).dtype == torch.int32
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        assert fake_quantize(x.detach().to(dtype), Scheme()).dtype == torch.float32
    assert torch.equal(x.detach(), before)


# What must hold for every tensor


@given(tensors(), schemes)
def test_the_error_is_at_most_half_a_step(x, scheme):
    qparams = choose_qparams(x, scheme)
    x_, scale = x.double(), qparams.scale.double()
    steps = (fake_quantize(x, scheme).double() - x_).abs() / scale
    # The rounding of float32 itself, in steps, grows with the number of levels.
    assert steps.max() <= 0.5 + 2.0 ** (scheme.bits - 22)


@given(tensors(), schemes)
def test_zero_is_kept_exactly(x, scheme):
    x = torch.cat([x, torch.zeros_like(x)], dim=-1)
    kept = fake_quantize(x, scheme)
    assert torch.isfinite(kept).all()
    assert (kept[x == 0] == 0).all()
    qparams = choose_qparams(x, scheme)
    assert (
        (qparams.zero_point >= qparams.qmin) & (qparams.zero_point <= qparams.qmax)
    ).all()


@given(tensors(), observed)
def test_a_second_round_trip_with_the_same_qparams_changes_nothing(x, scheme):
    qparams = choose_qparams(x, scheme)
    assert torch.isfinite(qparams.scale).all() and (qparams.scale > 0).all()
    integers = quantize(x, qparams)
    assert integers.min() >= qparams.qmin and integers.max() <= qparams.qmax
    assert torch.equal(quantize(dequantize(integers, qparams), qparams), integers)


@given(tensors(), observed)
def test_the_fast_round_trip_is_the_slow_one_bit_for_bit(x, scheme):
    qparams = choose_qparams(x, scheme)
    back = dequantize(quantize(x, qparams), qparams)
    assert torch.isfinite(back).all()
    assert torch.equal(round_trip(x, qparams), back)


@given(tensors(), st.integers(2, 16), st.booleans())
def test_a_larger_value_never_gets_a_smaller_integer(x, bits, symmetric):
    qparams = choose_qparams(x, Scheme(bits, symmetric))
    in_order = quantize(x.flatten().sort().values, qparams)
    assert (in_order.diff() >= 0).all()


@given(tensors(), st.integers(2, 16))
def test_symmetric_means_that_x_and_minus_x_get_the_same_magnitude(x, bits):
    qparams = choose_qparams(x, Scheme(bits))
    assert torch.equal(quantize(-x, qparams), -quantize(x, qparams))
    assert (qparams.zero_point == 0).all()


@given(tensors(), st.integers(2, 16), st.booleans())
def test_no_channels_step_is_larger_than_the_step_for_all(x, bits, symmetric):
    # A channel of zeros has no step of its own; see the test of constant tensors.
    channels = x.flatten(1) if x.dim() > 1 else x.unsqueeze(1)
    whole = choose_qparams(x, Scheme(bits, symmetric)).scale
    steps = choose_qparams(x, Scheme(bits, symmetric, "channel")).scale.flatten()
    tiny = (channels.abs().amax(dim=1) / 2**bits) == 0
    assert (steps[~tiny] <= whole).all()


@given(tensors(), st.integers(2, 16), st.booleans())
def test_per_channel_is_per_tensor_for_each_channel_alone(x, bits, symmetric):
    together = fake_quantize(x, Scheme(bits, symmetric, "channel"))
    alone = torch.stack([fake_quantize(channel, Scheme(bits, symmetric)) for channel in x])
    assert torch.equal(together, alone)


# The same as torch
#
# torch multiplies by the inverse of the scale where we divide. For a scale that is a
# power of two both are exact, so the results are equal, ties included. For any other
# scale the two quotients may differ in their last bit, which shows only where x lies
# on the border between two levels: there, and only there, torch may take the neighbour.


def torchs(x, qparams):
    scale, zero_point = qparams.scale.flatten(), qparams.zero_point.flatten()
    if qparams.scale.dim() == 0:
        return torch.fake_quantize_per_tensor_affine(
            x, scale[0], zero_point[0], *qparams[2:4]
        )
    return torch.fake_quantize_per_channel_affine(x, scale, zero_point, 0, *qparams[2:4])


@given(tensors(largest=1024.0), st.integers(2, 8), st.booleans(), st.data())
def test_equal_to_torch_for_powers_of_two(x, bits, symmetric, data):
    shape = data.draw(st.sampled_from([(), (len(x),) + (1,) * (x.dim() - 1)]))
    count = shape[0] if shape else 1
    qmin, qmax = (
        (1 - 2 ** (bits - 1), 2 ** (bits - 1) - 1) if symmetric else (0, 2**bits - 1)
    )
    draw = lambda numbers: data.draw(st.lists(numbers, min_size=count, max_size=count))  # noqa: E731
    powers = draw(st.integers(-8, 8))
    zeros = [0] * count if symmetric else draw(st.integers(0, qmax))
    scale = torch.tensor([2.0**power for power in powers]).reshape(shape)
    zero_point = torch.tensor(zeros, dtype=torch.int32).reshape(shape)
    qparams = QParams(scale, zero_point, qmin, qmax)
    on_the_border = (x / scale).round() * scale + scale / 2
    for values in (x, on_the_border):
        ours = dequantize(quantize(values, qparams), qparams)
        assert torch.equal(ours, torchs(values, qparams))


@given(tensors(largest=1024.0), st.integers(2, 8), st.booleans())
def test_like_torch_for_any_scale_but_on_the_borders(x, bits, symmetric):
    for granularity in ("tensor", "channel"):
        qparams = choose_qparams(x, Scheme(bits, symmetric, granularity))
        ours = dequantize(quantize(x, qparams), qparams)
        theirs = torchs(x, qparams)
        quotient = x.double() / qparams.scale.double()
        from_border = (quotient - quotient.floor() - 0.5).abs()
        assert torch.equal(ours[from_border > 1e-4], theirs[from_border > 1e-4])
        steps = (ours - theirs).abs() / qparams.scale
        assert steps.max() <= 1.001


def test_equal_to_torch_on_the_reference_models_weights():
    for layer in fold_batch_norm(load_reference_model()).modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            for scheme in (Scheme(4), Scheme(4, False), Scheme(4, granularity="channel")):
                qparams = choose_qparams(layer.weight, scheme)
                ours = fake_quantize(layer.weight, scheme)
                assert torch.equal(ours, torchs(layer.weight, qparams))


# Hard inputs


@pytest.mark.parametrize("bits", [1, 17, 0, -4, 8.0, "8", None, True])
def test_bits_must_be_a_whole_number_from_2_to_16(bits):
    with pytest.raises(ValueError) as caught:
        Scheme(bits=bits)
    assert str(caught.value) == f"bits is {bits!r}; expected a whole number from 2 to 16"


def test_whole_numbers_of_numpy_and_torch_become_pythons():
    for eight, four in ((np.int64(8), np.int32(4)), (torch.tensor(8), torch.tensor(4))):
        scheme = Scheme(bits=eight, group_size=four)
        assert scheme == Scheme(bits=8, group_size=4)
        assert (type(scheme.bits), type(scheme.group_size)) == (int, int)


def test_the_other_fields_of_a_scheme_are_checked_too():
    with pytest.raises(ValueError) as caught:
        Scheme(symmetric=1)
    assert str(caught.value) == "symmetric is 1; expected True or False"
    with pytest.raises(ValueError) as caught:
        Scheme(granularity="row")
    assert (
        str(caught.value)
        == "granularity is 'row'; expected one of 'tensor', 'channel', 'group'"
    )


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_a_constant_tensor_comes_back_and_zeros_get_step_1(symmetric, granularity):
    scheme = Scheme(8, symmetric, granularity)
    for value in (3.0, -0.1):
        constant = torch.full((2, 3), value)
        assert torch.allclose(fake_quantize(constant, scheme), constant, rtol=1e-6)
    zeros = torch.zeros(2, 3)
    assert torch.equal(fake_quantize(zeros, scheme), zeros)
    assert (choose_qparams(zeros, scheme).scale == 1).all()


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 3)])
@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_an_empty_tensor_has_no_range(shape, granularity):
    with pytest.raises(
        ValueError, match="the tensor is empty: there is no range to choose"
    ):
        choose_qparams(torch.zeros(shape), Scheme(granularity=granularity))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e39, -3e38])
@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_no_range_from_values_that_are_not_finite_or_too_large(value, granularity):
    x = torch.tensor([[1.0, 2.0], [value, 0.0]], dtype=torch.float64)
    for use in (choose_qparams, fake_quantize):
        with pytest.raises(ValueError) as caught:
            use(x, Scheme(granularity=granularity))
        assert str(caught.value) == (
            "the tensor holds NaN, infinity or a value beyond 1e38; "
            "repair or clip it before quantizing"
        )


def test_no_integer_stands_for_nan():
    qparams = choose_qparams(torch.ones(2), Scheme())
    with pytest.raises(ValueError, match="the tensor holds NaN, which no integer can"):
        quantize(torch.tensor([1.0, float("nan")]), qparams)


@pytest.mark.parametrize("shape", [(5,), (1, 5), (3, 5), ()])
@pytest.mark.parametrize("call", [quantize, dequantize])
def test_qparams_of_another_shape_are_refused(call, shape):
    # Plain broadcasting would give (4, 5) for the first two.
    qparams = choose_qparams(torch.ones(4, 5), Scheme(granularity="channel"))
    with pytest.raises(ValueError) as caught:
        call(torch.ones(shape), qparams)
    assert str(caught.value) == (
        f"the tensor has shape {shape} and the scale shape (4, 1); "
        "expected qparams chosen for this tensor"
    )


def test_a_number_without_an_axis_has_no_channels():
    assert fake_quantize(torch.tensor(3.0), Scheme(2)) == 3.0
    with pytest.raises(ValueError) as caught:
        choose_qparams(torch.tensor(3.0), Scheme(granularity="channel"))
    assert str(caught.value) == (
        "the tensor has no axis, so no channels; use granularity='tensor'"
    )


@pytest.mark.parametrize("bits", range(2, 17))
@pytest.mark.parametrize("symmetric", [True, False])
def test_huge_values_stay_finite(bits, symmetric):
    x = torch.tensor([1e38, -1e38, 0.0])
    for values in (x, x[:1], x[1:]):
        qparams = choose_qparams(values, Scheme(bits, symmetric))
        assert torch.isfinite(qparams.levels).all()


def test_tiny_values_become_zeros_and_never_infinity():
    x = torch.tensor([1e-40, -3e-42, 1e-45])
    for symmetric in (True, False):
        assert fake_quantize(x, Scheme(8, symmetric)).abs().max() == 0
    assert choose_qparams(x, Scheme(8)).scale == torch.finfo(torch.float32).tiny


@pytest.mark.parametrize(
    "setting, says",
    [
        (
            {"granularity": "row"},
            "granularity is 'row'; expected one of 'tensor', 'channel', 'group'",
        ),
        (
            {"observer": "max"},
            "observer is 'max'; expected one of 'minmax', 'percentile', 'mse', 'entropy'",
        ),
        ({"group_size": 1}, "group_size is 1; expected a whole number of 2 or more"),
        ({"group_size": 2.0}, "group_size is 2.0; expected a whole number of 2 or more"),
        ({"percentile": 49}, "percentile is 49; expected a number from 50 to 100"),
        ({"percentile": "high"}, "percentile is 'high'; expected a number from 50 to 100"),
        (
            {"scale_dtype": "float64"},
            "scale_dtype is 'float64'; expected one of 'float32', 'float16', 'bfloat16', "
            "'e8m0', 'e4m3'",
        ),
        (
            {"signed_range": "wide"},
            "signed_range is 'wide'; expected one of 'narrow', 'full', 'ggml'",
        ),
        (
            {"format": "fp6"},
            "format is 'fp6'; expected one of 'integer', 'e4m3', 'e5m2', 'e2m1', 'nf4'",
        ),
        ({"format": "nf4"}, "bits is 8; format 'nf4' goes with 4"),
        (
            {"format": "e4m3", "symmetric": False},
            "symmetric is False; format 'e4m3' goes with True",
        ),
        (
            {"signed_range": "full", "symmetric": False},
            "symmetric is False; signed_range 'full' goes with True",
        ),
        (
            {"signed_range": "ggml", "format": "e4m3"},
            "format is 'e4m3'; signed_range 'ggml' goes with 'integer'",
        ),
        (
            {"scale_dtype": "e8m0"},
            "format is 'integer'; scale_dtype 'e8m0' goes with 'e4m3' or 'e5m2' or 'e2m1'",
        ),
        (
            {"scale_dtype": "e4m3", "format": "nf4", "bits": 4},
            "format is 'nf4'; scale_dtype 'e4m3' goes with 'e4m3' or 'e5m2' or 'e2m1'",
        ),
    ],
)
def test_a_scheme_names_what_it_allows(setting, says):
    with pytest.raises(ValueError) as caught:
        Scheme(**setting)
    assert str(caught.value) == says
