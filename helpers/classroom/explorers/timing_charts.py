"""Bars of time with their spread, the least time that counting allows, and figures."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from helpers.classroom.charts import Chart
from helpers.classroom.charts.drawing import (
    COLOURS,
    bar,
    label,
    number,
    picture,
    require_finite,
)

LEFT, RIGHT = 112, 318  # of the bars
COLUMNS = (442, 518, 588)  # the right ends of the figures


class TimedRow(NamedTuple):
    """One bar: its name, its times in ms, and up to three figures that stand at its right.

    `least` is what counting allows, or None.
    """

    name: str
    low: float
    median: float
    high: float
    figures: tuple[str, ...] = ()
    least: float | None = None


def format_ms(milliseconds: float) -> str:
    """Write a time with three digits, in µs below 1 ms."""
    small = milliseconds < 1
    value, unit = (milliseconds * 1000, "µs") if small else (milliseconds, "ms")
    decimals = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{decimals}f} {unit}"


TOP, PITCH, THICK = 56, 36, 20  # of the rows
LEAST = "Dashed: the least time, by counting"


def untimed_bars(
    title: str,
    counted: Mapping[str, float | None],
    headings: Sequence[str],
    text: str,
) -> Chart:
    """Draw what `timed_bars` will: the first bar, hollow, and the least times.

    Args:
        title: stands above the picture.
        counted: name of a bar -> its least time; the first has one.
        headings: of the figures.
        text: the words.
    """
    parts = _headings(headings)
    first = next(iter(counted.values()))
    longest = max(filter(None, counted.values()))
    for k, (name, least) in enumerate(counted.items()):
        y = TOP + k * PITCH
        parts.append(label(LEFT - 10, y + THICK / 2 + 4, name, "end"))
        if k:
            parts.append(label(LEFT + 6, y + THICK / 2 + 4, "?"))
        if least is not None:
            parts.append(_least(LEFT + least / longest * (RIGHT - LEFT), y))
    parts.insert(0, bar(LEFT, TOP, first / longest * (RIGHT - LEFT), THICK, 2))
    base = TOP + PITCH * len(counted)
    for k, note in enumerate(("The times will be measured.", f"{LEAST}.")):
        parts.append(label(14, base + 16 + 16 * k, note, size=12))
    return picture(title, base + 42, parts, text)


def timed_bars(
    title: str,
    rows: Sequence[TimedRow],
    *,
    headings: Sequence[str] = (),
    text: str,
) -> Chart:
    """Draw a bar to each median, with a whisker from the low to the high time.

    The first bar is hollow: the others are compared with it. The longest median takes at
    least 60 % of the width, so that one late call does not make all bars tiny; a whisker
    that would go beyond ends in an arrow. A dashed line is a row's least time.

    Args:
        title: stands above the picture.
        rows: from top to bottom; times in ms, names of at most about 14 characters.
        headings: of the figures.
        text: the words.

    Raises:
        ValueError: there is no row, a row does not have one figure for each heading,
            or its times are not finite and in order.
    """
    if not rows:
        raise ValueError("there is nothing to draw: expected at least one row")
    for row in rows:
        require_finite([row.low, row.median, row.high, row.least or 0])
        if not 0 <= row.low <= row.median <= row.high:
            raise ValueError(
                f"{row.name!r} has the times {row.low}, {row.median}, {row.high}; expected "
                "low, median, high, from 0 up"
            )
        if len(row.figures) != len(headings) or len(headings) > len(COLUMNS):
            raise ValueError(
                f"{row.name!r} has {len(row.figures)} figures for {len(headings)} "
                f"headings; expected as many, and at most {len(COLUMNS)}"
            )
    longest = max(max(row.median, row.least or 0) for row in rows) or 1.0
    largest = min(max(longest, *(row.high for row in rows)), longest / 0.6)

    def x(value: float) -> float:
        return LEFT + min(value / largest, 1) * (RIGHT - LEFT)

    base = TOP + PITCH * len(rows)
    parts = _headings(headings)
    for k, row in enumerate(rows):
        y = TOP + k * PITCH
        middle = y + THICK / 2
        parts.append(label(LEFT - 10, middle + 4, row.name, "end"))
        parts.append(bar(LEFT, y, x(row.median) - LEFT, THICK, 2 if k == 0 else 0))
        parts.append(_whisker(x(row.low), x(row.high), middle, row.high > largest))
        after = max(row.high, row.least or 0)
        parts.append(label(x(after) + 6, middle + 4, format_ms(row.median), size=12))
        if row.least is not None:
            parts.append(_least(x(row.least), y))
        parts += [
            label(end, middle + 4, words, "end", 12)
            for end, words in zip(COLUMNS, row.figures, strict=False)
        ]
    note = "Bar: median. Whisker: fastest call to 95th percentile."
    if any(row.high > largest for row in rows):
        note += " Arrow: beyond the picture."
    parts.append(label(14, base + 16, note, size=12))
    counted = any(row.least is not None for row in rows)
    if counted:
        parts.append(label(14, base + 32, f"{LEAST}.", size=12))
    return picture(title, base + (42 if counted else 26), parts, text)


def _headings(headings: Sequence[str]) -> list[str]:
    return [
        label(end, 44, words, "end", 12)
        for end, words in zip(COLUMNS, headings, strict=False)
    ]


def _least(x: float, y: float) -> str:
    style = f'stroke="{COLOURS[1]}" stroke-width="2" stroke-dasharray="4 3"'
    return f'<path d="M{number(x)} {number(y - 5)}v{THICK + 10}" {style}/>'


def _whisker(low: float, high: float, y: float, beyond: bool) -> str:
    # Filled shapes, as `ink` follows the theme by its fill.
    line = f"M{number(low)} {number(y - 0.8)}H{number(high)}v1.6H{number(low)}z"
    start = f"M{number(low - 0.8)} {number(y - 6)}h1.6v12h-1.6z"
    end = f"M{number(high - 0.8)} {number(y - 6)}h1.6v12h-1.6z"
    if beyond:
        end = f"M{number(high - 6)} {number(y - 5)}l8 5l-8 5z"
    return f'<path class="ink" fill="#222" d="{line}{start}{end}"/>'
