"""A machine's roofline, with what was measured below it. Both axes are logarithmic."""

import math
from collections.abc import Iterable, Mapping, Sequence

from helpers.classroom.charts import Chart
from helpers.classroom.charts.drawing import (
    COLOURS,
    WIDTH,
    label,
    legend,
    mark,
    number,
    picture,
    polyline,
    require_finite,
)
from helpers.classroom.runtimes.ceiling import SIZES, Ceiling, Machine

LEFT, TOP, BASE, RIGHT = 64, 60, 270, WIDTH - 20
X_TICKS = (0.25, 1, 4, 16, 64, 256)
X_ENDS = (0.2, 600)
# Which rows of a `KernelRun` stand for a kind that was counted.
MEASURED = {"float32": "float32", "int8": "int8 static", "int4": "int4"}


def roofline(
    machine: Machine,
    reached: Mapping[str, Sequence[tuple[float, float]]],
    *,
    title: str,
    text: str,
    now: Ceiling | None = None,
) -> Chart:
    """Draw two roofs, of float32 and of int8, and what was reached below them.

    Args:
        machine: whose roofs these are.
        reached: one of SIZES -> (operations a byte, billions of operations a second).
        title: stands above the picture.
        text: the words.
        now: hollow marks say where this layer would stand at most.

    Raises:
        ValueError: a point is not finite, or not above 0.
    """
    points = [point for some in reached.values() for point in some]
    require_finite(value for point in points for value in point)
    if any(min(point) <= 0 for point in points):
        raise ValueError(f"the points {points} have no place on logarithmic axes")
    heights = [y for _, y in points] + [machine.bandwidth * X_ENDS[0]]
    low, high = min(heights) / 1.3, 1.6 * max(machine.int8, machine.float32, *heights)

    def x(value: float) -> float:
        return LEFT + _share(value, *X_ENDS) * (RIGHT - LEFT)

    def y(value: float) -> float:
        return BASE - _share(value, low, high) * (BASE - TOP)

    parts = _frame(x, y, low, high)
    for series, kind in ((0, "float32"), (1, "int8")):
        rate, ridge = machine.rate(kind), machine.ridge(kind)
        corner = min(max(ridge, X_ENDS[0]), X_ENDS[1])
        ends = (X_ENDS[0], corner, X_ENDS[1])
        roof = [(x(end), y(min(rate, end * machine.bandwidth))) for end in ends]
        parts.append(polyline(roof, series))
    parts += legend(list(SIZES), 40)
    for series, kind in enumerate(SIZES):
        parts += [mark(x(a), y(b), series) for a, b in reached.get(kind, ())]
        if now:
            place = x(now.intensity(kind)), y(now.attainable(kind))
            parts.append(_hollow(*place, series))
    return picture(title, BASE + 62, parts, text)


def points_of(runs: Iterable, kind: str) -> list[tuple[float, float]]:
    """Return where the fastest call of each `KernelRun` lies in the picture."""
    return [
        (
            run.ceiling.intensity(kind),
            run.ceiling.operations / run.table.loc[MEASURED[kind], "min ms"] / 1e6,
        )
        for run in runs
    ]


def in_words(machine: Machine) -> str:
    """Say the three numbers that make the roofs, and where they bend."""
    return (
        f"Bytes come at {machine.bandwidth:.0f} GB/s. float32 does at most "
        f"{machine.float32:.0f} billion operations a second and waits for bytes below "
        f"{machine.ridge('float32'):.1f} operations a byte; int8 {machine.int8:.0f}, "
        f"below {machine.ridge('int8'):.1f}."
    )


def _share(value: float, low: float, high: float) -> float:
    share = math.log(value / low) / math.log(high / low)
    return min(max(share, 0.0), 1.0)


def _frame(x, y, low: float, high: float) -> list[str]:
    path = f"M{LEFT} {TOP}V{BASE}H{RIGHT}"
    parts = [f'<path class="line" d="{path}" fill="none" stroke="#888"/>']
    for value in X_TICKS:
        parts.append(label(x(value), BASE + 17, f"{value:g}", "middle"))
    for power in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1):
        parts.append(label(LEFT - 8, y(10**power) + 4, f"{10.0**power:g}", "end"))
    centre = (LEFT + RIGHT) / 2
    parts.append(label(centre, BASE + 36, "operations for each byte", "middle"))
    turned = label(0, 0, "billion operations a second", "middle")
    place = f"translate(16 {number((TOP + BASE) / 2)}) rotate(-90)"
    parts.append(f'<g transform="{place}">{turned}</g>')
    note = "Solid: float32's roof, which is int4's, too. Dashed: int8's."
    parts.append(label(14, BASE + 54, note, size=12))
    return parts


def _hollow(x: float, y: float, series: int) -> str:
    """Draw the outline of that series' mark, large enough to stand around it."""
    shape = (
        "m-7 0a7 7 0 1 0 14 0a7 7 0 1 0 -14 0z",
        "m-7 -7h14v14h-14z",
        "m0 -10l9.5 16.5h-19z",
    )[series]
    style = f'fill="none" stroke="{COLOURS[series]}" stroke-width="1.6"'
    return f'<path d="M{number(x)} {number(y)}{shape}" {style}/>'
