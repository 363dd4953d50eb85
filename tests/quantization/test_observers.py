"""The range of a tensor: groups, percentiles, least squares."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.quantization import (
    GRANULARITIES,
    OBSERVERS,
    Scheme,
    choose_qparams,
    dequantize,
    fake_quantize,
    observers,
    quantize,
    round_trip,
)

# Groups


def test_a_group_is_quantized_as_if_it_stood_alone():
    weight = torch.randn(3, 10, generator=torch.Generator().manual_seed(0))
    scheme = Scheme(bits=4, granularity="group", group_size=4)
    rounded = fake_quantize(weight, scheme)
    for channel in range(3):
        for start in (0, 4, 8):  # the last group is short: two values
            alone = fake_quantize(weight[channel, start : start + 4], Scheme(bits=4))
            assert torch.equal(rounded[channel, start : start + 4], alone)


def test_scales_of_groups_broadcast_and_are_equal_within_a_group():
    weight = torch.randn(2, 3, 2, 2)
    scale = choose_qparams(weight, Scheme(granularity="group", group_size=5)).scale
    assert scale.shape == weight.shape
    for row in scale.flatten(1):
        assert [len(set(part.tolist())) for part in row.split(5)] == [1, 1, 1]


def test_a_group_as_long_as_the_channel_is_the_channel():
    weight = torch.randn(4, 7)
    by_group = fake_quantize(weight, Scheme(bits=3, granularity="group", group_size=7))
    assert torch.equal(
        by_group, fake_quantize(weight, Scheme(bits=3, granularity="channel"))
    )


# Observers


def test_percentile_by_hand():
    values = torch.arange(101.0)  # the 90th percentile is 90
    scheme = Scheme(bits=8, observer="percentile", percentile=90)
    assert choose_qparams(values, scheme).scale.item() == pytest.approx(90 / 127)
    assert fake_quantize(values, scheme).max().item() == pytest.approx(90)
    one_sided = Scheme(bits=8, symmetric=False, observer="percentile", percentile=90)
    qparams = choose_qparams(values - 50, one_sided)
    assert qparams.scale.item() == pytest.approx(80 / 255)
    assert dequantize(qparams.zero_point, qparams).item() == 0


def test_the_hundredth_percentile_is_min_max():
    values = torch.randn(50)
    every = Scheme(bits=4, observer="percentile", percentile=100)
    assert torch.equal(fake_quantize(values, every), fake_quantize(values, Scheme(bits=4)))


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("percentile", [50, 73.21, 99, 99.9, 100])
@pytest.mark.parametrize("count", [1, 2, 50, 10_001])
def test_a_percentile_is_what_torch_quantile_finds(count, percentile, symmetric):
    values = torch.randn(count, generator=torch.Generator().manual_seed(count))
    scheme = Scheme(8, symmetric, observer="percentile", percentile=percentile)
    scale = choose_qparams(values, scheme).scale.item()
    if symmetric:
        reach = torch.quantile(values.abs(), percentile / 100) / 127
    else:
        low = torch.quantile(values, 1 - percentile / 100).clamp(max=0)
        reach = (torch.quantile(values, percentile / 100).clamp(min=0) - low) / 255
    assert scale == pytest.approx(reach.item() or 1.0, rel=1e-4)


def test_a_percentile_of_more_values_than_torch_quantile_takes():
    values = torch.zeros(2**24 + 2)
    values[::2] = 1
    with pytest.raises(RuntimeError, match="too large"):
        torch.quantile(values, 0.75)
    scheme = Scheme(bits=2, observer="percentile", percentile=75)
    assert choose_qparams(values, scheme).scale == 1


@given(st.integers(2, 8), st.booleans(), st.sampled_from(GRANULARITIES), st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_least_squares_is_never_worse_than_min_max(bits, symmetric, granularity, seed):
    weight = torch.randn(3, 40, generator=torch.Generator().manual_seed(seed)) ** 3
    both = [
        fake_quantize(weight, Scheme(bits, symmetric, granularity, observer=observer))
        for observer in ("minmax", "mse")
    ]
    minmax, mse = ((weight - rounded).square().sum() for rounded in both)
    assert mse <= minmax * (1 + 1e-6)


@given(
    st.builds(
        Scheme,
        bits=st.integers(2, 8),
        symmetric=st.booleans(),
        granularity=st.sampled_from(GRANULARITIES),
        group_size=st.integers(2, 9),
        observer=st.sampled_from(OBSERVERS),
        percentile=st.sampled_from([50, 90, 99.9, 100]),
    ),
    st.integers(0, 99),
)
@settings(deadline=None, max_examples=60)
def test_any_scheme_keeps_zero_and_shape_and_repeats_itself(scheme, seed):
    weight = torch.randn(4, 3, 3, generator=torch.Generator().manual_seed(seed))
    weight[0] = 0
    qparams = choose_qparams(weight, scheme)
    once = dequantize(quantize(weight, qparams), qparams)
    assert once.shape == weight.shape and torch.equal(once[0], weight[0])
    assert torch.equal(dequantize(quantize(once, qparams), qparams), once)


# The observers, by the slow way.


def rows_of(tensor, granularity):
    """The values that share a scale, a row for each."""
    if granularity == "tensor":
        return [tensor.flatten()]
    rows = [channel.flatten() for channel in tensor]
    return rows if granularity == "channel" else [g for row in rows for g in row.split(8)]


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("symmetric", [True, False])
def test_least_squares_finds_what_trying_one_range_after_the_other_finds(
    granularity, symmetric
):
    generator = torch.Generator().manual_seed(0)
    tensor = torch.randn(6, 21, generator=generator) ** 3 + 0.2  # with outliers
    plain = Scheme(3, symmetric, granularity, group_size=8)
    found = choose_qparams(tensor, replace(plain, observer="mse"))
    scales = rows_of(found.scale.expand(tensor.shape), granularity)
    shorter = 0
    for row, scale in zip(rows_of(tensor, granularity), scales, strict=True):
        errors = {}
        for share in torch.linspace(1, 0.2, 41):
            low, high = row.min() * share, row.max() * share
            if symmetric:
                high = max(abs(low), abs(high))
                low = -high
            qparams = choose_qparams(torch.stack([low, high]), Scheme(3, symmetric))
            error = (row - round_trip(row, qparams)).square().sum().item()
            errors.setdefault(error, qparams.scale)
        torch.testing.assert_close(scale[0], errors[min(errors)], rtol=1e-5, atol=0)
        shorter += scale[0] < choose_qparams(row, Scheme(3, symmetric)).scale
    assert shorter


def test_least_squares_of_a_tensor_that_is_tried_in_parts_is_the_same(monkeypatch):
    tensor = torch.randn(9, 50, generator=torch.Generator().manual_seed(1)) ** 3
    scheme = Scheme(4, granularity="channel", observer="mse")
    at_once = choose_qparams(tensor, scheme)
    monkeypatch.setattr(observers, "_TRIED_AT_ONCE", 3 * tensor.numel())
    in_parts = choose_qparams(tensor, scheme)
    assert torch.equal(at_once.scale, in_parts.scale)


@pytest.mark.parametrize("percentile", [50, 75, 90, 99.9, 100])
def test_the_percentile_is_that_of_torch(percentile):
    tensor = torch.randn(5, 40, generator=torch.Generator().manual_seed(2))
    scheme = Scheme(8, granularity="channel", observer="percentile", percentile=percentile)
    highest = torch.quantile(tensor.abs(), percentile / 100, dim=1, keepdim=True)
    torch.testing.assert_close(choose_qparams(tensor, scheme).scale, highest / 127)
    found = choose_qparams(tensor, replace(scheme, symmetric=False)).scale
    share = percentile / 100
    low, high = (torch.quantile(tensor, q, dim=1, keepdim=True) for q in (1 - share, share))
    expected = (high.clamp(min=0) - low.clamp(max=0)) / 255
    torch.testing.assert_close(found, expected)
