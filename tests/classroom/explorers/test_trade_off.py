"""The trade-off explorer without a browser: guess, every control, pins, and the picture."""

import re
from itertools import pairwise

import pytest
import torch
from torch import nn

from helpers.classroom.explorers.layer_values import scheme_of
from helpers.classroom.explorers.trade_off import PIN, RESET, SHOW, trade_off
from helpers.classroom.explorers.trade_off_controls import BITS
from helpers.classroom.explorers.trade_off_state import CALIBRATION
from helpers.quantization import (
    GRANULARITIES,
    OBSERVERS,
    Scheme,
    packed_bytes,
    quantize_model,
)
from helpers.training import accuracy
from tests.classroom.charts.test_charts import assert_texts_apart


@pytest.fixture
def panel(reused):
    reused.press(RESET)
    return reused


def move(panel, **values):
    panel.values = {**panel.values, **values}
    return panel.chart


def test_before_the_guess_the_answer_is_nowhere(panel, digits):
    data, _ = panel._repr_mimebundle_()
    shown = data["text/plain"] + data["image/svg+xml"] + str(panel.frame)
    assert "27.8" not in shown and "519" not in shown
    # What is known without it is there: the float model, the bytes, the noise.
    assert panel.chart.text.startswith(
        "Predict first. In float32, 98.9% of 719 images are right. How many will be with "
        "this setting? Your guess is 90%; set it, then press Show the answer. "
        "9,842 bytes, 8.5 times smaller than float32. Weights: 3 bits"
    )
    assert "where on this line?" in panel.chart.svg


def test_the_guess_is_held_against_the_answer(panel):
    move(panel, guess=75)
    assert "my guess 75%" in panel.chart.svg
    panel.press(SHOW)
    assert panel.chart.text.startswith(
        "You guessed 75%, it is 27.8%. 27.8% of 719 images are right (95% interval 24.7% "
        "to 31.2%); 519 changed their class. 9,842 bytes, 8.5 times smaller than float32."
    )
    assert "You guessed 75%, it is 27.8%." in panel.chart.svg
    # Elsewhere the guess is not held against what it was not made for.
    assert "You guessed" not in move(panel, weight_bits=4).text
    assert "You guessed 75%" in move(panel, weight_bits=3, guess=10).text


def test_before_the_guess_nothing_can_be_pinned(panel):
    panel.press(PIN)
    assert panel.chart.table == ()


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("bits", BITS)
def test_what_is_shown_is_what_the_helpers_give(panel, model, digits, bits, granularity):
    panel.press(SHOW)
    text = move(panel, weight_bits=bits, granularity=granularity).text
    scheme = None if bits == 32 else Scheme(bits, granularity=granularity)
    small = quantize_model(model, scheme)
    right = accuracy(small, digits.test_images, digits.test_labels)
    assert text.removeprefix("You guessed 90%, it is 27.8%. ").startswith(f"{right:.1%} of")
    assert f" {packed_bytes(model, scheme):,} bytes, " in text
    assert (text.count("exact") == 10) == (bits == 32)


EXTREMES = [
    {"weight_bits": 2, "activation_bits": 2, "symmetric": True, "calibration": 16},
    {"weight_bits": 2, "activation_bits": 2, "symmetric": False, "observer": "percentile"},
    {"weight_bits": 16, "activation_bits": 16, "granularity": "group", "calibration": 256},
    {"weight_bits": 32, "activation_bits": 32, "symmetric": False},
    {"weight_bits": 2, "observer": "mse", "granularity": "group"},
    {"weight_bits": 32, "activation_bits": 4, "observer": "mse"},
    {"guess": 0},
    {"guess": 100},
]


@pytest.mark.parametrize("values", EXTREMES, ids=str)
@pytest.mark.parametrize("asked", [False, True])
def test_the_ends_of_every_control_can_be_drawn(panel, values, asked):
    if asked:
        panel.press(SHOW)
    chart = move(panel, **values)
    assert panel.frame["text"] == chart.text and chart.svg.startswith("<svg ")
    assert "nan" not in chart.svg and "inf" not in chart.svg and " inf" not in chart.text


@pytest.mark.parametrize("observer", OBSERVERS)
@pytest.mark.parametrize("symmetric", [True, False])
def test_every_way_to_choose_a_range_is_named(panel, observer, symmetric):
    panel.press(SHOW)
    text = move(panel, observer=observer, symmetric=symmetric, activation_bits=8).text
    kind = "symmetric" if symmetric else "asymmetric"
    kind += ", percentile 99" if observer == "percentile" else f", {observer}"
    assert f"Weights: 3 bits, {kind}, per tensor; " in text
    assert f"activations: 8 bits, {kind}, from 64 images." in text


NAMES = ("stem.0", "blocks.0.0", "blocks.0.3", "blocks.1.0", "blocks.1.3", "blocks.2.0")
NAMES += ("blocks.2.3", "blocks.3.0", "blocks.3.3", "head")


def own(**bits):
    return tuple(bits.get(name.replace(".", "_"), 0) for name in NAMES)


@pytest.mark.parametrize("usual", [3, 32])
@pytest.mark.parametrize("stop", [2, 16, 32])
def test_a_layers_own_bits_are_its_scheme(panel, model, digits, usual, stop):
    panel.press(SHOW)
    text = move(panel, weight_bits=usual, own_bits=own(blocks_1_0=stop, head=4)).text
    bits = dict.fromkeys(NAMES, usual) | {"blocks.1.0": stop, "head": 4}
    weights = {name: Scheme(some) for name, some in bits.items() if some != 32}
    small = quantize_model(model, weights)
    right = accuracy(small, digits.test_images, digits.test_labels)
    assert f"{right:.1%} of 719 images are right" in text
    assert f" {packed_bytes(model, weights):,} bytes, " in text
    names = {"quantize_model": quantize_model, "Scheme": Scheme, "model": model}
    exec(panel.chart.code, names)
    pairs = zip(small.parameters(), names["small"].parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("usual", BITS)
def test_every_stop_of_every_small_slider_is_in_the_setting(panel, usual):
    state = panel._draw.__self__
    choices = {name: some for name, some in panel.values.items() if name != "guess"}
    choices["weight_bits"] = usual
    for k, name in enumerate(NAMES):
        for stop in (0, *BITS):
            bits = (*(0,) * k, stop, *(0,) * (9 - k))
            found = state.setting(**choices | {"own_bits": bits})
            expected = dict.fromkeys(NAMES, usual) | {name: stop or usual}
            for layer in NAMES:
                scheme = scheme_of(found, layer)
                assert (scheme.bits if scheme else 32) == expected[layer]


def test_own_bits_that_are_those_of_all_are_no_other_setting(panel):
    state = panel._draw.__self__
    choices = {name: some for name, some in panel.values.items() if name != "guess"}
    plain = state.setting(**choices)
    for bits in ((3,) * 10, own(head=3, stem_0=3)):
        assert state.setting(**choices | {"own_bits": bits}) == plain
    four = state.setting(**choices | {"own_bits": (4,) * 10})
    assert four == state.setting(**choices | {"weight_bits": 4})
    none = state.setting(**choices | {"own_bits": (32,) * 10})
    assert none == state.setting(**choices | {"weight_bits": 32})


def test_what_stays_in_float_stays_whatever_its_own_bits_are(panel):
    panel.press(SHOW)
    kept = move(panel, keep_float=("blocks.1.0", "head")).text
    text = move(panel, own_bits=own(blocks_1_0=2, head=16)).text
    assert text == kept


def test_own_bits_are_named_in_words_in_brief_and_in_the_picture(panel):
    panel.press(SHOW)
    assert "dashed" not in panel.chart.svg
    chart = move(panel, own_bits=own(blocks_1_0=8, head=8, stem_0=32))
    assert (
        "Weights: 3 bits, symmetric, minmax, per tensor, but 8 bits in blocks.1.0 and "
        "head; float32 in stem.0; activations: float32." in chart.text
    )
    assert chart.brief.endswith(" bytes, layers of 3 and 8 bits.")
    assert ">SQNR, dB; dashed: other bits<" in chart.svg
    assert chart.svg.count('stroke-dasharray="4 2"') == 2
    assert_texts_apart(chart)
    panel.press(PIN)
    assert "but 8 bits in blocks.1.0 and head" in panel.chart.table[1][1]


def test_the_layer_that_is_shown_is_no_part_of_the_setting(panel):
    panel.press(SHOW)
    before = move(panel, activation_bits=8)
    for name in NAMES:
        chart = move(panel, layer=name)
        assert f">{name}: weights, 3 bits<" in chart.svg
        assert f">{name}: inputs, 8 bits<" in chart.svg and f" {name}: " in chart.text
        assert chart.code == before.code and chart.brief == before.brief
        assert_texts_apart(chart)
    chart = move(panel, own_bits=own(head=5), granularity="channel", layer="head")
    assert ">head: weights, 5 bits<" in chart.svg
    assert ">the lines of the outermost channel<" in chart.svg
    chart = move(panel, keep_float=("head",))
    assert ">head: weights, float32<" in chart.svg
    assert chart.svg.count(">nothing is clipped<") == 2


def test_of_many_layers_the_largest_have_sliders():
    torch.manual_seed(0)
    sizes = (3, 40, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 4)
    layers = [nn.Linear(one, two) for one, two in pairwise((*sizes, 3))]
    inputs, labels = torch.rand(40, 3), torch.randint(0, 3, (40,))
    panel = trade_off(nn.Sequential(*layers), inputs, labels)
    [sliders] = [some for some in panel.controls if some["kind"] == "sliders"]
    assert sliders["label"] == "Bits of the 12 largest layers"
    products = [one * two for one, two in pairwise((*sizes, 3))]
    largest = sorted(range(15), key=products.__getitem__, reverse=True)[:12]
    assert sliders["names"] == tuple(map(str, sorted(largest)))
    panel.press(SHOW)
    last = (*(0,) * 11, 2)
    text = move(panel, own_bits=last).text
    assert f", but 2 bits in {sliders['names'][-1]}; act" in text


def test_all_layers_in_float_are_the_float_model(panel):
    panel.press(SHOW)
    names = panel.controls[-1]["options"]
    text = move(panel, keep_float=tuple(names)).text
    assert text.startswith("98.9% of 719") and "83,752 bytes, as large as float32." in text
    assert text.count("exact") == len(names) == 10
    assert move(panel, keep_float=("head",)).text.count("exact") == 1


def test_the_words_say_what_stays_in_float(panel):
    panel.press(SHOW)
    usual = "Weights: 3 bits, symmetric, minmax, per tensor"
    text = move(panel, keep_float=("stem.0",)).text
    assert f"{usual}; activations: float32; in float: stem.0." in text
    text = move(panel, own_bits=own(blocks_0_0=32)).text
    assert f"{usual}, but float32 in blocks.0.0; activations: float32; in" in text
    assert "; in float: stem.0." in text
    text = move(panel, keep_float=NAMES, activation_bits=8).text
    assert "Weights: float32; activations: float32." in text and "in float:" not in text


@pytest.mark.parametrize("rows", [1, 2])
def test_a_game_that_is_not_offered_is_not_spoken_of_and_a_lone_layer_has_a_name(rows):
    torch.manual_seed(0)
    inputs, labels = torch.rand(rows, 4), torch.zeros(rows, dtype=torch.long)
    panel = trade_off(nn.Linear(4, 3), inputs, labels)
    assert any("Play" in name for name in panel.buttons) == (rows > 1)
    text = panel.chart.text
    assert ("what chooses looks at" in text) == (rows > 1)
    assert text.endswith(".") and "SQNR of the weights in dB: the model " in text
    panel.press(SHOW)
    panel.press(PIN)
    [ticks] = [some for some in panel.controls if some["name"] == "keep_float"]
    assert ticks["options"] == ["the model"]
    text = move(panel, keep_float=("the model",)).text
    assert "Weights: float32; " in text and "dB: the model exact." in text
    panel.press(PIN)
    assert [row[2] for row in panel.chart.table[1:]] == ["none", "the model"]
    assert 'keep_float=("",)' in panel.chart.code


def test_each_control_changes_the_picture(panel):
    for asked in (False, True):
        if asked:
            panel.press(SHOW)
        seen = [panel.chart.svg]
        # In the order of the panel: the calibration counts once activations are quantized.
        for change in (
            {"guess": 89},
            {"weight_bits": 2},
            {"granularity": "channel"},
            {"symmetric": False},
            {"observer": "percentile"},
            {"activation_bits": 16},
            {"calibration": 32},
            {"own_bits": (16, *(0,) * 9)},
            {"layer": "head"},
            {"keep_float": ("stem.0",)},
        ):
            seen.append(move(panel, **change).svg)
            assert seen[-1] != seen[-2], change
        panel.press(RESET)


def test_of_quick_moves_the_last_one_is_shown_and_each_is_a_point(panel):
    panel.press(SHOW)
    for bits in (4, 5, 6, 7, 8, 7, 6, 5, 4, 3, 2) * 3:
        move(panel, weight_bits=bits)
    assert "Weights: 2 bits" in panel.frame["text"]
    # Each setting is a point once: 2 to 8 bits and float32, in rings or squares.
    rings = len(re.findall(r'r="4.6"', panel.chart.svg)) - 1  # one in the legend
    squares = panel.chart.svg.count("m-3.5 -3.5h7v7h-7z") - 1
    assert rings + squares == 8 and squares >= 4


def test_changed_images_are_shown_with_both_classes(panel):
    panel.press(SHOW)
    assert ">519 images changed their class; the first 10:<" in panel.chart.svg
    assert len(re.findall(r">\d → \d<", panel.chart.svg)) == 10
    chart = move(panel, weight_bits=8)
    count = int(re.search(r"; (\d+) changed their class", chart.text)[1])
    assert len(re.findall(r">\d → \d<", chart.svg)) == min(count, 10)
    assert "No image changed its class" in move(panel, weight_bits=32).svg


def test_the_sheets_of_a_panel_hold_the_words_of_the_one_picture(panel):
    heights = []
    for values in ({}, {"weight_bits": 8}, {"weight_bits": 32}):
        for press in (RESET, SHOW):
            panel.press(press)
            chart = move(panel, **values)
            assert panel.frame["svg"] == chart.sheets
            shown, whole = (
                [text for text in re.findall(r">([^<>]+)</text>", svg)]
                for svg in (chart.sheets, chart.svg)
            )
            assert shown == whole
            heights.append(re.findall(r'viewBox="[\d. ]+" style="[^"]+"', chart.sheets))
    # In one column, too, what stands below stays where it is.
    assert all(some == heights[0] for some in heights)


def test_pinned_settings_are_a_table_and_code_that_repeats_them(panel, model, digits):
    assert panel.chart.code == "small = quantize_model(model, weights=Scheme(bits=3))"
    panel.press(SHOW)
    panel.press(PIN)
    move(panel, weight_bits=4, granularity="channel", keep_float=("head",))
    move(panel, activation_bits=6, symmetric=False, observer="mse", calibration=16)
    panel.press(PIN)
    panel.press(PIN)  # twice is once
    headings, first, second = panel.chart.table
    assert headings == ("Pinned", "setting", "in float", "right", "bytes", "that is")
    assert first[2:] == ("none", "27.8%", "9,842", "8.5 times smaller than float32")
    assert second[2] == "head"
    assert panel.frame["code"] == panel.chart.code
    names = {"quantize_model": quantize_model, "Scheme": Scheme}
    names |= {"model": model, "digits": digits}
    exec(panel.chart.code, names)
    for row, name in ((first, "pinned_1"), (second, "pinned_2")):
        right = accuracy(names[name], digits.test_images, digits.test_labels)
        assert f"{right:.1%}" == row[3]
        assert f"# {row[3]} of 719 right, {row[4]} bytes\n{name} = " in panel.chart.code


def test_starting_again_forgets_all(panel):
    before = repr(panel), panel.chart
    panel.press(SHOW)
    move(panel, weight_bits=5, keep_float=("head",))
    panel.press(PIN)
    panel.press(RESET)
    assert (repr(panel), panel.chart) == before
    assert panel.frame["text"] == before[1].text


def test_two_panels_share_nothing_and_say_the_same(panel):
    other = trade_off()
    assert repr(other) == repr(panel)
    other.press(SHOW)
    assert panel.chart.text.startswith("Predict first.")


@pytest.mark.parametrize("bad", [{"weight_bits": 9}, {"keep_float": ("tail",)}])
def test_what_no_control_offers_is_refused_and_nothing_moves(panel, bad):
    before = panel.values
    with pytest.raises(ValueError, match=f"{next(iter(bad))} is .*; expected "):
        move(panel, **bad)
    assert panel.values == before


@pytest.mark.parametrize("bits", [2, 3, 5, 8, 32])
def test_no_words_of_the_picture_touch_before_or_after_the_guess(panel, bits):
    move(panel, guess=50, weight_bits=bits, activation_bits=8)
    assert_texts_apart(panel.chart)
    panel.press(SHOW)
    assert_texts_apart(panel.chart)


def test_the_longest_words_of_a_setting_fit_on_the_paper(panel):
    panel.press(SHOW)
    longest = {"granularity": "channel", "symmetric": False, "observer": "percentile"}
    svg = move(panel, **longest, weight_bits=16, activation_bits=16, calibration=256).svg
    for line in re.findall(r'x="136" [^>]*>([^<]*)<', svg):
        assert 136 + 7 * len(line) < 600, line  # 13 px letters are about 7 wide


def test_a_learners_own_model_is_evaluated_on_its_own_images():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
    images, labels = torch.rand(40, 1, 6, 6), torch.randint(0, 3, (40,))
    calibration = torch.rand(256, 1, 6, 6)
    own = trade_off(model, images, labels, calibration)
    own.press(SHOW)
    text = move(own, weight_bits=2, activation_bits=2, calibration=256).text
    two = Scheme(bits=2)
    small = quantize_model(model, two, two, calibration)
    assert text.startswith(f"{accuracy(small, images, labels):.1%} of 40 images are right")
    assert f" {packed_bytes(model, two):,} bytes, " in text


def small(**shapes):
    """A panel for a small model, on 40 images of the shape and others to calibrate."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
    images, labels = torch.rand(40, 1, 6, 6), torch.randint(0, 3, (40,))
    return trade_off(model, images, labels, torch.rand(shapes["calibration"]))


@pytest.mark.parametrize(
    "count, stops",
    [(32, [16, 32]), (100, [16, 32, 64]), (255, [16, 32, 64, 128]), (999, [*CALIBRATION])],
)
def test_the_slider_for_calibration_offers_what_there_is(count, stops):
    panel = small(calibration=(count, 1, 6, 6))
    panel.press(SHOW)
    [slider] = [some for some in panel.controls if some["name"] == "calibration"]
    assert slider["options"] == stops
    assert panel.values["calibration"] == min(64, stops[-1])
    for stop in stops:
        text = move(panel, activation_bits=8, calibration=stop).text
        assert f"activations: 8 bits, symmetric, minmax, from {stop} images" in text
        assert f"calibration=calibration[:{stop}]," in panel.chart.code


@pytest.mark.parametrize("shape", [(31, 1, 6, 6), (0, 1, 6, 6), (64, 1, 8, 8), (64, 36)])
def test_calibration_that_a_slider_would_trip_over_is_refused_at_once(shape):
    with pytest.raises(ValueError) as caught:
        small(calibration=shape)
    assert str(caught.value) == (
        f"calibration has shape {shape}; expected (N, 1, 6, 6) as the images have, with N "
        "at least 32"
    )


def test_a_deep_model_has_its_noisiest_layers_drawn_and_all_in_the_words():
    torch.manual_seed(0)
    middle = [nn.Conv2d(2, 2, 1) for _ in range(14)]
    model = nn.Sequential(nn.Conv2d(1, 2, 3), *middle, nn.Flatten(), nn.Linear(32, 3))
    images, labels = torch.rand(40, 1, 6, 6), torch.randint(0, 3, (40,))
    panel = trade_off(model, images, labels, images)
    assert len(panel.controls[-1]["options"]) == 16
    noise = panel.chart.text.split("in dB: ")[1].partition(". ")[0].split(", ")
    assert len(noise) == 16
    drawn = re.findall(r">(\d\d\.\d)</text>", panel.chart.svg)
    worst = sorted(float(one.split()[1]) for one in noise)[:13]
    assert sorted(map(float, drawn)) == worst
    assert "and 3 layers with less noise" in panel.chart.svg
    assert_texts_apart(panel.chart)


def test_of_a_long_name_the_end_is_drawn_and_the_words_have_all_of_it():
    model = nn.Sequential()
    model.add_module("encoder", nn.Sequential())
    model.encoder.add_module("flatten", nn.Flatten())
    model.encoder.add_module("projection", nn.Linear(36, 3))
    images, labels = torch.rand(40, 1, 6, 6), torch.randint(0, 3, (40,))
    panel = trade_off(model, images, labels, images)
    assert ">….projection</text>" in panel.chart.svg
    assert "encoder.projection" in panel.chart.text
    assert_texts_apart(panel.chart)


@pytest.mark.parametrize(
    "named, says", [("inputs", "5 inputs and 0"), ("labels", "0 inputs and 5")]
)
def test_images_and_labels_come_together(named, says, digits):
    given = {"inputs": digits.test_images[:5], "labels": digits.test_labels[:5]}
    with pytest.raises(ValueError, match=f"got {says} labels; expected one label for each"):
        trade_off(**{named: given[named]})


def test_the_words_now_and_my_guess_never_lie_on_each_other(panel):
    panel.press(SHOW)
    for bits in (2, 3, 4, 32):
        for guess in range(0, 101, 5):
            svg = move(panel, weight_bits=bits, guess=guess).svg
            now, said = (
                float(re.search(rf' y="([\d.]+)"[^>]*>{words}', svg)[1])
                for words in ("now<", "my guess")
            )
            assert abs(now - said) > 12
