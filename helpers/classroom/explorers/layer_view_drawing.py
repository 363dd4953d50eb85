"""The layer view's picture: histogram and levels, the error's parts, and its landscape."""

from collections.abc import Sequence
from itertools import pairwise

import torch

from helpers.classroom.charts import Asked
from helpers.classroom.charts.drawing import (
    COLOURS,
    WIDTH,
    bar,
    label,
    mark,
    number,
    polyline,
)
from helpers.classroom.charts.handles import handle
from helpers.classroom.explorers.clipping import SHARES, Split

HEIGHT = 448
BINS = 60
TEXT = 15
TOP, BASE = 88, 216  # of the histogram
GRIP, ENDS = 66, BASE + 14  # of the threshold's line
LEFT, BAR = 14, 250  # the bar of shares
ROOF, FLOOR = 326, 420  # of the landscape
HALF_OF_WORDS = 100


def histogram(relative: torch.Tensor) -> list[str]:
    """Draw how many weights lie where, as shares of the largest; -1 to 1."""
    counts = torch.histc(relative, BINS, -1, 1).tolist()
    unit = (BASE - TOP) / max(counts)
    edges = [_x(2 * k / BINS - 1) for k in range(BINS + 1)]
    # One weight in thousands is still to be seen.
    tops = [number(BASE - max(count * unit, 2)) if count else BASE for count in counts]
    bars = "".join(
        f"M{number(left)} {BASE}V{top}H{number(right - 1)}V{BASE}z"
        for top, (left, right) in zip(tops, pairwise(edges), strict=True)
    )
    return [f'<path d="{bars}" fill="{COLOURS[0]}"/>']


def beyond(share: float) -> list[str]:
    """Hatch what lies beyond the threshold on both sides."""
    parts = []
    for side in (-1, 1):
        start, stop = sorted((_x(side * share), _x(side)))
        lines = "".join(f"M{number(x)} {TOP}V{BASE}" for x in _every(5, start, stop))
        parts.append(f'<path d="{lines}" stroke="{COLOURS[1]}" stroke-opacity="0.6"/>')
    return parts


def scale_of(largest: float | None, granularity: str) -> list[str]:
    """Draw the axis: in the weights' own unit, or in shares of each one's largest."""
    axis = f"M{number(_x(-1))} {BASE}H{number(_x(1))}"
    places = (-1, -0.5, 0, 0.5, 1)
    names = [f"{p:.0%}" if largest is None else f"{p * largest:.3g}" for p in places]
    caption = "weight" if largest else f"weight, as a share of its {granularity}'s largest"
    return [
        f'<path class="line" d="{axis}" stroke="#888"/>',
        *(
            label(_x(place), ENDS + 18, name, "middle", TEXT)
            for place, name in zip(places, names, strict=True)
        ),
        label(_x(0), ENDS + 38, caption, "middle", TEXT),
    ]


def levels(share: float, qmax: int) -> list[str]:
    """Draw a tick under the axis for each level."""
    places = [_x(share * k / qmax) for k in range(-qmax, qmax + 1)]
    ticks = "".join(f"M{number(x)} {BASE + 3}V{ENDS - 2}" for x in places)
    return [f'<path d="{ticks}" stroke="{COLOURS[0]}" stroke-width="1.5"/>']


def threshold(share: float, words: str, value: float | None) -> list[str]:
    """Draw the threshold on both sides, and say where it is."""
    lines = f"M{number(_x(-share))} {TOP - 8}V{ENDS}M{number(_x(share))} {GRIP}V{ENDS}"
    amount = words if value is None else f"{value:.3g}, {words}"
    middle = min(_x(share), WIDTH - LEFT - HALF_OF_WORDS)
    return [
        f'<path d="{lines}" stroke="{COLOURS[1]}" stroke-width="2"/>',
        label(middle, GRIP - 21, f"clip at {amount}", "middle", TEXT),
    ]


def shares_of(split: Split) -> list[str]:
    """Draw one bar with the two parts of the error."""
    rounding = split.rounding / split.whole if split.whole else 1.0
    middle = LEFT + BAR * rounding
    shares = (rounding, 1 - rounding)
    parts = [
        label(LEFT, ROOF - 30, "mean squared error", size=TEXT),
        label(LEFT, ROOF - 4, f"{split.whole:.3g}", size=20),
        *_piece(LEFT, middle, 0),
        *_piece(middle, LEFT + BAR, 1),
    ]
    for k, (name, part) in enumerate(zip(split._fields, split, strict=True)):
        y = ROOF + 62 + 26 * k
        parts += [
            *_piece(LEFT, LEFT + 14, k, y - 12, 14),
            label(LEFT + 22, y, f"{name} {part:.3g}, {shares[k]:.0%}", size=TEXT),
        ]
    return parts


def _piece(
    left: float, right: float, k: int, y: float = ROOF + 12, high: int = 20
) -> list[str]:
    """Draw a piece of the bar: solid for rounding, 0, and hatched for clipping, 1."""
    if right - left < 0.5:
        return []
    if k == 0:
        return [bar(left, y, right - left, high, 0)]
    lines = "".join(f"M{number(x)} {number(y)}v{high}" for x in _every(5, left, right))
    colour = COLOURS[1]
    box = f'x="{number(left)}" y="{number(y)}" width="{number(right - left)}"'
    return [
        f'<rect {box} height="{high}" fill="none" stroke="{colour}"/>',
        f'<path d="{lines}" stroke="{colour}" stroke-opacity="0.6"/>',
    ]


def curve_axis() -> list[str]:
    """Draw the axis of the landscape, on which a guess has its place too."""
    ends = (_x(SHARES[0] / 100), _x(1))
    return [
        f'<path class="line" d="M{number(ends[0])} {FLOOR}H{number(ends[1])}" '
        'stroke="#888"/>',
        *(
            label(end, FLOOR + 18, f"{name}%", "middle", TEXT)
            for end, name in zip(ends, (SHARES[0], SHARES[-1]), strict=True)
        ),
        label(sum(ends) / 2, FLOOR + 18, "clipped at", "middle", TEXT),
        label(ends[0], ROOF - 30, "the error, wherever we clip", size=TEXT),
    ]


def curve(splits: Sequence[Split], share: float, now: Split) -> list[str]:
    """Draw the error for every threshold, the present one and the least."""
    wholes = [split.whole for split in splits]
    best = wholes.index(min(wholes))
    # Where clipping takes over, the error leaves the picture.
    highest = max(wholes[-1], 2.5 * wholes[best], wholes[max(best - 5, 0)]) or 1.0
    unit = (FLOOR - ROOF) / highest
    first = next(k for k, whole in enumerate(wholes) if whole <= highest)
    seen = [(_x(SHARES[k] / 100), splits[k]) for k in range(first, len(splits))]
    below = [(x, FLOOR - split.rounding * unit) for x, split in seen]
    above = [(x, FLOOR - split.whole * unit) for x, split in seen]
    area = "".join(f"V{number(y)}H{number(x)}" for x, y in below)
    hatch = "".join(
        f"M{number(x)} {number(low)}V{number(high)}"
        for (x, low), (_, high) in zip(below, above, strict=True)
    )
    start = _x(SHARES[0] / 100)
    x, y = _x(share), max(FLOOR - now.whole * unit, ROOF - 10)
    place = (_x(SHARES[best] / 100), FLOOR - wholes[best] * unit)
    return [
        f'<path d="M{number(seen[0][0])} {FLOOR}{area}V{FLOOR}z" fill="{COLOURS[0]}" '
        'fill-opacity="0.35"/>',
        f'<path d="{hatch}" stroke="{COLOURS[1]}" stroke-opacity="0.6"/>',
        polyline(above, 1, dash=0),
        mark(start + 6, ROOF - 13, 3),
        label(start + 18, ROOF - 8, f"least at {SHARES[best]}%", size=TEXT),
        mark(*place, 3),
        f'<path d="M{number(x)} {FLOOR}V{number(y)}" stroke="{COLOURS[1]}" '
        'stroke-width="2"/>',
        mark(x, y, 4),
    ]


def asked(question: str, best: int, before: str) -> Asked:
    """Return the question; guesses stand in the landscape, beside the truth.

    Args:
        question: what is asked.
        best: the answer, in percent.
        before: the words until then.
    """
    low, high = SHARES[0], SHARES[-1]
    places = (_x(low / 100), _x(high / 100))
    return Asked(question, best, before, "x", (low, high), places, (ROOF - 6, FLOOR))


def drag(share: float) -> str:
    """Mark where the threshold can be dragged: in the histogram and in the landscape."""
    ends = (_x(SHARES[0] / 100), _x(1))
    return handle("clip", ends, (GRIP - 32, FLOOR + 6), GRIP, at=_x(share))


def _x(share: float) -> float:
    return WIDTH / 2 + share * (WIDTH / 2 - 30)


def _every(step: int, start: float, stop: float) -> list[int]:
    first = -int(-start // step) * step
    return [x for x in range(first, int(stop) + 1, step) if start <= x <= stop]
