"""Width, zeros and bits together: where does a model land between size and accuracy?"""

from collections.abc import Sequence

from helpers.classroom.charts import Chart
from helpers.classroom.charts.axes import Axes
from helpers.classroom.charts.drawing import COLOURS, WIDTH, label, legend, mark, number
from helpers.classroom.data.small_models import Results
from helpers.classroom.panel import Choice, Panel
from helpers.quantization import pareto_front

YOURS, WORDS = "your choice", 76  # and how wide that is


def draw(results: Results, width: str, zeros: str, bits: str) -> Chart:
    """Draw all models as points, those that no other beats, and the chosen one.

    Args:
        results: what `measure` returned.
        width: channels of the first layer, as on the control.
        zeros: percent, as on the control.
        bits: of each weight, as on the control.
    """
    size, right = results[int(width), int(zeros.removesuffix(" %")), int(bits)]
    front = pareto_front(list(results.values()))
    place = "No other model beats it" if (size, right) in front else "Another beats it"
    better = [p for p in front if p[0] <= size and p[1] >= right and p != (size, right)]
    if better:
        other, more = better[-1]
        place += f": {100 * more:.1f} % in {other / 1000:.1f} kB"
    text = (
        f"Width {width}, {zeros} zeros, {bits} bits: {100 * right:.1f} % right in "
        f"{size / 1000:.1f} kB. {place}."
    )
    every = [(size / 1000, 100 * right) for size, right in results.values()]
    names = ("kB, zeros stored as one bit", "% of the test images right")
    axes = Axes({"": every}, *names, right=20, log=True)
    axes.parts += legend(["all", "beaten by none", YOURS], 40, shapes=(0, 1, 4))
    placed = [(axes.x(x), axes.y(y)) for x, y in every]
    axes.parts += [mark(x, y, 0) for x, y in placed]
    axes.parts += [mark(axes.x(x / 1000), axes.y(100 * y), 1) for x, y in front]
    axes.parts += _ring(axes.x(size / 1000), axes.y(100 * right), placed)
    return axes.picture("Cut, pruned, quantized", text)


def _ring(x: float, y: float, points: Sequence[tuple[float, float]]) -> list[str]:
    # The words go towards the middle, as far as no point lies under them.
    anchor, left = ("end", x - WORDS) if x > WIDTH / 2 else ("start", x)
    way = 1 if y < 160 else -1
    base = y + 5 + way * 20
    while any(0 < u - left + 5 < WORDS + 10 and abs(v - base + 5) < 12 for u, v in points):
        base += 4 * way
    end = base - 5 - 8 * way
    style = f'fill="none" stroke="{COLOURS[4]}" stroke-width="2"'
    return [
        f'<circle cx="{number(x)}" cy="{number(y)}" r="8" {style}/>',
        f'<path d="M{number(x)} {number(y + 8 * way)}V{number(end)}" {style}/>',
        label(x, base, YOURS, anchor),
    ]


def smaller(results: Results) -> Panel:
    """Return the panel: width, zeros and bits, held in the browser.

    Args:
        results: what `measure` returned.
    """
    widths, zeros, bits = (sorted({key[k] for key in results}) for k in range(3))
    controls = [
        Choice("width", "Width", tuple(map(str, widths)), str(widths[-1])),
        Choice("zeros", "Zeros", tuple(f"{z} %" for z in zeros), f"{zeros[0]} %"),
        Choice("bits", "Bits", tuple(map(str, bits)), str(bits[-1])),
    ]
    return Panel(
        "Three ways to be smaller",
        controls,
        lambda **values: draw(results, **values),
        ahead=True,
    )
