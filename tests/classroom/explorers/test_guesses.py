"""What the explorers ask before they show the answer: it is right, and it is covered."""

import re

import pytest
import torch

from helpers.classroom.explorers import (
    crash_timeline,
    number_line,
    precision,
    weight_row,
)
from helpers.classroom.explorers.tolerance import tolerance
from tests.classroom.explorers.test_tolerance import parities  # noqa: F401

ROW = torch.linspace(-1, 1, 24).square() - 0.4


def seen(chart):
    """What of the picture a panel shows before the guess."""
    svg, depth, lines = chart.svg, 0, []
    for line in svg.splitlines():
        if depth or line == '<g class="covered">':
            depth += line.count("<g ") - line.count("</g>")
        else:
            lines.append(line)
    assert depth == 0
    return re.sub(r'aria-label="[^"]*"', "", "\n".join(lines))


def place(asked, value):
    low, high = asked.values
    share = (value - low) / (high - low)
    return asked.places[0] + share * (asked.places[1] - asked.places[0])


def error_by_hand(bits):
    step = ROW.abs().max() / (2 ** (bits - 1) - 1)
    return (ROW - torch.round(ROW / step) * step).abs().max().item()


def test_the_weight_row_asks_for_one_bit_less():
    panel = weight_row.weight_row(ROW, bits=4)
    times = error_by_hand(3) / error_by_hand(4)
    for bits in range(2, 9):
        panel.values = {"bits": bits}
        asked = panel.chart.guess
        assert asked.truth == pytest.approx(times, rel=1e-5)
        assert "With 3 bits in place of 4" in asked.question
        rings = seen(panel.chart).count("<circle")
        if bits == 4:
            assert asked.before == panel.chart.text
            assert rings == 2 * len(ROW) + 2
        else:
            assert "error" not in asked.before and asked.before.endswith(" apart.")
            assert rings == len(ROW) + 2, "no dot, but the legend's"
            assert "largest error</text>" not in seen(panel.chart)
        # The diamond of 3 bits lies where the truth does, and can be seen after it.
        found = re.search(
            r"M([\d.]+) [\d.]+m0 -5l5 5.*\n<text[^>]*>3 bits", panel.chart.svg
        )
        assert float(found[1]) == pytest.approx(place(asked, times), abs=0.06)
        assert ">3 bits</text>" not in seen(panel.chart)


@pytest.mark.parametrize("row, bits", [(torch.ones(3), 5), (ROW, 2)])
def test_where_nothing_can_be_compared_nothing_is_asked(row, bits):
    panel = weight_row.weight_row(row, bits)
    assert panel.guess is None and panel.chart.guess is None
    assert "covered" not in panel.chart.svg


def test_the_crash_timeline_asks_where_dearer_saves_lead():
    panel = crash_timeline.crash_timeline()
    for cost in crash_timeline.SAVE_COSTS:
        panel.values = {**panel.values, "save_cost": cost}
        chart, asked = panel.chart, panel.chart.guess
        assert asked.truth == crash_timeline.least(5)
        is_known = cost == "2 steps"
        assert (asked.before == chart.text) == is_known
        assert ("polyline" in seen(chart)) == is_known
        assert is_known or "least" not in asked.before
    # The dot of the least lies where the truth does.
    panel.values = {**panel.values, "save_cost": "5 steps"}
    dots = re.findall(r'cx="([\d.]+)" cy="[\d.]+" r="3.4"', panel.chart.svg)
    wanted = place(panel.chart.guess, panel.chart.guess.truth)
    assert any(float(x) == pytest.approx(wanted, abs=0.06) for x in dots)
    assert panel.chart.brief.count(".") < panel.chart.text.count(".")


@pytest.mark.parametrize("bits", [2, 3, 8])
@pytest.mark.parametrize("value", [-220, 80])
def test_the_number_line_asks_where_the_lowest_level_lies(bits, value):
    steps = 2 ** (bits - 1) - 1
    by_hand = {  # for 0 to 2, and for -0.5 to 2 with a zero point that is an integer
        ("0 to 2", True): -2,
        ("0 to 2", False): 0,
        ("-0.5 to 2", True): -2,
        ("-0.5 to 2", False): -round(0.5 / 2.5 * (2 * steps + 1)) * 2.5 / (2 * steps + 1),
    }
    for (name, symmetric), lowest in by_hand.items():
        chart = number_line.draw(number_line.RANGES, bits, name, symmetric, value)
        asked = chart.guess
        assert asked.truth == pytest.approx(lowest, abs=1e-6)
        assert str(value / 100) not in asked.question, "one question for all values"
        # The level's tick, or where the bar of many levels begins, lies at the truth.
        blue = re.search(r'<path d="M([\d.]+) 165H[\d.]+" stroke="#2f6fb7"', chart.svg)
        assert float(blue[1]) == pytest.approx(place(asked, lowest), abs=0.06)
        before = seen(chart)
        assert "#2f6fb7" not in before and "round(" not in before
        # What can be dragged stays, and no words but its value's and the axis's.
        assert "data-control" in before
        words = re.findall(r">([^<]+)</text>", before)
        assert words == [
            chart.svg.partition("</text>")[0].rpartition(">")[2],
            *("-2", "-1", "0", "1", "2", "value", "comes back as", f"{value / 100:.2f}"),
        ]


def test_precision_asks_from_where_on_all_answers_agree():
    errors = {bits: 2.0**-bits for bits in range(3, 15)}
    agreeing = {bits: 50 if bits in (6, 8) or bits > 9 else 49 for bits in errors}
    for bits in errors:
        chart = precision.draw(errors, agreeing, 50, bits)
        assert chart.guess.truth == 10
        assert "class" not in chart.guess.before and f"With {bits} bits" in chart.text
        assert "from 10 bits on" in chart.svg and "from 10 bits on" not in seen(chart)
        x = re.search(r'M([\d.]+) [\d.]+V[\d.]+" stroke="#', chart.svg)[1]
        assert float(x) == pytest.approx(place(chart.guess, 10), abs=0.06)
    never = dict.fromkeys(errors, 49)
    assert precision.draw(errors, never, 50, 3).guess is None
    assert precision.fewest(dict.fromkeys(errors, 50), 50) == 3


def test_tolerance_asks_from_where_on_the_first_file_passes(parities):  # noqa: F811
    panel = tolerance(parities)
    for power in range(-8, 2):
        panel.values = {"power": power, "kind": "absolute", "file": "far"}
        chart, asked = panel.chart, panel.chart.guess
        assert asked.truth == -1, "near is off by 0.05"
        assert re.search("fail|pass", asked.before) is None
        assert ": fails" not in seen(chart) and ": passes" not in seen(chart)
        assert "%" not in seen(chart)
    # The same file under another name passes where the first does: nothing tells them
    # apart.
    twice = {"first": parities["near"], "second": parities["near"]}
    assert tolerance(twice).guess is None
