"""The layer view: its decibels, its levels and its error's parts, computed by hand."""

import math
import re

import pytest
import torch
from torch import nn

from helpers.classroom.explorers.clipping import SHARES, clipped_at, split_error
from helpers.classroom.explorers.layer_view import (
    BY_HAND,
    draw,
    layer_view,
    worst_channel,
)
from helpers.quantization import Scheme, choose_qparams, dequantize, quantize, sqnr_db
from tests.classroom.charts.test_charts import assert_texts_apart
from tests.classroom.explorers.test_guesses import place, seen
from tests.quantization.own_models import cases

BITS, TOP = 3, 3  # the integers run from -3 to 3
GROUP = 32  # values, neighbours within a channel


@pytest.fixture(scope="module")
def weight():
    """Four channels of 50 values; the largest is not in the worst channel, number 2."""
    weight = torch.randn(4, 50, generator=torch.Generator().manual_seed(0))
    weight[1] *= 10
    weight[2, 40] = 8
    return weight


def decibels(weight, steps):
    rounded = torch.round(weight / steps).clamp(-TOP, TOP) * steps
    signal, noise = (t.double().square().sum() for t in (weight, weight - rounded))
    return 10 * math.log10(signal / noise)


def steps_by_hand(weight, granularity):
    """The step of each value, in a tensor of the weight's own shape."""
    parts = {
        "tensor": [weight],
        "channel": [row[None] for row in weight],
        "group": [part for row in weight for part in row[None].split(GROUP, dim=1)],
    }[granularity]
    steps = [torch.full_like(part, part.abs().max() / TOP) for part in parts]
    return torch.cat([step.flatten() for step in steps]).reshape(weight.shape)


@pytest.mark.parametrize("granularity", ["tensor", "channel", "group"])
def test_the_words_give_the_decibels_of_all_and_of_the_worst_channel(weight, granularity):
    steps = steps_by_hand(weight, granularity)
    each = [decibels(*pair) for pair in zip(weight, steps, strict=True)]
    worst = each.index(min(each))
    chart = draw({"layer": weight}, "layer", BITS, granularity, "minmax", 50)
    assert chart.text.startswith(
        f"layer: 200 weights at 3 bits per {granularity}, minmax. SQNR "
        f"{decibels(weight, steps):.1f} dB. The worst of the 4 channels is number {worst}, "
        f"with {each[worst]:.1f} dB. Mean squared error "
    )


def split_by_hand(weight, granularity, share):
    """Mean squared error of the weights inside the threshold, and of those beyond."""
    steps = steps_by_hand(weight, granularity).double() * share
    errors = weight.double() - torch.round(weight / steps).clamp(-TOP, TOP) * steps
    beyond = weight.abs() > steps * TOP
    inside, outside = (errors[some].square().sum() for some in (~beyond, beyond))
    return inside.item() / weight.numel(), outside.item() / weight.numel()


@pytest.mark.parametrize("granularity", ["tensor", "channel", "group"])
@pytest.mark.parametrize("share", [20, 37, 80])
def test_the_two_parts_of_the_error_make_the_whole(weight, granularity, share):
    qparams = clipped_at(weight, share / 100, BITS, granularity)
    split = split_error(weight, qparams)
    assert split == pytest.approx(split_by_hand(weight, granularity, share / 100), 1e-5)
    assert min(split) > 0
    # As the library rounds, without a look at what lies beyond.
    errors = weight.double() - dequantize(quantize(weight, qparams), qparams).double()
    assert split.whole == pytest.approx(errors.square().mean().item(), rel=1e-14)
    chart = draw({"layer": weight}, "layer", BITS, granularity, BY_HAND, share)
    assert f"Mean squared error {split.whole:.3g}: rounding {split.rounding:.3g}, " in (
        chart.text
    )
    assert f"clipping {split.clipping:.3g} at {share}% of " in chart.text
    for words in ("rounding", "clipping"):
        part = getattr(split, words)
        assert f">{words} {part:.3g}, {part / split.whole:.0%}<" in chart.svg


@pytest.mark.parametrize("granularity", ["tensor", "channel", "group"])
def test_min_max_clips_nothing_and_the_least_error_is_the_least(weight, granularity):
    whole = {s: sum(split_by_hand(weight, granularity, s / 100)) for s in SHARES}
    best = min(whole, key=whole.get)
    chart = draw({"layer": weight}, "layer", BITS, granularity, "minmax", 50)
    assert ", clipping 0 at 100% of " in chart.text
    assert chart.text.endswith(f". Least: {whole[best]:.3g} at {best}%.")
    assert f">least at {best}%<" in chart.svg


def ticks(svg):
    """The x of each level's tick."""
    [path] = re.findall(r'<path d="([^"]+)" stroke="[^"]+" stroke-width="1.5"', svg)
    return [float(x) for x in re.findall(r"M([\d.]+) ", path)]


@pytest.mark.parametrize("granularity", ["tensor", "channel", "group"])
@pytest.mark.parametrize("share", [40, 100])
def test_the_levels_lie_between_the_two_thresholds(weight, granularity, share):
    chart = draw({"layer": weight}, "layer", BITS, granularity, BY_HAND, share)
    places = [300 + 270 * share / 100 * k / TOP for k in range(-TOP, TOP + 1)]
    assert ticks(chart.svg) == pytest.approx(places, abs=0.06)
    [at] = re.findall(r'data-control="clip".*data-at="([\d.]+)"', chart.svg)
    assert float(at) == pytest.approx(places[-1], abs=0.06)


def test_where_each_channel_has_its_own_threshold_their_median_is_named(weight):
    chart = draw({"layer": weight}, "layer", BITS, "channel", "mse", 50)
    schemes = (Scheme(bits=BITS, observer=name) for name in ("mse", "minmax"))
    tried, full = ([choose_qparams(row, s).scale for row in weight] for s in schemes)
    shares = sorted((one / other).item() for one, other in zip(tried, full, strict=True))
    assert shares[0] < shares[-1]
    words = f"a median of {shares[1]:.0%} of each channel's largest weight"
    assert words in chart.text and "clip at a median of " in chart.svg
    assert 'stroke-width="1.5"' not in chart.svg, "no levels: each channel has its own"


@pytest.mark.parametrize("bits", [2, 8])
@pytest.mark.parametrize("share", [20, 62, 100])
@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_no_words_touch_each_other_or_leave_the_paper(weight, bits, share, granularity):
    chart = draw({"layer": weight}, "layer", bits, granularity, BY_HAND, share)
    assert_texts_apart(chart)
    chart = draw({"layer": weight}, "layer", bits, granularity, "mse", share)
    assert_texts_apart(chart)


def test_weights_of_nothing_but_zeros_are_drawn():
    chart = draw({"layer": torch.zeros(2, 8)}, "layer", BITS, "tensor", "minmax", 50)
    assert "Mean squared error 0: rounding 0, clipping 0 at 100% of " in chart.text


def test_who_moves_the_threshold_has_chosen_it_by_hand():
    panel = layer_view(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)))
    [clip] = [control for control in panel.controls if control["name"] == "clip"]
    assert clip["sets"] == {"observer": BY_HAND}


def test_a_percentile_is_named_with_its_number(weight):
    chart = draw({"layer": weight}, "layer", BITS, "tensor", "percentile", 50)
    assert chart.text.startswith("layer: 200 weights at 3 bits per tensor, percentile 99. ")


@pytest.mark.parametrize("count", [0, 1])
def test_a_model_with_nothing_to_choose_from_is_refused(count):
    model = nn.Sequential(*[nn.Linear(2, 2) for _ in range(count)], nn.ReLU())
    with pytest.raises(ValueError) as caught:
        layer_view(model)
    assert str(caught.value) == (
        f"the model has {count} layers that can be quantized; expected two or more to "
        "choose from"
    )
    with pytest.raises(ValueError, match="layer is 'tail'; expected one of '0', '1'"):
        layer_view(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), "tail")


def test_the_worst_channel_is_the_one_that_was_damaged():
    weight = torch.randn(5, 8)
    damaged = weight.clone()
    damaged[3] += 0.5
    channel, decibels = worst_channel(weight, damaged)
    assert channel == 3 and decibels == pytest.approx(sqnr_db(weight[3], damaged[3]))


@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_before_the_guess_nothing_says_where_the_error_is_least(weight, granularity):
    whole = {s: sum(split_by_hand(weight, granularity, s / 100)) for s in SHARES}
    best = min(whole, key=whole.get)
    for observer, clip in (("minmax", 50), ("mse", 50), (BY_HAND, 62)):
        chart = draw({"layer": weight}, "layer", BITS, granularity, observer, clip)
        asked = chart.guess
        assert asked.truth == best
        assert f"layer, {BITS} bits per {granularity}: at how many" in asked.question
        assert not re.search("error|least|clip|%", asked.before)
        shown = seen(chart)
        assert "clip at" in shown or observer == "mse"
        assert not re.search("least|rounding|clipping|mean squared", shown)
        assert ("data-control" in shown) == (observer != "mse"), "the grip would tell"
        # The diamond of the least lies where the truth does.
        y = [float(y) for x, y in diamonds(chart.svg) if close(x, place(asked, best))]
        assert len(y) == 1 and asked.across[0] < y[0] <= asked.across[1]
    assert layer_view(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))).guess


def diamonds(svg):
    return re.findall(r"M([\d.]+) ([\d.]+)m0 -5l5 5", svg)


def close(x, other):
    return float(x) == pytest.approx(other, abs=0.06)


@pytest.mark.parametrize("name", cases())
def test_every_layer_of_any_model_can_be_looked_at(name):
    panel = layer_view(cases()[name].model)
    for layer in panel.controls[0]["options"]:
        panel.values = {**panel.values, "layer": layer, "granularity": "channel"}
        assert panel.chart.text.startswith(f"{layer}: ")


def test_attention_of_three_weights_and_a_transposed_convolution_are_looked_at():
    model = nn.Sequential(
        nn.MultiheadAttention(4, 2, kdim=3, vdim=5), nn.ConvTranspose2d(6, 8, 3, groups=2)
    ).to(torch.bfloat16)
    panel = layer_view(model)
    names = ["0.q_proj_weight", "0.k_proj_weight", "0.v_proj_weight", "0.out_proj", "1"]
    assert panel.controls[0]["options"] == names
    counts = {"0.k_proj_weight": (4, 12), "1": (8, 6 * 4 * 9)}
    for name, (channels, count) in counts.items():
        panel.values = {**panel.values, "layer": name, "granularity": "channel"}
        assert f"{name}: {count} weights at" in panel.chart.text
        assert f"the {channels} channels" in panel.chart.text
