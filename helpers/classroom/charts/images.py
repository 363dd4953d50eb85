"""Small grey pictures, side by side."""

from collections.abc import Sequence
from dataclasses import replace

from helpers.classroom.charts.drawing import Chart, label, number, picture, require_finite
from helpers.classroom.charts.sheets import COLUMN, piece, side_by_side

SIZE = 48  # of one picture
PITCH, ROW = 58, 78  # from one to the next, to the right and down
LEFT, TOP = 16, 40  # where the first one stands
A_ROW = 10  # pictures
HALF = 306, 290  # of a row on a sheet: how wide, and from one to the next
# Of a size with a fraction, pixels would have gaps between them.
SHARP = '<g shape-rendering="crispEdges">'


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
    rows = max(1, -(-len(images) // A_ROW))
    halves: list[list[str]] = [[] for _ in range(2 * rows)]
    for i, (image, caption) in enumerate(zip(images, captions, strict=True)):
        down, column = divmod(i, A_ROW)
        left, top = LEFT + PITCH * column, TOP + ROW * down
        name = label(left + SIZE / 2, top + SIZE + 15, caption, "middle")
        halves[2 * i // A_ROW] += [*_pixels(image, left, top), name]
    parts = [part for half in halves for part in half]
    chart = picture(title, TOP + ROW * rows, parts, text)
    return replace(chart, sheets=_in_halves(chart.parts[1], halves))


def _in_halves(title: str, halves: Sequence[Sequence[str]]) -> str:
    wide, pitch = HALF
    sheets = [side_by_side(piece(0, 0, COLUMN, TOP, [title]))]
    for k, pair in enumerate(zip(halves[::2], halves[1::2], strict=True)):
        pieces = (
            piece(pitch * i, TOP + ROW * k, wide, ROW, [SHARP, *half, "</g>"])
            for i, half in enumerate(pair)
        )
        sheets.append(side_by_side(*pieces))
    return "\n".join(sheets)


def _pixels(image: Sequence[Sequence[float]], left: float, top: float) -> list[str]:
    side = SIZE / max(len(image), 1)
    # One path for each shade keeps ten pictures in a few kilobytes.
    shades: dict[int, str] = {}
    for r, row in enumerate(image):
        require_finite(row)
        for c, ink in enumerate(row):
            shade = round(255 * (1 - min(max(float(ink), 0), 1)))
            spot = f"M{number(left + c * side)} {number(top + r * side)}"
            square = f"{spot}h{side:g}v{side:g}h-{side:g}z"
            shades[shade] = shades.get(shade, "") + square
    return [
        f'<path fill="#{shade:02x}{shade:02x}{shade:02x}" d="{path}"/>'
        for shade, path in sorted(shades.items())
    ]
