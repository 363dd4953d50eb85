"""Lines and points over an axis."""

from collections.abc import Mapping, Sequence

from helpers.classroom.charts.axes import Axes
from helpers.classroom.charts.drawing import (
    Chart,
    label,
    legend,
    mark,
    polyline,
    require_few,
)


def lines(
    title: str,
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    x_label: str,
    y_label: str,
    text: str,
) -> Chart:
    """Draw lines through (x, y) points; each has its own dash and its name at the end.

    Raises:
        ValueError: there are more than 4 series, one has no points, or a point is not
            finite.
    """
    require_few(series, most=4)
    for name, points in series.items():
        if len(points) == 0:
            raise ValueError(f"series {name!r} has no points")
    axes = Axes(series, x_label, y_label, right=110)
    ends = []
    for k, (name, points) in enumerate(series.items()):
        placed = [(axes.x(x), axes.y(y)) for x, y in points]
        axes.parts.append(polyline(placed, k))
        axes.parts += [mark(x, y, k) for x, y in placed]
        ends.append((placed[-1][1], placed[-1][0], name))
    # Lines that end close together would write one name over the other: names are moved
    # apart, towards the middle of the picture.
    down = sum(y for y, _, _ in ends) / len(ends) < axes.height / 2
    ends.sort(reverse=not down)
    place = ends[0][0]
    for k, (y, x, name) in enumerate(ends):
        if k:
            place = max(y, place + 16) if down else min(y, place - 16)
        axes.parts.append(label(x + 10, place + 4, name))
    return axes.picture(title, text)


def scatter(
    title: str,
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    x_label: str,
    y_label: str,
    text: str,
) -> Chart:
    """Draw (x, y) points; each series has its own shape.

    Raises:
        ValueError: there are more than 5 series or no point at all, or one is not finite.
    """
    require_few(series, most=5)
    axes = Axes(series, x_label, y_label, right=20)
    axes.parts += legend(list(series), 40)
    for k, points in enumerate(series.values()):
        axes.parts += [mark(axes.x(x), axes.y(y), k) for x, y in points]
    return axes.picture(title, text)
