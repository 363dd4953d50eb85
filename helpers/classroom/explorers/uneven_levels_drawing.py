"""The picture of uneven levels: two rows of ticks, and both errors over one axis."""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise

from helpers.classroom.charts.asked import Asked
from helpers.classroom.charts.drawing import COLOURS, label, mark, number, polyline
from helpers.classroom.explorers.number_line_drawing import (
    DIGIT,
    GAP,
    GRIP,
    INTEGERS,
    LINE,
    REACH,
    TEXT,
    TICKS,
    across,
    clipping,
    pill,
)

HEIGHT = 446
EVEN = 236  # the y of int4's row
CEILING, FLOOR = 300, 415  # of the errors
WORDS = CEILING - 28  # the y of what stands above them
UNIT = 150  # the height of an error of 1, where that has room
TIGHT = 3  # closer than that, ticks run together: they are drawn as one bar
EVEN_COLOUR = 2


@cache
def axis(observed: tuple[float, ...]) -> str:
    """Draw the axis of both rows and of the errors, and the weights, if any."""
    ends = [number(across(edge)) for edge in (-REACH, REACH)]
    lines = "".join(f"M{ends[0]} {y}H{ends[1]}" for y in (LINE, EVEN, FLOOR))
    grid = "".join(f"M{number(across(v))} {LINE}V{FLOOR}" for v in TICKS)
    return (
        (_histogram(observed) if len(observed) > 2 else "")
        + f'<path class="line" d="{grid}" stroke="#888" stroke-opacity="0.3"/>'
        + f'<path class="line" d="{lines}" stroke="#888"/>'
        + "".join(label(across(v), FLOOR + 20, f"{v}", "middle", TEXT) for v in TICKS)
        + label(across(REACH), FLOOR + 20, "value", "end", TEXT)
    )


def _histogram(weights: Sequence[float]) -> str:
    """Draw how many weights lie where, pale, since the errors are drawn over it."""
    wide, counts = 0.1, [0] * 50
    for weight in weights:
        counts[min(int((weight + REACH) / wide), len(counts) - 1)] += 1
    unit = (FLOOR - CEILING) / max(counts)
    bars = "".join(
        f"M{number(across(k * wide - REACH) + 1)} {FLOOR}v{number(-max(count * unit, 2))}"
        f"h{number(across(wide) - across(0) - 2)}V{FLOOR}z"
        for k, count in enumerate(counts)
        if count
    )
    words = label(across(REACH), WORDS, f"{len(weights)} weights", "end", TEXT)
    return f'<path class="line" d="{bars}" fill="#888" fill-opacity="0.35"/>{words}'


@cache
def rows(name: str, levels: tuple[float, ...], even: str, evens: tuple[float, ...]) -> str:
    """Draw the ticks of the format's levels, and below them those of even levels."""
    return (
        label(14, LINE - 15, _short(name))
        + _row(levels, LINE, 0)
        + label(14, EVEN - 15, even)
        + _row(evens, EVEN, EVEN_COLOUR)
    )


def _row(levels: tuple[float, ...], y: float, series: int) -> str:
    ticks = "".join(
        f"M{number(across(v))} {y - 7}v14" for v in levels if v in _apart(levels)
    )
    ends = [number(across(level)) for level in (levels[0], levels[-1])]
    style = f'stroke="{COLOURS[series]}" fill="none"'
    bars = "".join(
        f"M{number(across(one))} {y}H{number(across(other))}"
        for one, other in pairwise(_drawn(levels))
        if (one, other) not in _steps(levels)
    )
    return (
        f'<path d="M{ends[0]} {y}H{ends[1]}" {style} stroke-width="3"/>'
        f'<path d="{ticks}" {style} stroke-width="1.5"/>'
        + (f'<path d="{bars}" {style} stroke-width="14"/>' if bars else "")
    )


@cache
def _steps(levels: tuple[float, ...]) -> frozenset[tuple[float, float]]:
    """Return the pairs of neighbours that have room between them."""
    pairs = pairwise(levels)
    return frozenset(p for p in pairs if across(p[1]) - across(p[0]) > TIGHT)


@cache
def _apart(levels: tuple[float, ...]) -> frozenset[float]:
    return frozenset(level for pair in _steps(levels) for level in pair)


@cache
def _drawn(levels: tuple[float, ...]) -> tuple[float, ...]:
    """Return the levels that have room on one side: all, or those around a bar."""
    ends = (levels[0], levels[-1])
    return tuple(v for v in levels if v in ends or v in _apart(levels))


def names(levels: tuple[float, ...], units: tuple[float, ...], back: float) -> list[str]:
    """Write levels under their ticks, before they are scaled, as many as have room."""
    chosen = min(range(len(levels)), key=lambda k: abs(levels[k] - back))
    texts = [_unit(unit) for unit in units]
    half = [DIGIT * len(text) / 2 for text in texts]
    last, zero = len(levels) - 1, units.index(0)
    kept: list[int] = []
    for k in (chosen, zero, last, 0, *_from_outside(levels)):
        x = across(levels[k])
        if all(
            abs(x - across(levels[j])) > half[k] + half[j] + GAP for j in kept if j != k
        ):
            kept += [k] * (k not in kept)
    return [
        label(across(levels[k]), INTEGERS, texts[k], "middle", TEXT) for k in sorted(kept)
    ] + [pill(back, DIGIT * len(texts[chosen]))]


def _from_outside(levels: tuple[float, ...]) -> list[int]:
    some = [k for k, level in enumerate(levels) if level in _apart(levels)]
    return sorted(some, key=lambda k: -abs(levels[k]))


def _unit(unit: float) -> str:
    return f"{unit:.2g}" if abs(unit) < 1 else f"{unit:.5g}"


@cache
def errors(
    name: str, levels: tuple[float, ...], even: str, evens: tuple[float, ...]
) -> str:
    """Draw the error of each value with the format, solid, and with even levels, dashed."""
    unit = _unit_of(levels)
    sides = ((levels[0], -1), (levels[-1], 1))
    return (
        polyline(_tents(evens, unit), EVEN_COLOUR, 1)
        + polyline(_tents(levels, unit), 0, 0)
        + "".join(clipping(end, side, FLOOR, unit) for end, side in sides)
        + label(14, WORDS, "error of", size=TEXT)
        + _sample(84, _short(name), 0, 0)
        + _sample(164, even, EVEN_COLOUR, 1)
    )


def _sample(x: float, name: str, series: int, dash: int) -> str:
    line = polyline([(x, WORDS - 5), (x + 24, WORDS - 5)], series, dash)
    return line + label(x + 29, WORDS, name, size=TEXT)


def _short(name: str) -> str:
    """Return the last word of a name, which ends before the first value on the line."""
    return name.rpartition(" ")[-1]


def _unit_of(levels: tuple[float, ...]) -> float:
    """Return the height of an error of 1, so that what is clipped stays in the picture."""
    return min(UNIT, (FLOOR - CEILING) / (REACH - levels[-1] + 1e-9))


def _tents(levels: tuple[float, ...], unit: float) -> list[tuple[float, float]]:
    points = [(across(levels[0]), float(FLOOR))]
    for one, other in pairwise(_drawn(levels)):
        if (one, other) in _steps(levels):
            peak = FLOOR - (other - one) / 2 * unit
            points.append((across((one + other) / 2), peak))
        points.append((across(other), float(FLOOR)))
    return points


def ways(value: float, back: float, other: float, levels: tuple[float, ...]) -> list[str]:
    """Draw a value's way to its level in both rows, and both errors."""
    unit = _unit_of(levels)
    x, ends = number(across(value)), [number(across(end)) for end in (back, other)]
    heights = [number(FLOOR - abs(value - end) * unit) for end in (back, other)]
    paths = (
        f"M{x} {GRIP}V{GRIP + 16}H{ends[0]}V{LINE}M{x} {FLOOR}V{heights[0]}",
        f"M{x} {INTEGERS + 14}V{EVEN - 18}H{ends[1]}V{EVEN}",
    )
    return [
        f'<path d="{paths[0]}" stroke="{COLOURS[1]}" fill="none" stroke-width="2"/>'
        + mark(across(back), LINE, 1),
        f'<path d="{paths[1]}" stroke="{COLOURS[1]}" fill="none" stroke-width="2"/>'
        + mark(across(other), EVEN, 1),
        mark(across(value), float(heights[0]), 1)
        + mark(across(value), float(heights[1]), EVEN_COLOUR),
    ]


def asked(question: str, level: float, before: str) -> Asked:
    """Ask for a level's value; guesses lie on the one axis of all."""
    places = (across(-REACH), across(REACH))
    return Asked(question, level, before, "x", (-REACH, REACH), places, (CEILING, FLOOR))
