"""Uneven levels: where they lie, what a value becomes, and both errors, by hand."""

import json
import math
import re
from itertools import pairwise

import pytest
import torch

from helpers.classroom.explorers.number_line import number_line
from helpers.classroom.explorers.uneven_levels import (
    FORMATS,
    RANGES,
    draw,
    uneven_levels,
)
from tests.classroom.charts.test_charts import assert_texts_apart
from tests.classroom.explorers.test_guesses import place, seen

WEIGHT = torch.linspace(-1.15, 1.2, 41) ** 3
OBSERVED = {**RANGES, "weights": tuple(WEIGHT.tolist())}
X = 108  # units of the picture for 1
TIGHT = 3  # units: levels that are closer become one bar


def floats(exponents, fractions, bias, end):
    """The levels of a float, from its bits: subnormals first, none beyond the end."""
    found = [0.0]
    for e in range(2**exponents):
        for f in range(2**fractions):
            rest = f / 2**fractions
            found.append((rest if e == 0 else 1 + rest) * 2.0 ** (max(e, 1) - bias))
    kept = {value for value in found if value <= end}
    return sorted(kept | {-value for value in kept})


NF4 = "-1 -0.6962 -0.5251 -0.3949 -0.2844 -0.1848 -0.0911 0 0.0796 0.1609 0.2461 0.3379 "
NF4 += "0.4407 0.5626 0.7230 1"
UNITS = {
    "fp4 e2m1": floats(2, 1, 1, 6),
    "NF4": [float(value) for value in NF4.split()],
    "fp8 e4m3": floats(4, 3, 7, 448),
    "fp8 e5m2": floats(5, 2, 15, 57344),
}
EVEN = [k / 7 for k in range(-7, 8)]
SETTINGS = [(name, some) for name in FORMATS for some in OBSERVED]
each_setting = pytest.mark.parametrize("name, observed", SETTINGS)


def reach(observed):
    return max(map(abs, OBSERVED[observed]))


def levels_by_hand(name, observed):
    units = UNITS[name]
    return [unit / units[-1] * reach(observed) for unit in units]


def nearest(value, levels):
    return min(abs(value - level) for level in levels)


@pytest.fixture(scope="module")
def panel():
    return uneven_levels(WEIGHT, "weights")


def test_every_move_is_said_as_a_pocket_calculator_has_it(panel):
    number = r"(-?[\d.]+(?:e-\d+)?)"
    words = re.compile(
        rf"{number} / {number} = {number}, nearest level {number}\. Back: {number} × "
        rf"{number} = {number}, error {number}(, beyond the last level)?; int4's error is "
        rf"{number}\. "
    )
    for key in panel.frames:
        name, hundredths, observed = json.loads(key)
        found = words.match(panel.frames[key]["text"])
        beyond = found[9]
        value, scale, scaled, level, again, same, back, error, _, even = (
            float(part) if part and part[0] in "-0123456789" else part
            for part in found.groups()
        )
        levels = levels_by_hand(name, observed)
        assert value == hundredths / 100 and (again, same) == (level, scale)
        assert scale == pytest.approx(reach(observed) / UNITS[name][-1], rel=1e-3)
        assert scaled == pytest.approx(value / scale, rel=2e-3)
        assert level == pytest.approx(min(UNITS[name], key=lambda u: abs(u - level)), 1e-3)
        assert back == pytest.approx(level * scale, rel=2e-3, abs=1e-4)
        assert error == pytest.approx(nearest(value, levels), abs=2e-4), key
        assert even == pytest.approx(nearest(value, evens(observed)), abs=2e-4)
        assert bool(beyond) == (abs(value) > reach(observed) + 1e-6)
        there = found[0].partition(". Back")[0]
        assert there in [panel.lines[int(k)] for k in panel.frames[key]["svg"].split()], (
            "drawn, too"
        )


def decibels(levels):
    rounded = torch.tensor([min(levels, key=lambda level: abs(level - w)) for w in WEIGHT])
    noise = (WEIGHT - rounded).double().square().sum()
    return 10 * math.log10(WEIGHT.double().square().sum() / noise)


@each_setting
def test_the_words_count_levels_near_zero_and_give_the_decibels(name, observed):
    wide = {"fp8 e4m3": 127, "fp8 e5m2": 127}
    end = reach(observed)
    sets = {name: levels_by_hand(name, observed), "int4": evens(observed)}
    if top := wide.get(name):
        sets["int8"] = [k / top * end for k in range(-top, top + 1)]
    near = [
        f"{sum(abs(v) <= end / 4 + 1e-6 for v in levels)} of {len(levels)} with {some}"
        for some, levels in sets.items()
    ]
    ends = f"{-end / 4:.2f} and {end / 4:.2f}"
    text = draw(OBSERVED, name, observed, 30).text
    assert f" Levels between {ends}: {', '.join(near)}." in text
    found = [float(one) for one in re.findall(r"([\d.]+) dB", text)]
    if observed == "weights":
        assert found == pytest.approx([decibels(some) for some in sets.values()], abs=0.06)
        assert "SQNR of the 41 weights" in text
    else:
        assert "SQNR" not in text and found == []


def ticks(svg, y, colour):
    path = re.search(
        rf'<path d="((?:M[\d.]+ {y - 7}v14)*)" stroke="{colour}" fill="none" '
        'stroke-width="1.5"',
        svg,
    )[1]
    return [float(x) for x in re.findall(r"M([\d.]+) ", path)]


@each_setting
def test_ticks_lie_on_the_levels_and_one_bar_on_those_too_close(name, observed):
    svg = draw(OBSERVED, name, observed, 30).svg
    places = [300 + X * level for level in levels_by_hand(name, observed)]
    wide = [pair for pair in pairwise(places) if pair[1] - pair[0] > TIGHT]
    expected = sorted({x for pair in wide for x in pair})
    assert ticks(svg, 165, "#2f6fb7") == pytest.approx(expected, abs=0.06)
    even = [300 + X * level for level in evens(observed)]
    assert ticks(svg, 236, "#2ba37f") == pytest.approx(even, abs=0.06)
    bars = re.findall(r'M([\d.]+) 165H([\d.]+)" [^>]*stroke-width="14"', svg)
    inside = [x for x in places if not any(x in pair for pair in wide)]
    if not inside:
        assert not bars
        return
    [(left, right)] = [(float(one), float(other)) for one, other in bars]
    assert left <= min(inside) and max(inside) <= right
    assert any(abs(left - x) < 0.06 for x in expected), "the ticks go on beside it"
    assert left == pytest.approx(600 - right, abs=0.2)


@each_setting
def test_both_errors_are_the_distance_to_the_nearest_level(name, observed):
    svg = draw(OBSERVED, name, observed, 30).svg
    end, floor = reach(observed), 415
    unit = min(150, 115 / (2.5 - end))
    for levels, colour, dash in (
        (levels_by_hand(name, observed), "#2f6fb7", "none"),
        (evens(observed), "#2ba37f", "7 4"),
    ):
        points = next(
            re.findall(r"([\d.]+),([\d.]+)", line)
            for line in re.findall(
                rf'points="([^"]+)"[^>]*stroke="{colour}"[^>]*dasharray="{dash}"', svg
            )
        )
        assert len(points) >= 10
        for x, y in points:
            error = nearest((float(x) - 300) / X, levels)
            assert floor - float(y) == pytest.approx(unit * error, abs=0.2)
    for at, high in re.findall(r"M([\d.]+) 415v-([\d.]+)(?=[M\"])", svg):
        beyond = abs(float(at) - 300) / X - end
        assert float(high) == pytest.approx(unit * beyond, abs=0.2)
        assert float(high) <= 115.5, "it stays below the words"


@each_setting
@pytest.mark.parametrize("value", [-2.2, -0.3, 0.0, 1.1])
def test_what_is_written_and_marked_lies_on_its_level(name, observed, value):
    svg = draw(OBSERVED, name, observed, round(100 * value)).svg
    units, levels = UNITS[name], levels_by_hand(name, observed)
    written = re.findall(r'x="([\d.]+)" y="192"[^>]*>(-?[\d.]+)<', svg)
    assert len(written) >= 4
    for x, text in written:
        level = float(text) / units[-1] * reach(observed)
        room = 0.006 * reach(observed) * X if name == "NF4" else 0.5  # two digits
        assert float(x) == pytest.approx(300 + X * level, abs=room)
    ends = [min(some, key=lambda v: abs(v - value)) for some in (levels, evens(observed))]
    squares = re.findall(r"M([\d.]+) (165|236)m-3.5", svg)
    for (x, y), end, row in zip(squares, ends, (165, 236), strict=True):
        assert int(y) == row and float(x) == pytest.approx(300 + X * end, abs=0.06)
    # The ring is around the level's own words.
    ring = re.search(r'rect x="([\d.]+)" y="177" width="([\d.]+)"', svg)
    left, wide = map(float, ring.groups())
    assert left + wide / 2 == pytest.approx(300 + X * ends[0], abs=0.2)
    assert any(abs(float(x) - left - wide / 2) < 0.2 for x, _ in written)
    # Both errors stand over the value, as high as they are.
    unit, x = min(150, 115 / (2.5 - reach(observed))), rf"{300 + X * value:.1f}"
    x = x.removesuffix(".0")
    for end, shape in zip(ends, ("m-3.5 -3.5h7", "m0 -4.5l4.5"), strict=True):
        [y] = re.findall(rf"M{x} ([\d.]+){shape}", svg)[-1:]  # the last
        assert 415 - float(y) == pytest.approx(unit * abs(value - end), abs=0.2)


def evens(observed):
    return [k * reach(observed) for k in EVEN]


def test_bars_count_the_weights():
    svg = draw(OBSERVED, "NF4", "weights", 30).svg
    [path] = re.findall(r'<path class="line" d="([^"]+)" fill="#888"', svg)
    counts = [0] * 50
    for weight in WEIGHT.tolist():
        counts[int((weight + 2.5) / 0.1)] += 1
    bars = dict(re.findall(r"M([\d.]+) 415v-([\d.]+)", path))
    expected = {k: count for k, count in enumerate(counts) if count}
    assert len(bars) == len(expected)
    for (x, high), (k, count) in zip(bars.items(), expected.items(), strict=True):
        assert float(x) == pytest.approx(300 + X * (k * 0.1 - 2.5) + 1, abs=0.06)
        assert float(high) == pytest.approx(115 * count / max(counts), abs=0.06)


@pytest.mark.parametrize(
    "name, value, bits",
    [
        ("fp4 e2m1", 0.8, "0100"),  # 2 = 1.0 × 2^1: exponent 10, fraction 0
        ("fp4 e2m1", -2.2, "1111"),
        ("NF4", -2.0, "0000"),
        ("NF4", 0.0, "0111"),
        ("fp8 e4m3", 2.0, "01111110"),
        ("fp8 e5m2", -2.0, "11111011"),
    ],
)
def test_the_bits_are_those_of_the_format(name, value, bits):
    svg = draw(OBSERVED, name, "-2 to 2", round(100 * value)).svg
    assert re.search(rf">{bits}<", svg)
    caption = FORMATS[name][1].replace("'", "&#x27;")
    assert f">{caption}<" in svg
    parts = [int(part) for part in re.findall(r"\d(?= [sef])", caption)]
    assert sum(parts) in (0, len(bits))


def test_no_words_touch_each_other_or_leave_the_paper(panel):
    for k, (name, observed) in enumerate(SETTINGS):
        chart = draw(OBSERVED, name, observed, (-220, -70, 0, 180)[k % 4])
        # The bits stand each in its own box.
        apart = re.sub(r'<text [^>]*x="[\d.]+ [^>]*>[01]+</text>', "", chart.svg)
        assert_texts_apart(type(chart)(apart, chart.text))
    long = "encoder.layers.11.self_attn.q_proj"
    for maker in (uneven_levels, number_line):
        shown = maker(WEIGHT, long)
        name = "…ers.11.self_attn.q_proj"
        assert name in str(shown.controls)
        shown.values = {**shown.values, "range": name, "hundredths": 220}
        apart = re.sub(r'<text [^>]*x="[\d.]+ [^>]*>[01]+</text>', "", shown.chart.svg)
        assert_texts_apart(type(shown.chart)(apart, shown.chart.text))


@each_setting
def test_the_guess_is_the_second_highest_level_and_nothing_tells(name, observed):
    chart = draw(OBSERVED, name, observed, 30)
    asked, levels = chart.guess, levels_by_hand(name, observed)
    assert asked.truth == pytest.approx(levels[-2], rel=1e-3)
    assert f"int4 lies at {6 / 7 * reach(observed):.2f}." in asked.question
    assert f"that of {name} lie?" in asked.question
    # The level's tick lies where the truth does.
    xs = ticks(chart.svg, 165, "#2f6fb7")
    assert xs[-2] == pytest.approx(place(asked, asked.truth), abs=0.06)
    before = seen(chart)
    assert "#2f6fb7" not in before and " / " not in before
    assert "data-control" in before
    title = chart.svg.partition("</text>")[0].rpartition(">")[2]
    weights = ["41 weights"] if observed == "weights" else []
    assert re.findall(r">([^<]+)</text>", before) == [
        *(title, *weights, "-2", "-1", "0", "1", "2", "value", "0.30")
    ]


def test_there_is_no_control_that_does_not_count_and_the_pictures_are_light(panel):
    offered = {control["name"]: control["options"] for control in panel.controls}
    assert list(offered) == ["format", "hundredths", "range"]
    assert offered["format"] == list(FORMATS) and offered["range"] == ["-2 to 2", "weights"]
    state = json.dumps([panel.frames, panel.lines], ensure_ascii=False)
    assert len(state.encode()) < 400_000
    # Each control changes the picture.
    start = panel.chart.svg
    for change in ({"format": "NF4"}, {"hundredths": -20}, {"range": "weights"}):
        panel.values = {**panel.values, **change}
        assert panel.chart.svg != start
        start = panel.chart.svg


@pytest.mark.parametrize("maker", [uneven_levels, number_line])
def test_weights_that_have_no_place_on_the_line_are_refused(maker):
    with pytest.raises(ValueError) as caught:
        maker(torch.tensor([3.0, 0, 1]))
    assert str(caught.value) == (
        "weight has 3 values, the farthest at 3; expected three or more between -2.5 and "
        "2.5, not all 0; scale them first"
    )
    for some in ([], [0.1, 0.2], [float("nan"), 1, 1], [0.0, 0, 0]):
        with pytest.raises(ValueError, match="expected three or more between"):
            maker(torch.tensor(some))
