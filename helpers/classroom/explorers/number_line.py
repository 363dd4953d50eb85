"""The number line: where the levels lie, and what becomes of one value."""

from dataclasses import replace
from functools import cache, partial

import torch

from helpers.classroom.charts import Asked, Chart, covered
from helpers.classroom.charts.drawing import picture
from helpers.classroom.explorers import number_line_drawing as drawing
from helpers.classroom.panel import Check, Choice, Guess, Panel, Range, Stops
from helpers.quantization import QParams, Scheme, choose_qparams, dequantize, quantize

# The smallest and the largest value that were observed.
RANGES = {"-1 to 1": (-1.0, 1.0), "0 to 2": (0.0, 2.0), "-0.5 to 2": (-0.5, 2.0)}
FARTHEST = 220  # the value, times 100, to both sides


def draw(
    observed: dict[str, tuple[float, ...]],
    bits: int,
    range: str,
    symmetric: bool,
    hundredths: int,
) -> Chart:
    """Draw the levels for a range, and one value's way to the nearest of them.

    Args:
        observed: name -> values from which the range is taken.
        bits: 2 to 8.
        range: one of the names.
        symmetric: whether the zero point is 0.
        hundredths: the value, times 100.
    """
    value = hundredths / 100
    qparams = _qparams(observed[range], bits, symmetric)
    integer = quantize(torch.tensor(value), qparams)
    back = dequantize(integer, qparams).item()
    there, returned = _formulas(value, integer.item(), back, qparams)
    beyond = not _levels(qparams)[0] <= value <= _levels(qparams)[-1]
    text = f"{there}. Back: {returned}{', beyond the last level' if beyond else ''}."
    answer = [
        *drawing.formulas(there, returned),
        *drawing.boxes(*_code(integer.item(), bits, symmetric)),
        drawing.curves(_levels(qparams)),
        *drawing.integers(_levels(qparams), integer.item(), qparams),
        *drawing.way(value, back, len(str(integer.item()))),
    ]
    parts = [
        drawing.axis(observed[range]),
        drawing.place(value),
        *covered(answer),
        drawing.drag(FARTHEST / 100),
    ]
    title = f"{bits} bits, {'symmetric' if symmetric else 'asymmetric'}, for {range}"
    chart = picture(title, drawing.HEIGHT, parts, text)
    return replace(chart, guess=_asked(title, _levels(qparams)[0]))


def number_line(weight: torch.Tensor | None = None, name: str = "the weights") -> Panel:
    """Return the panel: bits, range, symmetry and a value, held in the browser.

    It asks where the lowest level lies before it shows any.

    Args:
        weight: a layer's weights, between -2.5 and 2.5, whose range can be chosen in
            place of -1 to 1.
        name: what they are called.

    Raises:
        ValueError: a weight lies outside, or there are fewer than three.
    """
    observed = with_weights(RANGES, weight, name)
    ends = {"low": -FARTHEST, "high": FARTHEST, "step": 10}
    controls = [
        Stops("bits", "Bits", (2, 3, 4, 8), 3),
        Range("hundredths", "Value", value=80, decimals=2, **ends),
        Choice("range", "Observed", tuple(observed), "0 to 2"),
        Check("symmetric", "Symmetric", True),
    ]
    slider = Range("guess", "My guess", value=0, decimals=2, **ends)
    return Panel(
        "The number line",
        controls,
        partial(draw, observed),
        ahead=True,
        beside=True,
        guess=Guess(slider),
    )


def with_weights(
    ranges: dict[str, tuple[float, float]], weight: torch.Tensor | None, name: str
) -> dict[str, tuple[float, ...]]:
    """Return the ranges, with a layer's weights, where there are any, for -1 to 1.

    Raises:
        ValueError: see require_on_the_line.
    """
    if weight is None:
        return dict(ranges)
    others = {key: ends for key, ends in ranges.items() if key != "-1 to 1"}
    return others | {drawing.shortened(name, drawing.NAME): require_on_the_line(weight)}


def require_on_the_line(weight: torch.Tensor) -> tuple[float, ...]:
    """Return the weights as numbers, if the picture has a place for each.

    Raises:
        ValueError: one lies outside, all are 0, or there are fewer than three.
    """
    values = tuple(weight.detach().flatten().tolist())
    farthest = max(map(abs, values), default=0.0)
    inside = all(abs(value) <= drawing.REACH for value in values)  # so none is NaN
    if len(values) < 3 or not (inside and farthest):
        raise ValueError(
            f"weight has {len(values)} values, the farthest at {farthest:.4g}; expected "
            f"three or more between {-drawing.REACH} and {drawing.REACH}, not all 0; scale "
            "them first"
        )
    return values


@cache
def _asked(title: str, lowest: float) -> Asked:
    """Ask where the lowest level lies, which is the same for every value."""
    question = f"{title}: at which value does the lowest level lie?"
    before = "The levels come once you have guessed where the lowest one lies."
    return drawing.asked(question, lowest, before)


@cache
def _qparams(values: tuple[float, ...], bits: int, symmetric: bool) -> QParams:
    scheme = Scheme(bits=bits, symmetric=symmetric)
    return choose_qparams(torch.tensor(values), scheme)


@cache
def _levels(qparams: QParams) -> tuple[float, ...]:
    return tuple(qparams.levels.tolist())


def _code(integer: int, bits: int, signed: bool) -> tuple[str, str]:
    """Return an integer's bits, and how they are to be read."""
    kind = "two's complement" if signed else "unsigned"
    return f"{integer % 2**bits:0{bits}b}", f"q in {bits} bits, {kind}"


def _formulas(value: float, integer: int, back: float, qparams: QParams) -> tuple[str, str]:
    """Return the way to the integer and the way back, with the numbers filled in."""
    scale, zero_point = qparams.scale.item(), qparams.zero_point.item()
    # Before it is clipped: the quantizer itself, with room for every integer.
    unlimited = qparams._replace(qmin=-(2**20), qmax=2**20)
    rounded = quantize(torch.tensor(value), unlimited).item()
    signed = qparams.qmin < 0
    plus = "" if signed else f" + {zero_point}"
    minus = f"{integer}" if signed else f"({integer} - {zero_point})"
    clipped = "" if rounded == integer else f", clipped to {integer}"
    return (
        f"q = round({value:.2f} / {scale:.4f}){plus} = {rounded}{clipped}",
        f"{minus} × {scale:.4f} = {back:.4f}, error {abs(value - back):.4f}",
    )
