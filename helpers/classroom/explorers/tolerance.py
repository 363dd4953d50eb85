"""Which outputs of an ONNX file would fail at a tolerance, absolute or relative?"""

from collections.abc import Mapping
from dataclasses import replace

from helpers.classroom.charts import Asked, Chart, bars, covered, stack
from helpers.classroom.charts.bars import GUTTER
from helpers.classroom.charts.drawing import WIDTH, bar, label, picture, sheet
from helpers.classroom.panel import Choice, Guess, Menu, Panel, Range
from helpers.onnx_export import Parity

KINDS = ("absolute", "relative", "both")
LOWEST, HIGHEST, START = -8, 1, -4


def tolerances(power: int, kind: str) -> dict[str, float]:
    """Return rtol and atol that the controls stand on."""
    return {
        "rtol": 0.0 if kind == "absolute" else 10.0**power,
        "atol": 0.0 if kind == "relative" else 10.0**power,
    }


def draw(parities: Mapping[str, Parity], power: int, kind: str, file: str) -> Chart:
    """Draw the share of failing numbers for every file, and output by output for one.

    Args:
        parities: name of a file -> what `check_parity` found.
        power: the tolerance is 10 to this power.
        kind: one of KINDS.
        file: the one to be looked at output by output.
    """
    failing = {
        name: parity.failing(**tolerances(power, kind)) for name, parity in parities.items()
    }
    counts = {name: int(some.sum()) for name, some in failing.items()}
    total = failing[file].numel()
    told = "; ".join(f"{name} {count:,}" for name, count in counts.items())
    text = (
        f"Tolerance 1e{power}, {kind}. Of {total:,} numbers would fail: {told}. "
        f"{file}: {'fails' if counts[file] else 'passes'}."
    )
    shares = [100 * count / total for count in counts.values()]
    above = bars(
        f"Numbers that fail at 1e{power}, {kind}",
        [f"{name}: {'fails' if count else 'passes'}" for name, count in counts.items()],
        {"": shares},
        unit="%",
        digits=1,
        largest=100,
        text=text,
    )
    by_output = 100 * failing[file].double().mean(dim=0)
    below = bars(
        f"{file}, output by output",
        [f"output {k}" for k in range(len(by_output))],
        {"": by_output.tolist()},
        unit="%",
        digits=1,
        largest=100,
        text=text,
    )
    asked = _asked(parities, above.height + below.height)
    if not asked:
        return stack([above, below], text)
    asked = replace(asked, before=f"Tolerance 1e{power}, {kind}; {file}.")
    charts = [_covered(above), _covered(below), _passing(parities, kind, text)]
    return replace(stack(charts, text), guess=asked)


def passes_from(parity: Parity, kind: str) -> int | None:
    """Return the least power of ten at which a file passes; None if it never does."""
    powers = range(LOWEST, HIGHEST + 1)
    passing = (p for p in powers if not parity.failing(**tolerances(p, kind)).any())
    return next(passing, None)


def _asked(parities: Mapping[str, Parity], top: float) -> Asked | None:
    first, *others = parities
    least = {name: passes_from(parity, "absolute") for name, parity in parities.items()}
    truth = least[first]
    if truth is None or any(least[o] is not None and least[o] <= truth for o in others):
        return None  # no tolerance keeps the first apart from the others
    return Asked(
        f"Which absolute tolerance is the smallest that lets {first} pass? It holds back "
        "all others.",
        truth=truth,
        before="",
        along="x",
        values=(LOWEST, HIGHEST),
        places=(_x(LOWEST), _x(HIGHEST)),
        across=(top + 34, top + ROWS + 20 * len(parities)),
    )


def _covered(chart: Chart) -> Chart:
    paper, title, *rest = chart.parts
    return sheet(chart.height, [paper, title, *covered(rest)], chart.text)


ROWS, RIGHT = 52, WIDTH - 40  # where the rows begin, and where the axis ends


def _x(power: float) -> float:
    return GUTTER + (power - LOWEST) / (HIGHEST - LOWEST) * (RIGHT - GUTTER)


def _passing(parities: Mapping[str, Parity], kind: str, text: str) -> Chart:
    parts = []
    for row, (name, parity) in enumerate(parities.items()):
        y = ROWS + 20 * row
        parts.append(label(GUTTER - 10, y + 12, name, "end"))
        if (power := passes_from(parity, kind)) is not None:
            parts += covered([bar(_x(power), y, RIGHT - _x(power), 14, 0)])
    base = ROWS + 20 * len(parities)
    for power in range(LOWEST, HIGHEST + 1):
        parts.append(label(_x(power), base + 16, f"1e{power}", "middle", 12))
    return picture(f"Each file passes from here on, {kind}", base + 28, parts, text)


def tolerance(parities: Mapping[str, Parity]) -> Panel:
    """Return the panel; every picture is drawn ahead.

    Args:
        parities: name of a file -> what `check_parity` found, two files or more, all of
            them over the same inputs.
    """
    controls = [
        Range("power", "Tolerance: 10 to the power of", LOWEST, HIGHEST, START),
        Choice("kind", "Tolerance is", KINDS, "absolute"),
        Menu("file", "Look closer at", tuple(parities), next(iter(parities))),
    ]

    def draw_now(power: int, kind: str, file: str) -> Chart:
        return draw(parities, power, kind, file)

    guess = None
    if _asked(parities, 0):
        guess = Guess(Range("guess", "My guess", LOWEST, HIGHEST, -6), "1e{}")
    title = "Which outputs would fail?"
    return Panel(title, controls, draw_now, ahead=True, guess=guess)
