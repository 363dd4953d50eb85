"""The number line: its formulas, its bits and its two curves, computed by hand."""

import json
import re
from itertools import pairwise

import pytest
import torch

from helpers.classroom.explorers.number_line import RANGES, draw, number_line
from tests.classroom.charts.test_charts import assert_texts_apart

WEIGHTS = {"weights": tuple(torch.linspace(-1.3, 1.7, 40).tolist())}
X, UP = 108, 30  # units of the picture for 1, to the right and up


def by_hand(low, high, bits, symmetric):
    """Scale, zero point, smallest and largest integer."""
    if symmetric:
        top = 2 ** (bits - 1) - 1
        return max(-low, high) / top, 0, -top, top
    low, high = min(low, 0), max(high, 0)
    scale = (high - low) / (2**bits - 1)
    return scale, round(-low / scale), 0, 2**bits - 1


SETTINGS = [
    (3, "0 to 2", True, 80),
    (3, "0 to 2", False, 80),
    (2, "-0.5 to 2", False, -220),
    (4, "-1 to 1", True, -30),
    (8, "-0.5 to 2", False, 130),
    (8, "-1 to 1", True, -130),
    (4, "weights", False, 220),
]
each_setting = pytest.mark.parametrize("setting", SETTINGS, ids=str)


def drawn(setting):
    return draw({**RANGES, **WEIGHTS}, *setting)


@each_setting
def test_formulas_and_bits_are_those_of_a_pocket_calculator(setting):
    bits, name, symmetric, hundredths = setting
    values = {**RANGES, **WEIGHTS}[name]
    scale, zero, low, high = by_hand(min(values), max(values), bits, symmetric)
    value = hundredths / 100
    rounded = round(value / scale) + zero
    q = max(low, min(high, rounded))
    back = (q - zero) * scale
    there = f"q = round({value:.2f} / {scale:.4f})"
    there += ("" if symmetric else f" + {zero}") + f" = {rounded}"
    there += "" if q == rounded else f", clipped to {q}"
    inner = f"{q}" if symmetric else f"({q} - {zero})"
    returned = f"{inner} × {scale:.4f} = {back:.4f}, error {abs(value - back):.4f}"
    beyond = not (low - zero) * scale <= value <= (high - zero) * scale
    why = ", beyond the last level" if beyond else ""
    chart = drawn(setting)
    assert chart.text == f"{there}. Back: {returned}{why}."
    assert f"\n{there}\n" in chart.svg and f"\n{returned}\n" in chart.svg
    kind = "two's complement" if symmetric else "unsigned"
    assert f">q in {bits} bits, {kind}<".replace("'", "&#x27;") in chart.svg
    digits = "".join(str(q >> k & 1) for k in reversed(range(bits)))
    [boxes] = re.findall(r'x="[\d. ]+ [\d. ]+"[^>]*>([01]+)<', chart.svg)
    assert boxes == digits


def lines_of(svg):
    """The points of the two solid curves, staircase and error."""
    found = re.findall(r'points="([^"]+)"[^>]*stroke-dasharray="none"', svg)
    each = ([tuple(map(float, p.split(","))) for p in one.split()] for one in found)
    return list(each)


@pytest.mark.parametrize("setting", [SETTINGS[k] for k in (0, 1, 2, 3)], ids=str)
def test_staircase_and_error_are_the_function_and_what_it_misses(setting):
    bits, name, symmetric, _ = setting
    scale, zero, low, high = by_hand(*RANGES[name], bits, symmetric)
    stairs, error = lines_of(drawn(setting).svg)
    middle, floor = 286, 455
    for (left, y), (right, other) in pairwise(stairs):
        if y != other:
            continue  # a riser
        value = ((left + right) / 2 - 300) / X
        q = max(low, min(high, round(value / scale) + zero))
        assert middle - y == pytest.approx((q - zero) * scale * UP, abs=0.1)
    assert len(stairs) == 2 * (high - low + 1)
    heights = [floor - y for _, y in error]
    assert heights[::2] == [0] * (high - low + 1), "no error on a level"
    assert heights[1::2] == pytest.approx([scale / 2 * UP] * (high - low), abs=0.1)


@each_setting
def test_what_is_clipped_is_hatched_and_nothing_else(setting):
    bits, name, symmetric, _ = setting
    values = {**RANGES, **WEIGHTS}[name]
    scale, zero, low, high = by_hand(min(values), max(values), bits, symmetric)
    ends = [300 + X * (q - zero) * scale for q in (low, high)]
    hatches = re.findall(r'<path d="([^"]+)" [^>]*stroke-opacity="0.6"', drawn(setting).svg)
    for hatch, side in zip(hatches, (0, 1), strict=True):
        for x, high_ in re.findall(r"M([\d.]+) 455v-([\d.]+)", hatch):
            beyond = (float(x) - ends[side]) * (1 if side else -1)
            assert beyond > 0
            assert float(high_) == pytest.approx(beyond * UP / X, abs=0.1)
    assert drawn(setting).svg.count(">clipping<") == 2


@each_setting
def test_no_words_touch_each_other_or_leave_the_paper(setting):
    chart = drawn(setting)
    # The bits stand each in its own box.
    apart = re.sub(r'<text [^>]*x="[\d.]+ [^>]*>[01]+</text>\n', "", chart.svg)
    assert_texts_apart(type(chart)(apart, chart.text))


def test_in_every_picture_the_integers_have_room():
    panel = number_line()
    for key, frame in panel.frames.items():
        bits, hundredths, name, symmetric = json.loads(key)
        scale, zero, low, high = by_hand(*RANGES[name], bits, symmetric)
        svg = "\n".join(panel.lines[int(k)] for k in frame["svg"].split())
        found = re.findall(r'x="([\d.]+)" y="192"[^>]*>(-?\d+)<', svg)
        places = sorted((float(x), int(q)) for x, q in found)
        for (left, one), (right, other) in pairwise(places):
            wide = 9 * (len(str(one)) + len(str(other))) / 2
            assert right - left > wide, key
        if name == "-1 to 1" and not symmetric:
            continue  # zero lies halfway between two integers: either will do
        for x, q in places:
            assert x == pytest.approx(300 + X * (q - zero) * scale, abs=0.1)
        chosen = max(low, min(high, round(hundredths / 100 / scale) + zero))
        # Halves may go to either side here.
        assert any(abs(q - chosen) <= 1 for _, q in places), key


def test_all_pictures_together_are_light():
    panel = number_line(torch.tensor(WEIGHTS["weights"]), "weights")
    state = json.dumps([panel.frames, panel.lines], ensure_ascii=False)
    assert len(state.encode()) < 600_000
    offered = {control["name"]: control["options"] for control in panel.controls}
    assert offered["range"] == ["0 to 2", "-0.5 to 2", "weights"]
    panel.values = {**panel.values, "range": "weights"}
    assert ">40 weights<" in panel.chart.svg
