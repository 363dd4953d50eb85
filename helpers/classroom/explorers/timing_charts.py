"""Bars of time with their spread, a ceiling across them, and figures beside them."""

from collections.abc import Sequence
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
    """One bar: its name, the times, and up to three figures that stand at its right."""

    name: str
    low: float
    median: float
    high: float
    figures: tuple[str, ...] = ()


def format_ms(milliseconds: float) -> str:
    """Write a time with three digits, in µs below 1 ms."""
    small = milliseconds < 1
    value, unit = (milliseconds * 1000, "µs") if small else (milliseconds, "ms")
    decimals = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{decimals}f} {unit}"


TOP, PITCH, THICK = 56, 36, 20  # of the rows


def untimed_bars(
    title: str,
    names: Sequence[str],
    headings: Sequence[str],
    limit: tuple[float, str],
    text: str,
) -> Chart:
    """Draw what `timed_bars` will: the first bar, hollow, and the limit against it.

    Args:
        title: stands above the picture.
        names: of the bars.
        headings: of the figures.
        limit: a share of the first bar, and its name.
        text: the words.
    """
    parts = _headings(headings)
    for k, name in enumerate(names):
        middle = TOP + k * PITCH + THICK / 2
        parts.append(label(LEFT - 10, middle + 4, name, "end"))
        if k:
            parts.append(label(LEFT + 6, middle + 4, "?"))
    parts.append(bar(LEFT, TOP, RIGHT - LEFT, THICK, 2))
    base = TOP + PITCH * len(names)
    parts += _limit(LEFT + limit[0] * (RIGHT - LEFT), base, limit[1])
    note = "The ceiling is counted; the times will be measured."
    parts.append(label(14, base + 36, note, size=12))
    return picture(title, base + 46, parts, text)


def timed_bars(
    title: str,
    rows: Sequence[TimedRow],
    *,
    headings: Sequence[str] = (),
    limit: tuple[float, str] | None = None,
    text: str,
) -> Chart:
    """Draw a bar to each median, with a whisker from the low to the high time.

    The first bar is hollow: the others are compared with it. The longest median takes at
    least 60 % of the width, so that one late call does not make all bars tiny; a whisker
    that would go beyond ends in an arrow.

    Args:
        title: stands above the picture.
        rows: from top to bottom; times in ms, names of at most about 14 characters.
        headings: of the figures.
        limit: a time in ms that is drawn as a dashed line across all bars, and its name.
        text: the words.

    Raises:
        ValueError: there is no row, a row does not have one figure for each heading,
            or its times are not finite and in order.
    """
    if not rows:
        raise ValueError("there is nothing to draw: expected at least one row")
    for row in rows:
        require_finite([row.low, row.median, row.high])
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
    longest = max(*(row.median for row in rows), limit[0] if limit else 0) or 1.0
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
        parts.append(label(x(row.high) + 6, middle + 4, format_ms(row.median), size=12))
        parts += [
            label(end, middle + 4, words, "end", 12)
            for end, words in zip(COLUMNS, row.figures, strict=False)
        ]
    if limit:
        parts += _limit(x(limit[0]), base, limit[1])
    note = "Bar: median. Whisker: fastest call to 95th percentile."
    if any(row.high > largest for row in rows):
        note += " Arrow: beyond the picture."
    parts.append(label(14, base + (36 if limit else 16), note, size=12))
    return picture(title, base + (46 if limit else 26), parts, text)


def _headings(headings: Sequence[str]) -> list[str]:
    return [
        label(end, 44, words, "end", 12)
        for end, words in zip(COLUMNS, headings, strict=False)
    ]


def _limit(x: float, base: float, words: str) -> list[str]:
    style = f'stroke="{COLOURS[1]}" stroke-width="2" stroke-dasharray="6 4"'
    line = f'<path d="M{number(x)} {TOP - 8}V{base}" {style}/>'
    return [line, label(x + 4, base + 12, words, size=12)]


def _whisker(low: float, high: float, y: float, beyond: bool) -> str:
    # Filled shapes, as `ink` follows the theme by its fill.
    line = f"M{number(low)} {number(y - 0.8)}H{number(high)}v1.6H{number(low)}z"
    start = f"M{number(low - 0.8)} {number(y - 6)}h1.6v12h-1.6z"
    end = f"M{number(high - 0.8)} {number(y - 6)}h1.6v12h-1.6z"
    if beyond:
        end = f"M{number(high - 6)} {number(y - 5)}l8 5l-8 5z"
    return f'<path class="ink" fill="#222" d="{line}{start}{end}"/>'
