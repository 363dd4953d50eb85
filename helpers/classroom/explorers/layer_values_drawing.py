"""The picture of one layer's weights and inputs, with lines at the outermost levels."""

import textwrap

from helpers.classroom.charts.drawing import COLOURS, label, number
from helpers.classroom.explorers.layer_values import BINS, Look, Spread
from helpers.quantization import Scheme

HALF, HEIGHT = 300, 180  # of one of the two
LEFT, RIGHT, TOP, BASE = 16, 284, 78, 150  # of its plot
MOST_LETTERS, LINE = 16, 40  # of a layer's name, and of a line


def layer_parts(look: Look, dtype: str) -> tuple[list[str], list[str]]:
    """Draw a layer's weights on the left half of the paper, and its inputs on the right.

    Args:
        look: what there is to see.
        dtype: of the model as it is.
    """
    layer = look.layer or "the model"
    name = layer if len(layer) <= MOST_LETTERS else f"…{layer[1 - MOST_LETTERS :]}"
    dtype = dtype if len(dtype) < 10 else "float"
    bits = f"{look.scheme.bits} bits" if look.scheme else dtype
    left = _plot(0, f"{name}: weights, {bits}", look.weights, _of_many(look.scheme))
    if isinstance(look.inputs, str):
        lines = [f"{name}: inputs", *textwrap.wrap(look.inputs, LINE)]
        return left, [label(HALF + LEFT, 20 + 18 * k, line) for k, line in enumerate(lines)]
    bits = f"{look.activation_bits} bits" if look.activation_bits else dtype
    zeros = look.inputs.zeros
    note = f"{zeros:.0%} are zero, and not drawn" if zeros else ""
    return left, _plot(HALF, f"{name}: inputs, {bits}", look.inputs, note)


def layer_words(look: Look, unit: str) -> str:
    """Say what the picture shows.

    Args:
        look: what there is to see.
        unit: what the rows are called: images, or rows.
    """
    weights, inputs, many = look.weights, look.inputs, _of_many(look.scheme)
    said = (
        f"{look.layer or 'The model'}: {weights.size:,} weights from {weights.low:.3g} to "
        f"{weights.high:.3g}, {_clip_words(weights)}{f' ({many})' if many else ''}"
    )
    if isinstance(inputs, str):
        return f"{said}; {inputs}."
    low, high = inputs.low, inputs.high
    if inputs.zeros:
        low, high = min(low, 0.0), max(high, 0.0)
    return (
        f"{said}; inputs, of {look.rows} {unit}, from {low:.3g} to {high:.3g}, "
        f"{inputs.zeros:.0%} of them zero, {_clip_words(inputs)}."
    )


def _of_many(scheme: Scheme | None) -> str:
    """Say of which the lines are, where there are several."""
    if scheme is None or scheme.granularity == "tensor":
        return ""
    return f"the lines of the outermost {scheme.granularity}"


def _clip_words(found: Spread) -> str:
    if found.clip is None:
        return "nothing is clipped"
    low, high = found.clip
    share = f"{found.clipped:.1%}" if found.clipped else "none"
    if 0 < found.clipped < 0.0005:
        share = "<0.1%"
    return f"levels {low:.3g} to {high:.3g}, {share} clipped"


def _plot(start: int, title: str, found: Spread, note: str) -> list[str]:
    ends = [found.low, found.high, 0.0, *(found.clip or ())]
    low, high = min(ends), max(ends)
    span = high - low or 1.0

    def place(value: float) -> float:
        return start + LEFT + (value - low) / span * (RIGHT - LEFT)

    lines = [line for line in (title, _clip_words(found), note) if line]
    parts = [label(start + LEFT, 20 + 18 * k, line) for k, line in enumerate(lines)]
    parts += _bars(found, place)
    axis = f"M{start + LEFT} {BASE}H{start + RIGHT}"
    parts.append(f'<path class="line" d="{axis}" stroke="#888"/>')
    for value, anchor in ((low, "start"), (high, "end")):
        parts.append(label(place(value), BASE + 18, f"{value:.2g}", anchor, 12))
    if LEFT + 50 < place(0) - start < RIGHT - 50:
        parts.append(label(place(0), BASE + 18, "0", "middle", 12))
    for value in found.clip or ():
        x = number(place(value))
        path = f'd="M{x} {TOP - 10}V{BASE + 4}" stroke="{COLOURS[1]}" stroke-width="2"'
        parts.append(f"<path {path}/>")
    return parts


def _bars(found: Spread, place) -> list[str]:
    if not (most := max(found.counts)):
        return []
    step, path = (found.high - found.low) / BINS, ""
    for k, count in enumerate(found.counts):
        if not count:
            continue
        left = place(found.low + k * step)
        right = max(place(found.low + (k + 1) * step), left + 1)
        # One value in thousands is still to be seen.
        top = BASE - max(count / most * (BASE - TOP), 2)
        path += f"M{number(left)} {BASE}V{number(top)}H{number(right)}V{BASE}z"
    return [f'<path d="{path}" fill="{COLOURS[0]}"/>']
