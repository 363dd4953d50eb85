"""The number line: where the levels lie, and what becomes of one value."""

import torch

from helpers.classroom.charts import Chart
from helpers.classroom.charts.drawing import COLOURS, WIDTH, label, mark, number, picture
from helpers.classroom.panel import Check, Choice, Panel, Range
from helpers.quantization import QParams, Scheme, choose_qparams, dequantize, quantize

RANGES = {"-1 to 1": (-1.0, 1.0), "0 to 2": (0.0, 2.0), "-0.5 to 2": (-0.5, 2.0)}
REACH = 2.5  # the values shown, to both sides


def draw(bits: int, range: str, symmetric: bool, hundredths: int) -> Chart:
    """Draw the levels for a range, and one value's way to the nearest of them.

    Args:
        bits: 2 to 8.
        range: a key of RANGES: the smallest and largest value that was observed.
        symmetric: whether the zero point is 0.
        hundredths: the value, times 100.
    """
    value = torch.tensor(hundredths / 100)
    scheme = Scheme(bits=bits, symmetric=symmetric)
    qparams = choose_qparams(torch.tensor(RANGES[range]), scheme)
    integer = quantize(value, qparams)
    back = dequantize(integer, qparams)
    levels = qparams.levels.tolist()
    clipped = not levels[0] <= value.item() <= levels[-1]
    text = (
        f"{len(levels)} levels, {qparams.qmin} to {qparams.qmax}: scale "
        f"{qparams.scale.item():.4f}, zero point {qparams.zero_point.item()}. "
        f"{value.item():.2f} becomes {integer.item()} and comes back as "
        f"{back.item():.4f}, an error of {abs(value - back).item():.4f}"
        f"{'; it lies beyond the last level and is clipped' if clipped else ''}."
    )
    parts = _line(levels) + _journey(value.item(), back.item(), qparams)
    kind = "symmetric" if symmetric else "asymmetric"
    return picture(f"{bits} bits, {kind}, for {range}", 190, parts, text)


def number_line() -> Panel:
    """Return the panel: bits, range, symmetry and a value, held in the browser."""
    controls = [
        Range("bits", "Bits", 2, 8, 3),
        Range("hundredths", "Value", -225, 225, 75, step=25, decimals=2),
        Choice("range", "Observed", tuple(RANGES), "0 to 2"),
        Check("symmetric", "Symmetric", True),
    ]
    return Panel("The number line", controls, draw, ahead=True)


def _x(value: float) -> float:
    return WIDTH / 2 + value / REACH * (WIDTH / 2 - 30)


def _line(levels: list[float]) -> list[str]:
    axis = f"M{number(_x(-REACH))} 130H{number(_x(REACH))}"
    parts = [f'<path class="line" d="{axis}" stroke="#888"/>']
    parts += [label(_x(v), 168, f"{v:g}", "middle") for v in (-2, -1, 0, 1, 2)]
    left, right = number(_x(levels[0])), number(_x(levels[-1]))
    parts.append(f'<path d="M{left} 130H{right}" stroke="{COLOURS[0]}" stroke-width="4"/>')
    ticks = "".join(f"M{number(_x(v))} 120v20" for v in levels)
    parts.append(f'<path d="{ticks}" stroke="{COLOURS[0]}" stroke-width="1"/>')
    return parts


def _journey(value: float, back: float, qparams: QParams) -> list[str]:
    x, end = number(_x(value)), number(_x(back))
    return [
        mark(_x(value), 62, 4),
        label(_x(value), 50, f"{value:.2f}", "middle"),
        f'<path d="M{x} 67V80H{end}V108" fill="none" stroke="{COLOURS[1]}"/>',
        mark(_x(back), 112, 0),
    ]
