"""The range of a tensor: groups, percentiles, least squares."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnxruntime.quantization.calibrate import HistogramCollector

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
    assert qparams.scale.item() == pytest.approx(90 / 255)
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
        cut = (1 - percentile / 100) / 2  # at each end, as ONNX Runtime does
        low = torch.quantile(values, cut).clamp(max=0)
        reach = (torch.quantile(values, 1 - cut).clamp(min=0) - low) / 255
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
    cut = (1 - percentile / 100) / 2
    low, high = (torch.quantile(tensor, q, dim=1, keepdim=True) for q in (cut, 1 - cut))
    expected = (high.clamp(min=0) - low.clamp(max=0)) / 255
    torch.testing.assert_close(found, expected)


# Entropy


def reach_of(values: list[float], levels: int, bins: int, ends: range) -> float:
    """The talk's own loop (Migacz, GTC 2017), in plain Python."""
    largest = max(map(abs, values))
    counts = [0] * bins
    for value in values:
        counts[min(int(abs(value) / largest * bins), bins - 1)] += 1
    found = {}
    for end in ends:
        reference = counts[:end]
        reference[-1] += sum(counts[end:])
        candidate = [0.0] * end
        for level in range(levels):
            members = [i for i in range(end) if i * levels // end == level]
            holders = [i for i in members if reference[i]]
            for i in holders:
                candidate[i] = max(sum(counts[j] for j in members) / len(holders), 1e-4)
        p, q = ([each / sum(one) for each in one] for one in (reference, candidate))
        lost = sum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a)
        found.setdefault(round(lost, 6), largest * end / bins)
    return found[min(found)]


SHAPES = {
    "normal": lambda x: x,
    "outlier": lambda x: torch.cat([x, torch.tensor([40.0])]),
    "positive": lambda x: x.relu(),
    "cubed": lambda x: x**3,
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("bits", [2, 4])
def test_entropy_finds_what_the_plain_loop_finds(shape, bits):
    values = shape(torch.randn(3000, generator=torch.Generator().manual_seed(3)))
    levels = 2 ** (bits - 1)
    bins, step = 16 * levels, max(1, levels // 4)
    expected = reach_of(values.tolist(), levels, bins, range(bins, levels - 1, -step))
    scheme = Scheme(bits, observer="entropy")
    qparams = choose_qparams(values, scheme)
    assert qparams.scale.item() * qparams.qmax == pytest.approx(expected, rel=1e-5)
    one_sided = choose_qparams(values, replace(scheme, symmetric=False))
    low, high = max(values.min().item(), -expected), min(values.max().item(), expected)
    reach = (high - min(low, 0)) / (2**bits - 1)
    assert one_sided.scale.item() == pytest.approx(reach, rel=1e-5)


def test_entropy_clips_an_outlier_as_onnx_runtimes_does():
    given = SHAPES["outlier"](
        torch.randn(20_000, generator=torch.Generator().manual_seed(0))
    )
    theirs = HistogramCollector("entropy", True, 1025, 63, 99.99, "same")
    theirs.collect({"x": given.numpy()})
    _, high, *_ = theirs.compute_collection_result()["x"]
    ours = choose_qparams(given, Scheme(6, observer="entropy")).scale.item() * 31
    # It tries more reaches, and truncates the counts of its levels to whole numbers.
    assert ours == pytest.approx(float(high), rel=0.4)
    assert max(ours, high) < given.max() / 7


def test_entropy_of_many_rows_is_that_of_each_alone():
    rows = torch.randn(1030, 40, generator=torch.Generator().manual_seed(4)) ** 3
    rows[7] = 0
    together = fake_quantize(rows, Scheme(2, granularity="channel", observer="entropy"))
    assert not torch.equal(together, fake_quantize(rows, Scheme(2, granularity="channel")))
    for row in (0, 7, 1023, 1024, 1029):
        alone = fake_quantize(rows[row], Scheme(2, observer="entropy"))
        assert torch.equal(together[row], alone)


def test_a_histogram_of_few_values_tells_nothing():
    values = torch.randn(127, generator=torch.Generator().manual_seed(5)) ** 3
    both = [choose_qparams(values, Scheme(4, observer=o)) for o in ("entropy", "minmax")]
    assert both[0].scale == both[1].scale
    more = torch.cat([values, torch.zeros(1)])
    assert choose_qparams(more, Scheme(4, observer="entropy")).scale < both[1].scale


@pytest.mark.parametrize("bits", [12, 16])
def test_where_there_are_as_many_levels_as_bins_entropy_is_min_max(bits):
    values = torch.randn(5000, generator=torch.Generator().manual_seed(5)) ** 3
    both = [choose_qparams(values, Scheme(bits, observer=o)) for o in ("entropy", "minmax")]
    assert both[0].scale == both[1].scale


# What a scale is stored as


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_a_scale_is_rounded_to_its_dtype_and_the_integers_follow(
    dtype, symmetric, granularity
):
    weight = torch.randn(5, 4, 9, generator=torch.Generator().manual_seed(6))
    plain = Scheme(6, symmetric, granularity, group_size=8)
    exact = choose_qparams(weight, plain)
    stored = choose_qparams(weight, replace(plain, scale_dtype=dtype))
    kind = getattr(torch, dtype)
    assert torch.equal(stored.scale, exact.scale.to(kind).float())
    assert not torch.equal(stored.scale, exact.scale)
    scaled = torch.round(weight / stored.scale) + stored.zero_point
    found = quantize(weight, stored)
    assert torch.equal(found, scaled.clamp(stored.qmin, stored.qmax).int())
    assert torch.equal(round_trip(weight, stored), dequantize(found, stored))


def test_a_scale_beyond_its_dtype_is_refused_and_a_tiny_one_is_kept_from_zero():
    half = Scheme(8, scale_dtype="float16")
    with pytest.raises(ValueError) as caught:
        choose_qparams(torch.tensor([1e7, 1.0]), half)
    assert str(caught.value) == (
        "a scale of 7.87e+04 is beyond float16, which ends at 6.55e+04; "
        "use scale_dtype='float32'"
    )
    assert choose_qparams(torch.tensor([1e-9]), half).scale == 2.0**-24
    assert choose_qparams(torch.zeros(3), half).scale == 1
    assert fake_quantize(torch.tensor([1e-9]), half) == 0


@pytest.mark.parametrize("largest", [6.0, 7.99, 8.0, 448.0, 1e-30, 3.0])
def test_a_scale_of_mx_is_the_power_of_two_by_that_of_the_largest_level(largest):
    values = torch.tensor([largest, -largest / 3, 0.0])
    for form, bits, power in (("e2m1", 4, 2), ("e4m3", 8, 8), ("e5m2", 8, 15)):
        scheme = Scheme(bits, scale_dtype="e8m0", format=form)
        expected = 2.0 ** (math.floor(math.log2(largest)) - power)
        assert choose_qparams(values, scheme).scale.item() == expected


def test_the_largest_block_of_nvfp4_has_the_largest_scale():
    weight = torch.randn(4, 64, generator=torch.Generator().manual_seed(7))
    weight[0, :16] *= 1e-5  # below the smallest scale of a block: 2^-6
    scale = choose_qparams(weight, Scheme.preset("NVFP4")).scale
    whole = weight.abs().max() / (448 * 6)
    blocks = scale / whole
    assert blocks.max() == pytest.approx(448) and blocks.min() == pytest.approx(2**-6)
    zeros = choose_qparams(torch.zeros(2, 32), Scheme.preset("NVFP4"))
    assert torch.equal(
        dequantize(quantize(torch.zeros(2, 32), zeros), zeros), torch.zeros(2, 32)
    )


# The signed range


@pytest.mark.parametrize("bits", [2, 3, 4, 8, 16])
def test_the_full_range_has_one_level_more_and_a_shorter_step(bits):
    values = torch.linspace(-1, 1, 101)
    narrow = choose_qparams(values, Scheme(bits))
    full = choose_qparams(values, Scheme(bits, signed_range="full"))
    assert (full.qmin, full.qmax) == (narrow.qmin - 1, narrow.qmax)
    assert full.scale.item() == pytest.approx(2 / (2**bits - 1))
    ends = quantize(torch.tensor([-1.01, 1.01]), full)
    assert ends.tolist() == [full.qmin, full.qmax]


@pytest.mark.parametrize("observer", OBSERVERS)
@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_ggmls_range_is_that_of_the_mirrored_tensor_mirrored(observer, granularity):
    weight = torch.randn(6, 24, generator=torch.Generator().manual_seed(8)) ** 3
    scheme = Scheme(4, True, granularity, 8, observer, percentile=90, signed_range="ggml")
    qparams, mirrored = choose_qparams(weight, scheme), choose_qparams(-weight, scheme)
    assert torch.equal(qparams.scale, -mirrored.scale)
    assert torch.equal(quantize(weight, qparams), quantize(-weight, mirrored))
    assert (quantize(weight, qparams) == -8).any()
    if observer == "minmax":
        blocks = rows_of(weight, granularity)
        rounded = rows_of(fake_quantize(weight, scheme), granularity)
        for block, back in zip(blocks, rounded, strict=True):
            assert torch.equal(back[block.abs().argmax()], block[block.abs().argmax()])
