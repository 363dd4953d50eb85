"""Values, the levels that they are rounded to, and the errors between."""

from collections.abc import Sequence

from helpers.classroom.charts.asked import covered
from helpers.classroom.charts.axes import Axes
from helpers.classroom.charts.drawing import (
    TOO_MANY_LINES,
    Chart,
    arrow,
    label,
    legend,
    mark,
    number,
    polyline,
    require_finite,
)

DISC, RING = 0, 4  # shapes of `mark`
HEADROOM = 1.4  # above and below all marks there is room for the words "largest error"
HALF_OF_WORDS = 45
BEFORE_MARK = 6  # where the arrow ends


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
    ask: bool = False,
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
        ask: cover dots and errors until the learner has guessed.

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
    edge = min(HEADROOM * reach, 1e300)
    corners = [(0, -edge), (len(values) + 1, edge)]
    axes = Axes({"": corners}, "number of the weight", "value", right=20, height=340)
    left, right = axes.x(0), axes.x(len(values) + 1)
    near = [level for level in levels if abs(level) <= 1.001 * reach]
    grid = near if len(near) < TOO_MANY_LINES else []
    path = "".join(f"M{number(left)} {number(axes.y(v))}H{number(right)}" for v in grid)
    axes.parts.append(f'<path class="line" stroke="#bbb" stroke-width="0.7" d="{path}"/>')
    axes.parts += legend(["exact", "rounded"], 40, shapes=(RING, DISC))
    if len(grid) < len(near):
        too_many = f"{len(levels)} levels: too close to draw"
        axes.parts.append(label(right, 44, too_many, "end"))
    dots, rings = [], []
    for i, (value, after) in enumerate(zip(values, rounded, strict=True), start=1):
        x = axes.x(i)
        dots.append(polyline([(x, axes.y(value)), (x, axes.y(after))], 1, dash=0))
        dots.append(mark(x, axes.y(after), DISC))
        rings.append(mark(x, axes.y(value), RING))
    worst = largest_error(values, rounded)
    if values[worst] != rounded[worst]:
        # The words stay inside the plot, where they may not be centred on the arrow.
        x = axes.x(worst + 1)
        middle = min(max(x, left + HALF_OF_WORDS), right - HALF_OF_WORDS)
        pair = (values[worst], rounded[worst])
        if sum(pair) >= 0:  # in the room above the marks, or in that below them
            line, start = axes.y(edge) + 11, axes.y(edge) + 15
            end = axes.y(max(pair)) - BEFORE_MARK
        else:
            line, start = axes.y(-edge) - 5, axes.y(-edge) - 16
            end = axes.y(min(pair)) + BEFORE_MARK
        dots.append(label(middle, line, "largest error", "middle", 12))
        dots.append(arrow(x, start, end))
    axes.parts += [*covered(dots, ask), *rings]
    return axes.picture(title, text)
