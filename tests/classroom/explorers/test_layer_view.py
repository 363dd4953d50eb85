"""The layer view: its decibels and its dashed levels, computed anew by hand."""

import math
import re

import pytest
import torch
from torch import nn

from helpers.classroom.charts import histogram
from helpers.classroom.explorers.layer_view import draw, layer_view, worst_channel
from helpers.quantization import sqnr_db

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
    chart = draw({"layer": weight}, "layer", BITS, granularity, "minmax")
    assert chart.text == (
        f"layer: 200 weights at 3 bits per {granularity}, minmax. SQNR "
        f"{decibels(weight, steps):.1f} dB. The worst of the 4 channels is number {worst}, "
        f"with {each[worst]:.1f} dB."
    )


def dashed(svg):
    [path] = re.findall(r'<path d="([^"]+)"[^>]*stroke-dasharray="5 3"', svg)
    return path


@pytest.mark.parametrize(
    "granularity, channel", [("tensor", None), ("channel", 2), ("group", 2)]
)
def test_the_dashed_levels_are_those_of_the_worst_channel(weight, granularity, channel):
    chart = draw({"layer": weight}, "layer", BITS, granularity, "minmax")
    largest = (weight if channel is None else weight[channel]).abs().max()
    levels = (torch.arange(-TOP, TOP + 1) * (largest / TOP)).tolist()
    values = {"x_label": "weight", "text": "", "height": 230}
    by_hand = histogram("", weight.flatten().tolist(), **values, ticks=levels)
    assert dashed(chart.svg) == dashed(by_hand.svg)


def test_a_percentile_is_named_with_its_number(weight):
    chart = draw({"layer": weight}, "layer", BITS, "tensor", "percentile")
    assert chart.text.startswith("layer: 200 weights at 3 bits per tensor, percentile 99. ")


@pytest.mark.parametrize("count", [0, 1])
def test_a_model_with_nothing_to_choose_from_is_refused(count):
    model = nn.Sequential(*[nn.Linear(2, 2) for _ in range(count)], nn.ReLU())
    with pytest.raises(ValueError) as caught:
        layer_view(model)
    assert str(caught.value) == (
        f"the model has {count} layers of Conv2d or Linear; expected two or more to choose "
        "from"
    )
    with pytest.raises(ValueError, match="layer is 'tail'; expected one of '0', '1'"):
        layer_view(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), "tail")


def test_the_worst_channel_is_the_one_that_was_damaged():
    weight = torch.randn(5, 8)
    damaged = weight.clone()
    damaged[3] += 0.5
    channel, decibels = worst_channel(weight, damaged)
    assert channel == 3 and decibels == pytest.approx(sqnr_db(weight[3], damaged[3]))
