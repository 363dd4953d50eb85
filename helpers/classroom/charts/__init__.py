"""A handful of functions from data to an SVG picture, in one style.

Each returns a `Chart`: the picture, and a sentence that says the same in words.
Series differ in shape or pattern as well as in colour.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from IPython.display import display

from helpers.classroom.charts.drawing import (
    COLOURS,
    WIDTH,
    Axes,
    arrow,
    bar,
    label,
    legend,
    mark,
    number,
    picture,
    polyline,
    require_finite,
    sheet,
)


@dataclass(frozen=True)
class Chart:
    """A picture and its words.

    Attributes:
        svg: a complete svg element, WIDTH units wide.
        text: what the picture shows, in a sentence or two, numbers included.
        links: (label, path) pairs that a panel offers below the picture; a path is
            relative to the project's root.
        table: rows of texts that a panel shows below the words, the headings first.
        code: a text that a panel offers to copy.
    """

    svg: str
    text: str
    links: tuple[tuple[str, str], ...] = ()
    table: tuple[tuple[str, ...], ...] = ()
    code: str = ""

    def _ipython_display_(self) -> None:
        # JupyterLab shows an SVG output as an image without a text alternative, so the
        # words stand below it, for everyone.
        display({"image/svg+xml": self.svg, "text/plain": "[picture]"}, raw=True)
        print(self.text)


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
    _require_few(series, most=3)
    if not labels or not series:
        raise ValueError("there is nothing to draw: expected a label and a series at least")
    require_finite([] if largest is None else [largest])
    for name, values in series.items():
        if len(values) != len(labels):
            raise ValueError(
                f"series {name!r} has {len(values)} values for {len(labels)} labels"
            )
        require_finite(values)
        if any(value < 0 for value in values):
            raise ValueError(f"series {name!r} has a value below 0; bars start at 0")
        if largest is not None and max(values) > largest:
            raise ValueError(
                f"series {name!r} has the value {max(values)}; expected at most `largest`, "
                f"which is {largest}"
            )
    gutter, thick, top = 200, 18, 58 if len(series) > 1 else 40
    group = thick * len(series) + 14
    height = top + group * len(labels) + 6
    if largest is None:
        largest = max(max(values) for values in series.values())
    room = WIDTH - gutter - 90
    several = len(series) > 1
    parts = legend(list(series), 40, bars=True) if several else []
    words = []
    for row, name in enumerate(labels):
        y = top + row * group
        parts.append(label(gutter - 10, y + thick * len(series) / 2 + 3, name, "end"))
        amounts = []
        for k, (what, values) in enumerate(series.items()):
            amount = f"{values[row]:.{digits}f} {unit}".strip()
            end, line = gutter + values[row] / (largest or 1) * room, y + k * thick
            parts.append(bar(gutter, line, end - gutter, thick - 3, k))
            parts.append(label(end + 6, line + 12, amount))
            amounts.append(f"{what} {amount}" if several else amount)
        words.append(f"{name}: {', '.join(amounts)}")
    text = text or f"{title}. {'; '.join(words)}."
    return Chart(picture(title, height, parts, text), text)


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
    _require_few(series, most=4)
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
    return Chart(axes.picture(title, text), text)


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
    _require_few(series, most=5)
    axes = Axes(series, x_label, y_label, right=20)
    axes.parts += legend(list(series), 40)
    for k, points in enumerate(series.values()):
        axes.parts += [mark(axes.x(x), axes.y(y), k) for x, y in points]
    return Chart(axes.picture(title, text), text)


def histogram(
    title: str,
    values: Sequence[float],
    *,
    bins: int = 40,
    x_label: str,
    text: str,
    ticks: Sequence[float] = (),
    height: int = 320,
) -> Chart:
    """Draw how many values fall into each of equally wide bins.

    Args:
        title: stands above the picture.
        values: what is counted.
        bins: how many.
        x_label: what the values are.
        text: the words.
        ticks: places on the x axis to mark with a dashed line, such as quantization
            levels; left out outside the values, and where there are 64 or more.
        height: of the picture.

    Raises:
        ValueError: there are no values, one is not finite, or bins is below 1.
    """
    if bins < 1:
        raise ValueError(f"bins is {bins}; expected at least 1")
    if not len(values):
        raise ValueError("there are no values to count")
    require_finite(values)
    low, high = min(values), max(values)
    width = (high - low) / bins or 1.0
    counts = [0] * bins
    for value in values:
        counts[min(int((value - low) / width), bins - 1)] += 1
    corners = [(low, 0), (low + bins * width, max(counts))]
    axes = Axes({"": corners}, x_label, "count", right=20, height=height)
    for k, count in enumerate(counts):
        left, right = axes.x(low + k * width), axes.x(low + (k + 1) * width)
        top, base = axes.y(count), axes.y(0)
        axes.parts.append(bar(left, top, right - left - 1, base - top, 0))
    inside = [tick for tick in ticks if low <= tick <= high]
    # More lines than that would be a block; the words say how many there are.
    if len(inside) < 64:
        base, top = number(axes.y(0)), number(axes.y(max(counts)))
        path = "".join(f"M{number(axes.x(tick))} {base}V{top}" for tick in inside)
        style = f'stroke="{COLOURS[1]}" stroke-dasharray="5 3"'
        axes.parts.append(f'<path d="{path}" {style}/>')
    return Chart(axes.picture(title, text), text)


def stack(charts: Sequence[Chart], text: str) -> Chart:
    """Put charts under one another, as one picture with one sentence.

    Raises:
        ValueError: there is no chart.
    """
    if not charts:
        raise ValueError("there is no chart to stack")
    parts, top = [], 0.0
    for chart in charts:
        head, _, inside = chart.svg.removesuffix("</svg>").partition(">")
        parts.append(f'<g transform="translate(0 {number(top)})">{inside}</g>')
        top += float(head.partition('height="')[2].partition('"')[0])
    return Chart(sheet(top, parts, text), text)


def image_strip(
    title: str,
    images: Sequence[Sequence[Sequence[float]]],
    captions: Sequence[str],
    *,
    text: str,
) -> Chart:
    """Draw small grey pictures side by side, ten to a row, a caption under each.

    Args:
        title: stands above the picture.
        images: each (rows, columns), 0 for paper and 1 for ink, up to about 16 x 16.
        captions: one for each image, at most about 8 characters.
        text: the words.

    Raises:
        ValueError: there are not as many captions as images, or a pixel is not finite.
    """
    if len(images) != len(captions):
        raise ValueError(f"got {len(images)} images and {len(captions)} captions")
    size, pitch, top = 48, 58, 40
    parts = []
    for i, (image, caption) in enumerate(zip(images, captions, strict=True)):
        left, y = 16 + pitch * (i % 10), top + 78 * (i // 10)
        side = size / max(len(image), 1)
        # One path for each shade keeps ten pictures in a few kilobytes.
        shades: dict[int, str] = {}
        for r, row in enumerate(image):
            require_finite(row)
            for c, ink in enumerate(row):
                shade = round(255 * (1 - min(max(float(ink), 0), 1)))
                spot = f"M{number(left + c * side)} {number(y + r * side)}"
                shades[shade] = (
                    shades.get(shade, "") + f"{spot}h{side:g}v{side:g}h-{side:g}z"
                )
        parts += [
            f'<path fill="#{shade:02x}{shade:02x}{shade:02x}" d="{path}"/>'
            for shade, path in sorted(shades.items())
        ]
        parts.append(label(left + size / 2, y + size + 15, caption, "middle"))
    height = top + 78 * (-(-len(images) // 10))
    return Chart(picture(title, height, parts, text), text)


def largest_error(values: Sequence[float], rounded: Sequence[float]) -> int:
    """Return the index, from 0, of the value that its rounded one misses by most."""
    errors = [abs(a - b) for a, b in zip(values, rounded, strict=True)]
    return errors.index(max(errors))


def rounding(
    title: str,
    values: Sequence[float],
    rounded: Sequence[float],
    levels: Sequence[float],
    *,
    text: str,
) -> Chart:
    """Draw values and the levels they are rounded to: ring, dot, the error between.

    An arrow points at the largest error. From 64 levels in sight on, which would be a
    grey block, their number is written instead.

    Args:
        title: stands above the picture.
        values: the floats before; at most about 50.
        rounded: the floats after, one for each.
        levels: every value that can be represented, drawn as horizontal lines.
        text: the words.

    Raises:
        ValueError: there are no values, not as many rounded ones, or one is not finite.
    """
    if not len(values) or len(values) != len(rounded):
        raise ValueError(
            f"got {len(values)} values and {len(rounded)} rounded ones; "
            "expected the same number of both, and at least one"
        )
    require_finite([*values, *rounded])
    reach = max(abs(value) for value in [*values, *rounded]) or 1.0
    # Above and below all marks there is room for the words "largest error".
    edge = min(1.4 * reach, 1e300)
    corners = [(0, -edge), (len(values) + 1, edge)]
    axes = Axes({"": corners}, "number of the weight", "value", right=20, height=340)
    near = [level for level in levels if abs(level) <= 1.001 * reach]
    grid = near if len(near) < 64 else []
    left, right = axes.x(0), axes.x(len(values) + 1)
    path = "".join(f"M{number(left)} {number(axes.y(v))}H{number(right)}" for v in grid)
    axes.parts.append(f'<path class="line" stroke="#bbb" stroke-width="0.7" d="{path}"/>')
    axes.parts += legend(["exact", "rounded"], 40, shapes=(4, 0))
    if len(grid) < len(near):
        too_many = f"{len(levels)} levels: too close to draw"
        axes.parts.append(label(right, 44, too_many, "end"))
    for i, (value, after) in enumerate(zip(values, rounded, strict=True), start=1):
        x = axes.x(i)
        axes.parts.append(polyline([(x, axes.y(value)), (x, axes.y(after))], 1, dash=0))
        axes.parts.append(mark(x, axes.y(after), 0))
        axes.parts.append(mark(x, axes.y(value), 4))
    worst = largest_error(values, rounded)
    if values[worst] != rounded[worst]:
        pair, x = (values[worst], rounded[worst]), axes.x(worst + 1)
        # The words stay inside the plot, where they may not be centred on the arrow.
        middle = min(max(x, left + 45), right - 45)
        top, base = axes.y(edge), axes.y(-edge)
        if sum(pair) >= 0:
            line, start, end = top + 11, top + 15, axes.y(max(pair)) - 6
        else:
            line, start, end = base - 5, base - 16, axes.y(min(pair)) + 6
        axes.parts.append(label(middle, line, "largest error", "middle", 12))
        axes.parts.append(arrow(x, start, end))
    return Chart(axes.picture(title, text), text)


def _require_few(series: Mapping[str, object], most: int) -> None:
    if len(series) > most:
        raise ValueError(f"{len(series)} series are too many to tell apart, at most {most}")
