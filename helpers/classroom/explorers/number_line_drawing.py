"""The number line's picture: formulas, line, staircase and error over one axis."""

from functools import cache
from itertools import pairwise

from helpers.classroom.charts.asked import Asked
from helpers.classroom.charts.drawing import (
    COLOURS,
    WIDTH,
    label,
    mark,
    number,
    polyline,
)
from helpers.classroom.charts.handles import handle
from helpers.quantization import QParams

HEIGHT = 486
NAME = 24  # letters that a layer's name has room for
REACH = 2.5  # the values shown, to both sides
TICKS = (-2, -1, 0, 1, 2)
UNIT = 30  # the height of 1 in staircase and error
GRIP, LINE, INTEGERS, STAIRS, ERROR = 129, 165, 192, 286, 455  # the y of each
SIDE = 19  # of a bit's box
TEXT, DIGIT, GAP = 15, 9.6, 6  # the size of labels, their digits' width, between two


def formulas(there: str, back: str) -> list[str]:
    """Write the way to the integer and back."""
    # On lines of their own: all else of a text is the same in every picture.
    both = label(14, 64, f"\n{there}\n", size=17) + label(14, 88, f"\n{back}\n", size=17)
    return both.split("\n")


@cache
def boxes(digits: str, caption: str) -> list[str]:
    """Draw bits, and say how they are to be read."""
    bits = len(digits)
    left, right = WIDTH - 14 - SIDE * bits, WIDTH - 14
    outline = f"M{left} 30H{right}v{SIDE}H{left}z"
    outline += "".join(f"M{left + SIDE * k} 30v{SIDE}" for k in range(1, bits))
    # One place for each digit.
    places = " ".join(number(left + SIDE * (k + 0.5)) for k in range(bits))
    return [
        label(right, 22, caption, "end")
        + f'<path class="line" d="{outline}" fill="none" stroke="#888"/>',
        label(0, 44, digits, "middle").replace('x="0"', f'x="{places}"'),
    ]


def integers(levels: tuple[float, ...], integer: int, qparams: QParams) -> list[str]:
    """Write the integers under their levels: all, or as many as have room."""
    first = qparams.qmin
    named = _with_room(levels, integer - first, qparams.zero_point.item() - first)
    names = [_name(across(levels[k]), k + first) for k in named]
    # Where all have room, they are the same for every value.
    return ["".join(sorted(names))] if len(names) == len(levels) else names


@cache
def _name(x: float, integer: int) -> str:
    return label(x, INTEGERS, str(integer), "middle", TEXT)


def place(value: float, floor: float = ERROR) -> str:
    """Say where a value stands on the axis, down to its floor."""
    line = f"M{number(across(value))} {INTEGERS + 14}V{floor}"
    return (
        label(across(value), GRIP - 19, f"{value:.2f}", "middle", TEXT)
        + f'<path class="line" d="{line}" stroke="#888" stroke-dasharray="2 3"/>'
    )


def way(value: float, back: float, digits: int) -> list[str]:
    """Draw a value's way to its level, and its error on the two curves.

    Args:
        value: before.
        back: after.
        digits: of the integer under the level.
    """
    x, end = number(across(value)), number(across(back))
    # The error twice, at the same length: from the staircase to the dashed line, and below.
    path = (
        f"M{x} {GRIP}V{GRIP + 16}H{end}V{LINE}"
        f"M{x} {number(_up(value))}V{number(_up(back))}"
        f"M{x} {ERROR}V{number(ERROR - abs(value - back) * UNIT)}"
        f"M{x} {number(_up(back))}m-3.5 -3.5h7v7h-7z"
    )
    return [
        f'<path d="{path}" stroke="{COLOURS[1]}" fill="none" stroke-width="2"/>',
        pill(back, DIGIT * digits) + mark(across(back), LINE, 1),
    ]


def pill(value: float, wide: float) -> str:
    """Ring what is written under a level, so many units wide."""
    wide += 11
    return (
        f'<rect x="{number(across(value) - wide / 2)}" y="{INTEGERS - 15}" '
        f'width="{number(wide)}" height="20" rx="9" stroke="{COLOURS[1]}" fill="none" '
        'stroke-width="2"/>'
    )


def drag(farthest: float) -> str:
    """Mark where the value can be dragged."""
    return handle(
        "hundredths", (across(-farthest), across(farthest)), (GRIP - 32, LINE + 12), GRIP
    )


def asked(question: str, lowest: float, before: str) -> Asked:
    """Ask for a level's value; guesses lie on the one axis of all."""
    places = (across(-REACH), across(REACH))
    values = (-REACH, REACH)
    return Asked(question, lowest, before, "x", values, places, (INTEGERS + 14, ERROR))


def shortened(name: str, most: int) -> str:
    """Return a name of at most so many letters: of a long one, its end."""
    return name if len(name) <= most else "…" + name[1 - most :]


def across(value: float) -> float:
    """Return the x of a value."""
    return WIDTH / 2 + value / REACH * (WIDTH / 2 - 30)


def _up(value: float) -> float:
    return STAIRS - value * UNIT


@cache
def _with_room(levels: tuple[float, ...], chosen: int, zero: int) -> list[int]:
    """Return which levels have their integer under them, so that none touch."""
    last = len(levels) - 1
    needs = DIGIT * len(str(last)) + GAP
    apart = across(levels[1]) - across(levels[0])
    others = range(last + 1) if apart > 2 else ()
    kept: list[int] = []
    for k in (chosen, 0, last, zero, chosen - 1, chosen + 1, *others):
        if 0 <= k <= last and all(abs(k - other) * apart > needs for other in kept):
            kept.append(k)
    return kept


@cache
def axis(observed: tuple[float, ...]) -> str:
    """Draw the one axis of all, and the observed values, where they are more than two."""
    grid = "".join(f"M{number(across(v))} {LINE}V{ERROR}" for v in TICKS)
    names = "".join(label(across(v), ERROR + 20, f"{v}", "middle", TEXT) for v in TICKS)
    base = f"M{number(across(-REACH))} {ERROR}H{number(across(REACH))}"
    top = f"M{number(across(-REACH))} {LINE}H{number(across(REACH))}"
    return (
        f'<path class="line" d="{grid}" stroke="#888" stroke-opacity="0.3"/>'
        f'<path class="line" d="{base}{top}" stroke="#888"/>'
        + names
        + (_rug(observed) if len(observed) > 2 else "")
        + label(across(REACH), ERROR + 20, "value", "end", TEXT)
        + label(across(-REACH), STAIRS - 56, "comes back as", size=TEXT)
    )


def _rug(observed: tuple[float, ...]) -> str:
    places = sorted({round(across(w)) for w in observed if abs(w) <= REACH})
    path = "".join(f"M{x} {LINE - 18}v10" for x in places)
    marks = f'<path class="line" d="{path}" stroke="#888"/>'
    return marks + label(14, INTEGERS, f"{len(observed)} weights")


@cache
def curves(levels: tuple[float, ...]) -> str:
    """Draw levels, staircase and error, which are the same for every value."""
    low, high, step = levels[0], levels[-1], levels[1] - levels[0]
    # Closer than that, ticks and steps run together: they are drawn as a bar and a line.
    drawn = levels if across(step) - across(0) > 3 else (low, high)
    ticks = "".join(f"M{number(across(v))} {LINE - 7}v14" for v in drawn)
    between = f"M{number(across(low))} {LINE}H{number(across(high))}"
    stairs, tents = [(-REACH, low)], [(low, 0.0)]
    for one, other in pairwise(drawn):
        middle = (one + other) / 2
        if drawn is levels:
            stairs += [(middle, one), (middle, other)]
            tents += [(middle, step / 2)]
        tents += [(other, 0.0)]
    if drawn is not levels:
        stairs += [(low, low), (high, high)]
    stairs += [(REACH, high)]
    wide = 4 if drawn is levels else 14
    style = f'stroke="{COLOURS[0]}" fill="none"'
    return "".join(
        (
            f'<path d="{between}" {style} stroke-width="{wide}"/>',
            f'<path d="{ticks}" {style}/>',
            _identity(),
            polyline([(across(x), _up(y)) for x, y in stairs], 0),
            polyline([(across(x), ERROR - y * UNIT) for x, y in tents], 0),
            label(
                across((low + high) / 2),
                ERROR - step / 2 * UNIT - 7,
                "rounding",
                "middle",
                TEXT,
            ),
            *(clipping(end, side) for end, side in ((low, -1), (high, 1))),
        )
    )


def _identity() -> str:
    """Draw where a value would come back as it was."""
    ends = [(across(v), _up(v)) for v in (-REACH, REACH)]
    path = " ".join(f"{number(x)},{number(y)}" for x, y in ends)
    style = 'class="line" stroke="#888" stroke-dasharray="5 4" fill="none"'
    return f'<polyline points="{path}" {style}/>'


def clipping(end: float, side: int, floor: float = ERROR, unit: float = UNIT) -> str:
    """Draw the error beyond the last level on one side: hatched, with its name."""
    colour, edge = COLOURS[1], REACH * side
    height = abs(edge - end) * unit
    start, stop = across(end), across(edge)
    wide = abs(stop - start)
    hatch = "".join(
        f"M{number(start + side * x)} {floor}v{number(-height * x / wide)}"
        for x in range(5, int(wide) + 1, 5)
    )
    slope = f"{number(start)},{floor} {number(stop)},{number(floor - height)}"
    anchor = "start" if side < 0 else "end"
    return (
        f'<path d="{hatch}" stroke="{colour}" stroke-opacity="0.6"/>'
        f'<polyline points="{slope}" fill="none" stroke="{colour}" stroke-width="2"/>'
        + label(stop, floor - height - 7, "clipping", anchor, TEXT)
    )
