"""The first slider: one row of weights, rounded to fewer and fewer bits."""

from collections.abc import Mapping
from dataclasses import replace

import torch

from helpers.classroom.charts import (
    Asked,
    Chart,
    covered,
    largest_error,
    rounding,
    stack,
)
from helpers.classroom.charts.drawing import WIDTH, label, mark, number, sheet
from helpers.classroom.panel import Guess, Panel, Range
from helpers.quantization import Scheme, choose_qparams, dequantize, quantize

BITS = range(2, 9)
MOST_TIMES = 6  # that a guess can say
LEFT, RIGHT, AXIS, HEIGHT = 64, WIDTH - 30, 62, 106  # of the strip below the weights
DIAMOND = 3


def draw(row: torch.Tensor, bits: int, ask: bool = False) -> Chart:
    """Draw the row's weights, the levels of a symmetric scheme, and the error.

    Args:
        row: float32, shape (N,).
        bits: 2 to 8.
        ask: cover the error until the learner has guessed.
    """
    qparams = choose_qparams(row, Scheme(bits=bits))
    rounded = dequantize(quantize(row, qparams), qparams)
    levels, step = qparams.levels.tolist(), qparams.scale.item()
    exact, rounded = row.tolist(), rounded.tolist()
    worst = largest_error(exact, rounded)
    error = abs(exact[worst] - rounded[worst])
    text = (
        f"With {bits} bits there are {len(levels)} levels, {step:.4f} apart. "
        f"Weight {worst + 1} has the largest error, {error:.4f}; "
        f"half a step is {step / 2:.4f}."
    )
    title = f"{len(row)} weights at {bits} bits"
    return rounding(title, exact, rounded, levels, text=text, ask=ask)


def error_at(row: torch.Tensor, bits: int) -> float:
    """Return the largest error of the row's weights."""
    qparams = choose_qparams(row, Scheme(bits=bits))
    return (row - dequantize(quantize(row, qparams), qparams)).abs().max().item()


def weight_row(row: torch.Tensor, bits: int = 3) -> Panel:
    """Return the panel: one slider from 2 to 8 bits, held ready in the browser.

    Above 2 bits it asks first how much larger the largest error is with one bit less.

    Args:
        row: float32, shape (N,).
        bits: where the slider stands at first.
    """
    slider = Range("bits", "Bits for each weight", BITS[0], BITS[-1], bits)
    errors = {some: error_at(row, some) for some in BITS}
    times = {some: error / (errors[bits] or 1) for some, error in errors.items()}
    guess = None
    if 1 <= times.get(bits - 1, 0) <= MOST_TIMES:
        guess = Guess(
            Range("guess", "My guess", 10, 10 * MOST_TIMES, 15, decimals=1), "{}×"
        )

    def draw_now(**values: int) -> Chart:
        if not guess:
            return draw(row, **values)
        return _asking(draw(row, **values, ask=values["bits"] != bits), times, bits, values)

    return Panel("One row of weights", [slider], draw_now, ahead=True, guess=guess)


def _asking(
    chart: Chart, times: Mapping[int, float], start: int, values: Mapping[str, int]
) -> Chart:
    bits = values["bits"]
    # At the bits to begin with, all can be seen: it is what the guess compares with.
    open_part = chart.text.partition(" Weight ")[0]
    asked = Asked(
        f"With {start - 1} bits in place of {start}, how many times as large is the "
        "largest error?",
        truth=times[start - 1],
        before=chart.text if bits == start else open_part,
        along="x",
        values=(0, MOST_TIMES),
        places=(LEFT, RIGHT),
        across=(chart.height + 2, chart.height + AXIS),
    )
    return replace(stack([chart, _strip(times, start, bits)], chart.text), guess=asked)


def _strip(times: Mapping[int, float], start: int, bits: int) -> Chart:
    def place(value: float) -> float:
        return LEFT + value / MOST_TIMES * (RIGHT - LEFT)

    def point(some: int) -> list[str]:
        x = place(times[some])
        words = label(x, AXIS - 16, f"{some} bits", "middle", 12)
        return [mark(x, AXIS, DIAMOND), words]

    paper = f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
    ticks = "".join(f"M{number(place(value))} {AXIS}v5" for value in range(MOST_TIMES + 1))
    line = f"M{LEFT} {AXIS}H{RIGHT}{ticks}"
    parts = [paper, f'<path class="line" d="{line}" fill="none" stroke="#888"/>']
    parts += [
        label(place(value), AXIS + 19, f"{value}×", "middle", 12)
        for value in range(MOST_TIMES + 1)
    ]
    words = f"largest error, in multiples of that with {start} bits"
    parts.append(label((LEFT + RIGHT) / 2, AXIS + 38, words, "middle"))
    parts += point(start)
    for some in {start - 1, bits} - {start}:
        parts += covered(point(some))
    return sheet(HEIGHT, parts, "")
