"""The number line of today's floats and of NF4: uneven levels, beside those of int4."""

from dataclasses import replace
from functools import cache, partial

import torch

from helpers.classroom.charts import Asked, Chart, covered
from helpers.classroom.charts.drawing import picture
from helpers.classroom.explorers import number_line_drawing as shared
from helpers.classroom.explorers import uneven_levels_drawing as drawing
from helpers.classroom.explorers.number_line import FARTHEST, with_weights
from helpers.classroom.panel import Choice, Guess, Panel, Range
from helpers.quantization import (
    QParams,
    Scheme,
    choose_qparams,
    dequantize,
    fake_quantize,
    quantize,
    sqnr_db,
)

# What is drawn -> its scheme, and what its bits stand for.
FORMATS = {
    "fp4 e2m1": (Scheme(bits=4, format="e2m1"), "1 sign, 2 exponent, 1 fraction"),
    "NF4": (Scheme(bits=4, format="nf4"), "its place in NF4's table"),
    "fp8 e4m3": (Scheme(bits=8, format="e4m3"), "1 sign, 4 exponent, 3 fraction"),
    "fp8 e5m2": (Scheme(bits=8, format="e5m2"), "1 sign, 5 exponent, 2 fraction"),
}
EVEN = "int4"
RANGES = {"-2 to 2": (-2.0, 2.0), "-1 to 1": (-1.0, 1.0)}


def draw(
    observed: dict[str, tuple[float, ...]], format: str, range: str, hundredths: int
) -> Chart:
    """Draw a format's levels above int4's, and one value's way to the nearest of each.

    Args:
        observed: name -> values from which the range is taken.
        format: one of FORMATS.
        range: one of the names.
        hundredths: the value, times 100.
    """
    value, values = hundredths / 100, observed[range]
    scheme, parts_of_code = FORMATS[format]
    qparams, even = _qparams(values, scheme), _qparams(values, Scheme(bits=4))
    code = quantize(torch.tensor(value), qparams)
    back, other = (_returned(value, some) for some in (qparams, even))
    scale = qparams.scale.item()
    level = min(_units(scheme.format), key=lambda unit: abs(unit * scale - back))
    there = f"{value:.2f} / {scale:.4g} = {value / scale:.5g}, nearest level {level:.5g}"
    returned = f"{level:.5g} × {scale:.4g} = {back:.4f}, error {abs(value - back):.4f}"
    largest = max(map(abs, values))
    past = ", beyond the last level" if abs(value) > largest * (1 + 1e-6) else ""
    text = (
        f"{there}. Back: {returned}{past}; {EVEN}'s error is {abs(value - other):.4f}. "
        f"{_compared(format, values)}"
    )
    levels, evens = _levels(qparams), _levels(even)
    answer = [
        *shared.formulas(there, returned),
        *shared.boxes(f"{code.item():0{scheme.bits}b}", parts_of_code),
        drawing.rows(format, levels, EVEN, evens),
        *drawing.names(levels, _units(scheme.format), back),
        drawing.errors(format, levels, EVEN, evens),
        *drawing.ways(value, back, other, levels),
    ]
    title = f"{format} beside {EVEN}, for {range}"
    chart = picture(
        title,
        drawing.HEIGHT,
        [
            drawing.axis(values),
            shared.place(value, drawing.FLOOR),
            *covered(answer),
            shared.drag(FARTHEST / 100),
        ],
        text,
    )
    return replace(chart, guess=_asked(title, format, levels[-2], evens[-2]))


def uneven_levels(weight: torch.Tensor | None = None, name: str = "the weights") -> Panel:
    """Return the panel: a format, a value and the range, held in the browser.

    It asks where the second highest level lies before it shows any. No format here has a
    zero point, and each has its own number of bits, so there is no control for either.

    Args:
        weight: a layer's weights, between -2.5 and 2.5, whose range can be chosen in
            place of -1 to 1; their SQNR is then told.
        name: what they are called.

    Raises:
        ValueError: a weight lies outside, or there are fewer than three.
    """
    observed = with_weights(RANGES, weight, name)
    ends = {"high": FARTHEST, "decimals": 2}
    controls = [
        Choice("format", "Format", tuple(FORMATS), "fp4 e2m1"),
        Range("hundredths", "Value", -FARTHEST, value=80, step=20, **ends),
        Choice("range", "Observed", tuple(observed), "-2 to 2"),
    ]
    slider = Range("guess", "My guess", 0, value=100, step=5, **ends)
    return Panel(
        "Uneven levels",
        controls,
        partial(draw, observed),
        ahead=True,
        beside=True,
        guess=Guess(slider),
    )


@cache
def _asked(title: str, format: str, second: float, of_even: float) -> Asked:
    question = (
        f"{title}: the second highest level of {EVEN} lies at {of_even:.2f}. "
        f"At which value does that of {format} lie?"
    )
    before = "The levels come once you have guessed where the second highest one lies."
    return drawing.asked(question, second, before)


@cache
def _compared(format: str, values: tuple[float, ...]) -> str:
    """Say how many levels lie near zero, and what becomes of the weights."""
    quarter = max(map(abs, values)) / 4
    schemes = {format: FORMATS[format][0], EVEN: Scheme(bits=4)}
    if schemes[format].bits == 8:
        schemes["int8"] = Scheme(bits=8)
    counts, decibels = [], []
    for name, scheme in schemes.items():
        levels = _levels(_qparams(values, scheme))
        near = sum(abs(level) <= quarter for level in levels)
        counts.append(f"{near} of {len(levels)} with {name}")
        weight = torch.tensor(values)
        found = sqnr_db(weight, fake_quantize(weight, scheme))
        decibels.append(f"{found:.1f} dB with {name}")
    near = f"Levels between {-quarter:.2f} and {quarter:.2f}: {', '.join(counts)}."
    if len(values) == 2:
        return near
    return f"{near} SQNR of the {len(values)} weights: {', '.join(decibels)}."


@cache
def _qparams(values: tuple[float, ...], scheme: Scheme) -> QParams:
    return choose_qparams(torch.tensor(values), scheme)


@cache
def _levels(qparams: QParams) -> tuple[float, ...]:
    return tuple(qparams.levels.tolist())


@cache
def _units(form: str) -> tuple[float, ...]:
    """Return a format's levels, before they are multiplied by a scale."""
    return _levels(QParams(torch.tensor(1.0), torch.tensor(0), 0, 0, form))


def _returned(value: float, qparams: QParams) -> float:
    return dequantize(quantize(torch.tensor(value), qparams), qparams).item()
