"""Places on a picture that can be dragged, where the picture stands in a live panel."""

from helpers.classroom.charts.drawing import number


def handle(
    control: str,
    ends: tuple[float, float],
    band: tuple[float, float],
    grip: float,
    *,
    at: float | None = None,
) -> str:
    """Mark a band, from left to right, in which a control's value is dragged.

    The mark itself is not seen. The panel lays a slider over it, with a grip that shows
    where it stands; elsewhere the picture stays a picture.

    Args:
        control: name of a Range or Stops of the panel.
        ends: the x of the control's first and of its last value.
        band: top and bottom of where a finger or a mouse takes hold.
        grip: the y of the grip.
        at: the x where the grip stands; at the control's value where None.
    """
    (start, end), (top, bottom) = ends, band
    margin = 14  # a finger is not exact
    box = (start - margin, top, end - start + 2 * margin, bottom - top)
    x, y, width, height = map(number, box)
    shown = "" if at is None else f' data-at="{number(at)}"'
    return (
        f'<rect fill="none" x="{x}" y="{y}" width="{width}" height="{height}" '
        f'data-control="{control}" data-start="{number(start)}" data-end="{number(end)}" '
        f'data-grip="{number(grip)}"{shown}/>'
    )
