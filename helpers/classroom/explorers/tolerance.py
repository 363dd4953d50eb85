"""Which outputs of an ONNX file would fail at a tolerance, absolute or relative?"""

from collections.abc import Mapping

from helpers.classroom.charts import Chart, bars, stack
from helpers.classroom.panel import Choice, Menu, Panel, Range
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
    return stack([above, below], text)


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

    return Panel("Which outputs would fail?", controls, draw_now, ahead=True)
