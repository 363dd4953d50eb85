"""How many bits of each number may a runtime drop before the answers change?"""

import copy
import math

import torch
from torch import nn

from helpers.classroom.charts import Chart, lines
from helpers.classroom.panel import Panel, Range
from helpers.classroom.runtimes.narrow_floats import MANTISSA_BITS, run_rounded

LEAST, MOST = 3, 14


def draw(
    errors: dict[int, float], agreeing: dict[int, int], count: int, bits: int
) -> Chart:
    """Draw the error against the bits, and say what the chosen number of bits does.

    Args:
        errors: bits -> largest error of the logits.
        agreeing: bits -> images with the same class.
        count: of the images.
        bits: chosen.
    """
    names = [name for name, stored in MANTISSA_BITS.items() if stored == bits]
    verb = "stores" if len(names) == 1 else "store"
    who = f" ({' and '.join(names)} {verb} as many)" if names else ""
    text = (
        f"With {bits} bits of mantissa{who} the largest error of a logit is "
        f"{errors[bits]:.2g}; {agreeing[bits]} of {count} images get the same class."
    )
    logarithms = [(stored, math.log10(error)) for stored, error in errors.items()]
    points = {"error": logarithms, "chosen": [(bits, math.log10(errors[bits]))]}
    return lines(
        "Largest error of a logit, as a power of ten",
        points,
        x_label="stored bits of mantissa",
        y_label="exponent",
        text=text,
    )


def precision(model: nn.Module, images: torch.Tensor) -> Panel:
    """Return the panel; every number of bits is computed ahead.

    Args:
        model: in eval mode.
        images: (N, 1, 8, 8) in 0..1.
    """
    with torch.no_grad():
        exact = copy.deepcopy(model).double()(images.double())
    errors, agreeing = {}, {}
    for bits in range(LEAST, MOST + 1):
        found = run_rounded(model, images, bits)
        errors[bits] = (found - exact).abs().max().item()
        agreeing[bits] = int((found.argmax(dim=1) == exact.argmax(dim=1)).sum())
    controls = [Range("bits", "Bits of mantissa", LEAST, MOST, 10)]
    return Panel(
        "Fewer bits",
        controls,
        lambda bits: draw(errors, agreeing, len(images), bits),
        ahead=True,
    )
