"""Small grey pictures, side by side."""

from collections.abc import Sequence

from helpers.classroom.charts.drawing import Chart, label, number, picture, require_finite

SIZE = 48  # of one picture
PITCH, ROW = 58, 78  # from one to the next, to the right and down
LEFT, TOP = 16, 40  # where the first one stands
A_ROW = 10  # pictures


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
    parts = []
    for i, (image, caption) in enumerate(zip(images, captions, strict=True)):
        row, column = divmod(i, A_ROW)
        left, top = LEFT + PITCH * column, TOP + ROW * row
        parts += _pixels(image, left, top)
        parts.append(label(left + SIZE / 2, top + SIZE + 15, caption, "middle"))
    rows = -(-len(images) // A_ROW)
    return picture(title, TOP + ROW * rows, parts, text)


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
