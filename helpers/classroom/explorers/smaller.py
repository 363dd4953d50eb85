"""Width, zeros and bits together: where does a model land between size and accuracy?"""

from helpers.classroom.charts import Chart, scatter
from helpers.classroom.data.small_models import Results
from helpers.classroom.panel import Choice, Panel
from helpers.quantization import pareto_front


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
    series = {
        "all": [(size / 1000, 100 * right) for size, right in results.values()],
        "beaten by none": [(size / 1000, 100 * right) for size, right in front],
        "chosen": [(size / 1000, 100 * right)],
    }
    return scatter(
        "Cut, pruned, quantized",
        series,
        x_label="kB, zeros stored as one bit",
        y_label="% of the test images right",
        text=text,
    )


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
