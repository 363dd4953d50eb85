"""Bars, side by side."""

from collections.abc import Mapping, Sequence

from helpers.classroom.charts.drawing import (
    WIDTH,
    Chart,
    bar,
    label,
    legend,
    picture,
    require_few,
    require_finite,
)

GUTTER = 200  # for the labels, left of the bars
FOR_AMOUNTS = 90  # right of the longest bar
THICK = 18  # of a bar, with the gap to the next one
BETWEEN_GROUPS = 14
LEGEND, UNDER_TITLE, UNDER_LEGEND = 40, 40, 58  # where each begins, from the top


def bars(
    title: str,
    labels: Sequence[str],
    series: Mapping[str, Sequence[float]],
    *,
    unit: str = "",
    digits: int = 0,
    largest: float | None = None,
    text: str = "",
) -> Chart:
    """Draw horizontal bars, one group a label, one bar a series.

    Args:
        title: stands above the picture.
        labels: one for each group, at most about 30 characters.
        series: name -> one value of at least 0 for each label.
        unit: written after each value.
        digits: decimals of the values.
        largest: the value that fills the width, the same for pictures to be compared;
            the largest of the values where None.
        text: the words; made from the values where empty.

    Raises:
        ValueError: there are more than 3 series or nothing to draw, or a series has not
            one value for each label, or a value that is below 0, above `largest` or not
            finite.
    """
    require_few(series, most=3)
    if not labels or not series:
        raise ValueError("there is nothing to draw: expected a label and a series at least")
    require_finite([] if largest is None else [largest])
    for name, values in series.items():
        _require_amounts(name, values, len(labels), largest)
    if largest is None:
        largest = max(max(values) for values in series.values())
    several = len(series) > 1
    parts = legend(list(series), LEGEND, bars=True) if several else []
    top, words = UNDER_LEGEND if several else UNDER_TITLE, []
    for row, name in enumerate(labels):
        centre = top + THICK * len(series) / 2
        parts.append(label(GUTTER - 10, centre + 3, name, "end"))
        amounts = []
        for k, (what, values) in enumerate(series.items()):
            amount = f"{values[row]:.{digits}f} {unit}".strip()
            width = values[row] / (largest or 1) * (WIDTH - GUTTER - FOR_AMOUNTS)
            y = top + k * THICK
            parts.append(bar(GUTTER, y, width, THICK - 3, k))
            parts.append(label(GUTTER + width + 6, y + 12, amount))
            amounts.append(f"{what} {amount}" if several else amount)
        words.append(f"{name}: {', '.join(amounts)}")
        top += THICK * len(series) + BETWEEN_GROUPS
    text = text or f"{title}. {'; '.join(words)}."
    return picture(title, top + 6, parts, text)


def _require_amounts(
    name: str, values: Sequence[float], labels: int, largest: float | None
) -> None:
    if len(values) != labels:
        raise ValueError(f"series {name!r} has {len(values)} values for {labels} labels")
    require_finite(values)
    if any(value < 0 for value in values):
        raise ValueError(f"series {name!r} has a value below 0; bars start at 0")
    if largest is not None and max(values) > largest:
        raise ValueError(
            f"series {name!r} has the value {max(values)}; expected at most `largest`, "
            f"which is {largest}"
        )
