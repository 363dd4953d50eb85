"""A picture cut into sheets, laid side by side in a panel, or in one column.

Only a live panel shows them (panel.css says how); anywhere else it is the one picture.
Neither a guess's line nor a handle can stand on a sheet.
"""

from collections.abc import Sequence

from helpers.classroom.charts.drawing import FONT, number

# The widest sheet. In a phone's column of 356 px, letters of 12 units are 11 px on it.
COLUMN = 384


def piece(
    left: float, top: float, width: float, height: float, parts: Sequence[str]
) -> str:
    """Show parts through a window on the picture, which may overlap with the next one."""
    window = " ".join(map(number, (left, top, width, height)))
    place = f"--left:{number(left)};--wide:{number(width)}"
    inside = "\n".join(parts)
    return (
        f'<svg viewBox="{window}" style="{place}" font-family="{FONT}">\n{inside}\n</svg>'
    )


def side_by_side(*pieces: str) -> str:
    """Put pieces into a row, which is as wide as a picture where there is room."""
    return '<div class="sheets">\n' + "\n".join(pieces) + "\n</div>"
