"""Bars with spread: lengths, whiskers, ceiling, figures, and room for every word."""

import re

import pytest

from helpers.classroom.charts.drawing import COLOURS
from helpers.classroom.explorers.timing_charts import (
    LEFT,
    RIGHT,
    TimedRow,
    format_ms,
    timed_bars,
    untimed_bars,
)
from tests.classroom.charts.test_charts import assert_texts_apart

ROWS = [
    TimedRow("float32", 0.9, 1.0, 1.6, ("1.0×", "4.20 MB", "0")),
    TimedRow("int8 static", 0.2, 0.25, 0.3, ("4.0×", "1.06 MB", "0.61%")),
]
HEADINGS = ("speed", "on disk", "error")


def drawn(rows=ROWS, headings=HEADINGS, **options):
    return timed_bars("Title", rows, headings=headings, text="Words.", **options)


def test_bars_whiskers_and_least_times_have_one_scale():
    svg = drawn([ROWS[0]._replace(least=0.5), ROWS[1]]).svg
    room = RIGHT - LEFT  # for the longest whisker, 1.6
    bars = re.findall(rf'<rect x="{LEFT}" y="\d+" width="([\d.]+)"', svg)
    assert [float(length) for length in bars] == pytest.approx(
        [room / 1.6, room / 6.4], abs=0.1
    )
    whiskers = re.findall(r'd="M([\d.]+) [\d.]+H([\d.]+)v1.6', svg)
    for found, row in zip(whiskers, ROWS, strict=True):
        expected = [LEFT + time / 1.6 * room for time in (row.low, row.high)]
        assert [float(x) for x in found] == pytest.approx(expected, abs=0.1)
    [place] = re.findall(r'd="M([\d.]+) \d+v\d+"', svg)
    assert float(place) == pytest.approx(LEFT + room / 3.2, abs=0.1)


def test_before_the_times_are_there_the_least_ones_are():
    counted = {"float32": 0.4, "int8": 0.1, "float16": None, "int4": 0.8}
    chart = untimed_bars("Title", counted, HEADINGS, "Words.")
    room = RIGHT - LEFT
    places = re.findall(r'd="M([\d.]+) \d+v\d+"', chart.svg)
    expected = [LEFT + share * room for share in (0.5, 0.125, 1)]
    assert [float(place) for place in places] == pytest.approx(expected, abs=0.1)
    [length] = re.findall(rf'<rect x="{LEFT}" y="\d+" width="([\d.]+)"', chart.svg)
    assert float(length) == pytest.approx(room / 2, abs=0.1)
    assert chart.svg.count(">?<") == 3
    assert_texts_apart(chart)
    rows = [TimedRow(name, 1, 1, 1, ("", "", ""), least) for name, least in counted.items()]
    assert chart.height == drawn(rows).height


def test_one_late_call_does_not_make_the_bars_tiny():
    late = [ROWS[0]._replace(high=50.0), ROWS[1]]
    svg = drawn(late).svg
    [first, _] = re.findall(rf'<rect x="{LEFT}" y="\d+" width="([\d.]+)"', svg)
    assert float(first) == pytest.approx(0.6 * (RIGHT - LEFT), abs=0.1)
    assert svg.count("l8 5l-8 5z") == 1  # the arrow
    assert "Arrow: beyond the picture." in svg
    assert "Arrow" not in drawn().svg and "l8 5l-8 5z" not in drawn().svg


def test_every_figure_and_word_is_written_and_has_room():
    rows = [
        TimedRow("int8 dynamic", 99.9, 100, 123, ("10.0×", "16.80 MB", "100.00%")),
        TimedRow("float32", 1, 1, 1, ("0.1×", "660 kB", "0")),
    ]
    for least in (None, 0.01, 200):
        chart = drawn([row._replace(least=least) for row in rows])
        assert ("Dashed: the least time" in chart.svg) == (least is not None)
        assert_texts_apart(chart)
        for row in rows:
            for words in (row.name, format_ms(row.median), *row.figures):
                assert f">{words}</text>" in chart.svg
        assert all(f">{words}</text>" in chart.svg for words in HEADINGS)
    assert chart.text == "Words."


def test_the_first_bar_is_hollow_and_no_other():
    assert drawn().svg.count(f'fill="none" stroke="{COLOURS[2]}"') == 1


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0.00372, "3.72 µs"),
        (0.0165, "16.5 µs"),
        (0.5332, "533 µs"),
        (1.0, "1.00 ms"),
        (27.61, "27.6 ms"),
        (1234.5, "1234 ms"),
    ],
)
def test_times_are_written_with_three_digits(milliseconds, text):
    assert format_ms(milliseconds) == text


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="there is nothing to draw"):
        drawn([])
    with pytest.raises(ValueError, match="'a' has the times 2, 1, 3; expected low, median"):
        drawn([TimedRow("a", 2, 1, 3)], ())
    with pytest.raises(ValueError, match="nan cannot be drawn"):
        drawn([TimedRow("a", 1, float("nan"), 3)], ())
    with pytest.raises(ValueError, match="inf cannot be drawn"):
        drawn([TimedRow("a", 1, 2, 3, least=float("inf"))], ())
    with pytest.raises(ValueError, match="'a' has 0 figures for 3 headings"):
        drawn([TimedRow("a", 1, 2, 3)])
