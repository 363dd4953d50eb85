"""The first slider: one row of weights, rounded to fewer and fewer bits."""

import torch

from helpers.classroom.charts import Chart, largest_error, rounding
from helpers.classroom.panel import Panel, Range
from helpers.quantization import Scheme, choose_qparams, dequantize, quantize

BITS = range(2, 9)


def draw(row: torch.Tensor, bits: int) -> Chart:
    """Draw the row's weights, the levels of a symmetric scheme, and the error.

    Args:
        row: float32, shape (N,).
        bits: 2 to 8.
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
    return rounding(title, exact, rounded, levels, text=text)


def weight_row(row: torch.Tensor, bits: int = 3) -> Panel:
    """Return the panel: one slider from 2 to 8 bits, held ready in the browser.

    Args:
        row: float32, shape (N,).
        bits: where the slider stands at first.
    """
    slider = Range("bits", "Bits for each weight", BITS[0], BITS[-1], bits)
    return Panel("One row of weights", [slider], lambda bits: draw(row, bits), ahead=True)
