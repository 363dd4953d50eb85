"""How many bits of each weight's fraction does the model need?"""

from functools import cache

import torch

from helpers.classroom.charts import Chart, scatter, stack
from helpers.classroom.charts.drawing import COLOURS, label, number, picture
from helpers.classroom.data.digits import load_digits
from helpers.classroom.data.networks import load_reference_model
from helpers.classroom.panel import Choice, Panel, Range
from helpers.dtypes import FRACTION_BITS, round_fraction

ROUNDINGS = ("to nearest", "cut off")
# Formats that hold this many bits of fraction.
NAMED = {
    23: "float32",
    10: "float16",
    7: "bfloat16",
    3: "float8 (e4m3)",
    2: "float8 (e5m2)",
}
LEFT, BOX = 14, 18  # where the 32 boxes begin, and how wide each is


digits = cache(load_digits)


@cache
def classes(bits: int, rounding: str) -> torch.Tensor:
    """Return the class that the model, with its floats rounded, sees in each test image."""
    model = load_reference_model()
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():
                tensor.copy_(round_fraction(tensor, bits, cut=rounding == "cut off"))
        return model(digits().test_images).argmax(dim=1)


def measured(bits: int, rounding: str) -> tuple[int, int]:
    """Return how many test images are right, and how many change their class."""
    now, before = classes(bits, rounding), classes(FRACTION_BITS, rounding)
    return int((now == digits().test_labels).sum()), int((now != before).sum())


def draw(bits: int, rounding: str) -> Chart:
    """Draw the 32 bits of a weight, and how many images are right at each length.

    Args:
        bits: 0 to 23, the bits of the fraction that are kept.
        rounding: one of ROUNDINGS.
    """
    right, changed = measured(bits, rounding)
    images = len(digits().test_labels)
    as_in = f", as many as {NAMED[bits]} has" if bits in NAMED else ""
    text = (
        f"{bits} bits of fraction{as_in}, {9 + bits} bits a weight: {right} of {images} "
        f"images are right, {changed} changed their class."
    )
    every = [(k, measured(k, rounding)[0]) for k in range(FRACTION_BITS + 1)]
    points = scatter(
        "Images that are right",
        {"every length": every, "this one": [(bits, right)]},
        x_label="bits of fraction that are kept",
        y_label=f"right, of {images}",
        text=text,
    )
    return stack([_bits(bits, text), points], text)


def fraction_bits() -> Panel:
    """Return the panel: how many bits are kept, and how the rest goes; held ahead."""
    controls = [
        Range("bits", "Bits of fraction", 0, FRACTION_BITS, 7),
        Choice("rounding", "The rest is", ROUNDINGS, ROUNDINGS[0]),
    ]
    return Panel("How many bits does a weight need?", controls, draw, ahead=True)


def _bits(bits: int, text: str) -> Chart:
    parts = []
    for k in range(32):
        kept = k < 9 + bits
        fill = COLOURS[0 if k < 1 else 1 if k < 9 else 2] if kept else "none"
        parts.append(
            f'<rect x="{number(LEFT + BOX * k)}" y="44" width="{BOX - 3}" height="{BOX}" '
            f'fill="{fill}" stroke="#888"/>'
        )
    parts += [
        label(LEFT, 84, "sign", size=12),
        label(LEFT + 5 * BOX, 84, "8 of exponent", "middle", 12),
        label(LEFT + 9 * BOX, 84, f"{bits} of 23 of fraction", size=12),
    ]
    return picture("A weight's bits: filled ones are kept", 96, parts, text)
