"""The layer view: its decibels, its levels and its error's parts, computed by hand."""

import math
import re

import pytest
import torch
from torch import nn

from helpers.classroom.explorers import clipping
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


NOTHING = (
    "the model has no layer whose weights can be looked at; expected one such as Linear, a "
    "convolution, Embedding or MultiheadAttention"
)


def not_a_number():
    layer = nn.Linear(2, 2)
    nn.init.constant_(layer.weight, float("nan"))
    return layer


@pytest.mark.parametrize(
    "model, why",
    [
        (nn.ReLU(), ""),
        (nn.Sequential(), ""),
        (nn.LSTM(2, 2), ""),
        (
            nn.LazyLinear(3),
            "; LazyLinear is lazy and has no weight yet; run the model once ",
        ),
        (nn.Linear(3, 3, device="meta"), "; Linear.weight is on the meta device, without"),
        (nn.Embedding(0, 3), "; weight has no values"),
        (not_a_number(), "; weight holds NaN, infinity or a value beyond 1e38; replace it"),
        (
            nn.Linear(2, 2, dtype=torch.complex64),
            "; Linear.weight is a Parameter of comple",
        ),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_model_with_nothing_to_look_at_is_refused_with_the_reason(model, why):
    with pytest.raises(ValueError) as caught:
        layer_view(model)
    assert str(caught.value).startswith(NOTHING + why)
    assert "keep_float" not in str(caught.value), "the panel has no such argument"
    if not why:
        assert str(caught.value) == NOTHING


class Mixed(nn.Module):
    """A layer that is looked at, and others that are not."""

    def __init__(self):
        super().__init__()
        self.lstm, self.norm, self.head = nn.LSTM(4, 4), nn.LayerNorm(4), nn.Linear(4, 1)
        self.act = nn.ReLU()
        self.odd = nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))

    def forward(self, x):
        return self.head(self.act(self.odd(self.norm(self.lstm(x)[0]))))


@pytest.mark.parametrize(
    "wanted, says",
    [
        ("tail", "layer is 'tail', which the model does not have; expected one of 'head'"),
        (3, "layer is 3, which the model does not have; expected one of 'head'"),
        (
            "lstm",
            "layer is 'lstm' (LSTM): recurrent layers are not treated; expected one of "
            "'head'",
        ),
        (
            "norm",
            "layer is 'norm' (LayerNorm): vectors alone, which engines keep in float; "
            "expected one of 'head'",
        ),
        (
            "act",
            "layer is 'act' (ReLU): it holds no weights, or they are folded into another; "
            "expected one of 'head'",
        ),
        (
            "odd",
            "layer is 'odd': odd computes its weight at each run, so values written to it "
            "would be lost; call torch.nn.utils.parametrize.remove_parametrizations("
            "model.get_submodule('odd'), 'weight') first; or expected one of 'head'",
        ),
    ],
)
def test_a_name_that_is_no_layer_to_look_at_is_told_why(wanted, says):
    with pytest.raises(ValueError) as caught:
        layer_view(Mixed(), wanted)
    assert str(caught.value) == says
    many = nn.Sequential(*[nn.Linear(2, 2) for _ in range(11)])
    with pytest.raises(ValueError, match=r"expected one of '0', '1', .* '7' and 3 more$"):
        layer_view(many, "x")


def test_what_is_left_out_is_told():
    with pytest.warns(UserWarning, match="left out: odd computes its weight at each run"):
        layer_view(Mixed())


ALONE = {
    "Linear": (nn.Linear(5, 3), 3, torch.bfloat16),
    "Embedding": (nn.Embedding(9, 4), 9, torch.bfloat16),
    "Conv1d": (nn.Conv1d(3, 4, 3), 4, torch.float16),
    "Conv3d": (nn.Conv3d(1, 4, 3), 4, torch.float64),
    "ConvTranspose2d": (nn.ConvTranspose2d(4, 6, 3, groups=2), 6, torch.bfloat16),
    "0": (nn.Sequential(nn.Linear(5, 3), nn.ReLU()), 3, torch.float32),
}


@pytest.mark.parametrize("name", ALONE)
def test_a_model_of_one_layer_is_looked_at_without_a_menu(name):
    model, channels, dtype = ALONE[name]
    weight = next(model.parameters()).detach()
    panel = layer_view(model.to(dtype))
    assert [control["name"] for control in panel.controls] == [
        *("bits", "granularity", "observer", "clip")
    ]
    assert panel.chart.text.startswith(f"{name}: {weight.numel()} weights at 3 bits per te")
    assert f"The worst of the {channels} channels" in panel.chart.text
    alone = "" if name != "0" else "0"
    for wanted in (alone, name, f"{alone}.weight".removeprefix(".")):
        assert layer_view(model, wanted).controls == panel.controls


@pytest.mark.parametrize("granularity", ["tensor", "channel", "group"])
def test_a_single_layer_is_drawn_over_the_whole_range_of_each_control(granularity):
    panel = layer_view(ALONE["ConvTranspose2d"][0])
    for observer in ("minmax", "percentile", "mse", "entropy", BY_HAND):
        for bits, clip in ((2, 20), (8, 100)):
            changed = {"observer": observer, "granularity": granularity}
            panel.values = {"bits": bits, "clip": clip, **changed}
            assert f"{bits} bits per {granularity}, " in panel.chart.text
            assert "inf" not in panel.chart.text and "nan" not in panel.chart.svg


def test_one_output_channel_is_not_the_worst_of_one():
    panel = layer_view(nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 1)), "1")
    assert " dB. There is one channel. Mean squared error" in panel.chart.text
    assert "worst" not in panel.chart.text


def test_attention_alone_has_a_name_for_each_of_its_weights():
    panel = layer_view(nn.MultiheadAttention(4, 2))
    assert panel.controls[0]["options"] == ["in_proj_weight", "out_proj"]
    assert panel.chart.text.startswith("in_proj_weight: 48 weights at")
    assert layer_view(nn.MultiheadAttention(4, 2), "").values["layer"] == "in_proj_weight"


def test_tied_weights_stand_once_and_are_found_by_each_name():
    model = nn.Sequential(nn.Embedding(9, 4), *[nn.Linear(4, 9, bias=False)] * 2)
    model.append(nn.Linear(4, 9, bias=False))
    for layer in model[1:]:
        layer.weight = model[0].weight
    model.append(nn.Linear(9, 9))
    panel = layer_view(model, "3")
    names = ["0 (tied, 3 layers)", "4"]
    assert panel.controls[0]["options"] == names
    for wanted in ("0", "1", "3", "3.weight"):
        assert layer_view(model, wanted).values["layer"] == names[0]
    assert panel.chart.text.startswith("0 (tied, 3 layers): 36 weights")


INNER = "a" * 40


@pytest.mark.parametrize(
    "names, labels",
    [
        ([f"{INNER}.b", f"{INNER}.c"], [f"…{'a' * 33}.b", f"…{'a' * 33}.c"]),
        ([f"b.{INNER}", f"c.{INNER}"], [f"b.{INNER}", f"c.{INNER}"]),
    ],
)
def test_long_names_show_their_ends_unless_these_are_alike(names, labels):
    model = nn.Module()
    for name in names:
        outer, inner = name.split(".")
        if outer not in dict(model.named_children()):
            model.add_module(outer, nn.Module())
        model.get_submodule(outer).add_module(inner, nn.Linear(2, 2))
    panel = layer_view(model, names[1])
    assert panel.controls[0]["options"] == labels and panel.values["layer"] == labels[1]
    assert panel.chart.text.startswith(f"{labels[1]}: ")


def test_the_landscape_of_a_large_weight_is_that_of_every_kth_channel(weight, monkeypatch):
    monkeypatch.setattr(clipping, "MOST", 70)  # of 200 weights: one channel in 3
    for granularity in ("tensor", "channel", "group"):
        steps = steps_by_hand(weight, granularity)[::3].double()
        found = clipping.landscape.__wrapped__(weight, BITS, granularity)
        for share, split in zip(SHARES, found, strict=True):
            some = weight[::3].double()
            rounded = (some / steps / share * 100).round().clamp(-TOP, TOP)
            errors = some - rounded * steps * share / 100
            assert split.whole == pytest.approx(errors.square().mean().item(), rel=1e-4)
        chart = draw({"big": weight.clone()}, "big", BITS, granularity, "minmax", 50)
        assert chart.text.endswith("%, judged on one channel in 3.")
        # The error itself is that of all.
        whole = sum(split_by_hand(weight, granularity, 1))
        assert f"Mean squared error {whole:.3g}: " in chart.text


def test_a_long_name_is_cut_in_the_picture_alone(weight):
    long = "base.model.transformer.encoder.layers.11.attention.self.query_key_value"
    chart = draw({long: weight}, long, BITS, "channel", "minmax", 50)
    assert_texts_apart(chart)
    assert f">…{long[-39:]}, 3 bits per channel<" in chart.svg
    assert chart.text.startswith(f"{long}: ")


def test_the_worst_channel_is_the_one_that_was_damaged():
    weight = torch.randn(5, 8)
    damaged = weight.clone()
    damaged[3] += 0.5
    channel, decibels = worst_channel(weight, damaged)
    assert channel == 3 and decibels == pytest.approx(sqnr_db(weight[3], damaged[3]))
    assert worst_channel(weight, weight) == (0, math.inf)
    with pytest.raises(ValueError, match="expected the same"):
        worst_channel(weight, weight[:4])


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
