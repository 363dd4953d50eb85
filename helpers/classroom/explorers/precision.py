"""How many bits of each number may a runtime drop before the answers change?"""

import copy
import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import nn

from helpers.classroom.charts import Asked, Chart, covered, lines
from helpers.classroom.charts.axes import Axes
from helpers.classroom.charts.drawing import COLOURS, label, number, sheet
from helpers.classroom.panel import Guess, Panel, Range
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
    error = (
        f"With {bits} bits of mantissa{who} the largest error of a logit is "
        f"{errors[bits]:.2g}"
    )
    text = f"{error}; {agreeing[bits]} of {count} images get the same class."
    logarithms = [(stored, math.log10(error)) for stored, error in errors.items()]
    points = {"error": logarithms, "chosen": [(bits, math.log10(errors[bits]))]}
    chart = lines(
        "Largest error of a logit, as a power of ten",
        points,
        x_label="stored bits of mantissa",
        y_label="exponent",
        text=text,
    )
    enough = fewest(agreeing, count)
    if enough is None:
        return chart
    axes = Axes(points, "", "", right=110)
    top, base = (
        axes.y(value) for value in (max(y for _, y in logarithms), logarithms[-1][1])
    )
    asked = Asked(
        f"From how many bits on do all {count} images get the same class?",
        truth=enough,
        before=f"{error}.",
        along="x",
        values=(LEAST, MOST),
        places=(axes.x(LEAST), axes.x(MOST)),
        across=(top, base),
    )
    x = axes.x(enough)
    path = f'd="M{number(x)} {number(top)}V{number(base)}" stroke="{COLOURS[2]}"'
    answer = [
        f'<path {path} stroke-width="2"/>',
        label(x + 6, base - 8, f"all the same from {enough} bits on", size=12),
    ]
    parts = [*chart.parts, *covered(answer)]
    return replace(sheet(chart.height, parts, text), guess=asked)


def fewest(agreeing: Mapping[int, int], count: int) -> int | None:
    """Return from how many bits on every image gets the same class; None if never."""
    short = [bits for bits, same in agreeing.items() if same < count]
    enough = max(short, default=LEAST - 1) + 1
    return enough if enough in agreeing else None


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
        guess=Guess(Range("guess", "My guess", LEAST, MOST, MOST), "{} bits")
        if fewest(agreeing, len(images))
        else None,
    )
