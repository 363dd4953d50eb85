"""The picture of the trade-off explorer: result, size and accuracy, noise, images."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch.nn.functional import adaptive_avg_pool2d

from helpers.classroom.charts import Chart, image_strip, stack
from helpers.classroom.charts.drawing import (
    COLOURS,
    WIDTH,
    label,
    legend,
    mark,
    number,
    polyline,
    sheet,
)
from helpers.classroom.charts.sheets import COLUMN, piece, side_by_side
from helpers.classroom.explorers.layer_values_drawing import HALF, HEIGHT
from helpers.classroom.explorers.noise_bars import MOST_LETTERS, noise_bars
from helpers.classroom.explorers.setting_words import ratio_words
from helpers.classroom.explorers.trail import Trail
from helpers.classroom.explorers.value_axis import ACCURACY
from helpers.quantization import Evaluation

LEFT, RIGHT, TOP, BASE = 52, 336, 48, 238  # of the plot
DISC, SQUARE, DIAMOND, RING = 0, 1, 3, 4
MOST_IMAGES = 10
LINE = 52  # letters of a note, in one column of the panel
MOST_PIXELS = 16  # on a side of a picture


def trade_off_picture(
    now: Evaluation,
    trail: Trail,
    images: torch.Tensor | None,
    guess: int,
    text: str,
    layer: tuple[Sequence[str], Sequence[str]],
) -> Chart:
    """Draw what a setting costs; before the first guess, its value is left out.

    Args:
        now: the evaluation of the setting.
        trail: what was seen, pinned and guessed so far.
        images: that were evaluated, shape (N, 1 or 3, rows, columns); None where there
            are none to be shown.
        guess: as the slider has it.
        text: the words.
        layer: what is drawn of a layer's weights and of its inputs; see layer_parts.
    """
    known = trail.known
    low, high = map(now.metric.text, now.interval)
    of = f"of {now.count} {trail.unit}"
    lines = [
        _question(now, trail),
        f"95% interval {low} to {high} {of}" if known else "",
        f"{now.bytes:,} bytes, {ratio_words(now)}",
    ]
    plot = _size_and_value(now, trail, guess)
    unknown = "?%" if now.metric.percent else "?"
    parts = [
        headline(now.metric.text(now.value) if known else unknown, lines, now.metric.name),
        _part(278, (0, 344, plot), (338, 262, noise_bars(now))),
    ]
    if images is not None:
        parts.append(_changed(now, images) if known else _room())
    pair = zip((0, HALF), (HALF, HALF), layer, strict=True)
    parts.append(_part(HEIGHT, *pair))
    if trail.notes:
        parts.append(_notes(trail.notes))
    return stack(parts, text)


def headline(value: str, lines: Sequence[str], metric: str = ACCURACY) -> Chart:
    """Write a metric's value in large letters, and up to 3 lines beside it."""
    name = "right" if metric == ACCURACY else _short(metric, MOST_LETTERS + 2)
    large = [label(14, 46, value, size=30 if len(value) < 7 else 22)]
    large.append(label(14, 70, name, size=15))
    shown = [line for line in lines if line]
    small = [label(136, 20 + 19 * k, line) for k, line in enumerate(shown)]
    return _part(76, (0, 122, large), (122, COLUMN, small))


def _question(now: Evaluation, trail: Trail) -> str:
    if trail.game:
        return trail.game.sentence(now)
    if trail.guess is None:
        if now.metric.name == ACCURACY:
            return f"How many of the {now.count} {trail.unit} will be right? Guess first."
        return f"What will the {_short(now.metric.name, 24)} be? Guess first."
    guess, asked = trail.guess
    value = now.metric.text(now.value)
    return (
        f"You guessed {trail.axis.guessed(guess)}, it is {value}." if asked == now else ""
    )


def _size_and_value(now: Evaluation, trail: Trail, guess: int) -> list[str]:
    steps = 5 if "float64" in now.dtype else 4  # to the left, each halves the bytes

    def place(point: tuple[int, float]) -> tuple[float, float]:
        share = 1 - math.log2(now.float_bytes / point[0]) / steps
        x = LEFT + 20 + min(max(share, 0), 1.05) * (RIGHT - LEFT - 40)
        return x, BASE - trail.axis.up(point[1]) * (BASE - TOP)

    third = "entered" if trail.game else "pinned"
    parts = legend(["seen", "front", third], 24, (RING, SQUARE, DIAMOND))
    for halvings in range(steps + 1):
        size = now.float_bytes / 2**halvings
        x, _ = place((size, now.value))
        parts.append(label(x, BASE + 16, f"{size / 1000:.3g}", "middle", 12))
    for value, tick in trail.axis.ticks():
        _, y = place((now.bytes, value))
        parts.append(label(LEFT - 6, y + 4, tick, "end", 12))
        grid = f"M{LEFT} {number(y)}H{RIGHT}"
        parts.append(f'<path class="line" d="{grid}" stroke="#ccc" stroke-width="0.6"/>')
    middle = (LEFT + RIGHT) / 2
    words = "size in kB, each step doubles it"
    if trail.game:
        words = "size in kB; the upright line is the budget"
        x = number(place((trail.game.budget, now.value))[0])
        path = f'd="M{x} {TOP - 6}V{BASE}" stroke="{COLOURS[1]}" stroke-width="2"'
        parts.append(f"<path {path}/>")
    parts.append(label(middle, BASE + 34, words, "middle"))
    turned, left = label(0, 0, trail.axis.title, "middle"), 14 if now.metric.percent else 11
    parts.append(
        f'<g transform="translate({left} {(TOP + BASE) / 2:g}) rotate(-90)">{turned}</g>'
    )
    front = trail.front
    parts += [mark(*place(s.point), RING) for s in trail.seen if s.point not in front]
    stairs = [place(front[0])]
    for point in front[1:]:
        x, y = place(point)
        stairs += [(x, stairs[-1][1]), (x, y)]
    parts.append(polyline(stairs, SQUARE, dash=0))
    parts += [mark(*place(point), SQUARE) for point in front]
    pinned = trail.game.entries if trail.game else trail.pinned
    parts += [mark(*place(some.point), DIAMOND) for some in pinned]
    if now.point != trail.seen[0].point:
        x, y = place(trail.seen[0].point)
        parts.append(label(x + 16, y - 8, now.dtype, "end", 12))
    line = place((now.bytes, trail.axis.value(guess)))[1]
    base = line + (-5 if trail.axis.up(trail.axis.value(guess)) < 0.9 else 15)
    path = f'd="M{LEFT} {number(line)}H{RIGHT}" stroke="{COLOURS[3]}"'
    parts.append(f'<path {path} stroke-dasharray="5 4"/>')
    words = f"my guess {trail.axis.guessed(guess)}"
    parts.append(label(RIGHT - 28, base, words, "end", 12))
    return parts + _now(now, trail, place, (line + 5, base))


def _now(now: Evaluation, trail: Trail, place, taken: Sequence[float]) -> list[str]:
    x, y = place(now.point)
    side, end = (-12, "end") if x > RIGHT - 60 else (12, "start")
    if not trail.known:
        path = f'd="M{number(x)} {BASE}V{TOP}" stroke="{COLOURS[0]}" stroke-width="2"'
        # Long words, with the bars to the right of the plot.
        side, end = (-6, "end") if x > (LEFT + RIGHT) / 2 else (6, "start")
        middle = (TOP + BASE) / 2
        away = 36 if any(abs(middle - some) < 14 for some in taken) else 0
        words = label(x + side, middle + away, "where on this line?", end)
        return [f"<path {path}/>", words]
    # Off the guess's line and its words, below where there is room.
    bases = (
        [y + 18 * k for k in (1, 2, 3)]
        if y < BASE - 60
        else [y + 8 - 18 * k for k in (1, 2, 3)]
    )
    base = next((b for b in bases if all(abs(b - some) > 13 for some in taken)), bases[0])
    low, high = (number(place((now.bytes, share))[1]) for share in now.interval)
    left = number(x - 4)
    path = f"M{left} {low}h8M{left} {high}h8M{number(x)} {low}V{high}"
    ring = f'cx="{number(x)}" cy="{number(y)}" r="8" fill="none" stroke="{COLOURS[0]}"'
    return [
        f'<path d="{path}" fill="none" stroke="{COLOURS[0]}" stroke-width="1.5"/>',
        f'<circle {ring} stroke-width="2.5"/>',
        mark(x, y, DISC),
        label(x + side, base, "now", end, 14),
    ]


def _changed(now: Evaluation, images: torch.Tensor) -> Chart:
    some = now.changed[:MOST_IMAGES]
    title = f"{len(now.changed)} images changed their class"
    if len(now.changed) > len(some):
        title += f"; the first {len(some)}:"
    if not some:
        title = "No image changed its class"
    pictures = [_grey(images[i]).tolist() for i, _, _ in some]
    captions = [f"{old} → {new}" for _, old, new in some]
    return image_strip(title, pictures, captions, text="")


def _grey(image: torch.Tensor) -> torch.Tensor:
    """Return an image (channels, rows, columns) as one of few pixels, without colours."""
    grey = image[0] if len(image) == 1 else image.float().mean(dim=0)
    high, wide = grey.shape
    if high == wide <= MOST_PIXELS:
        return grey
    return adaptive_avg_pool2d(grey[None].float(), MOST_PIXELS)[0]


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _notes(notes: Sequence[str]) -> Chart:
    lines = [line for note in notes for line in textwrap.wrap(note, LINE)]
    words = [label(14, 20 + 19 * k, line) for k, line in enumerate(lines)]
    return _part(19 * len(lines) + 14, (0, COLUMN, words))


def _room() -> Chart:
    strip = image_strip("", [], [], text="")
    return replace(_part(strip.height), sheets=strip.sheets)


def _part(height: float, *pieces: tuple[float, float, Sequence[str]]) -> Chart:
    """Lay pieces beside one another; each is where it begins, how wide, and its parts."""
    paper = f'<rect class="paper" width="{WIDTH}" height="{number(height)}" fill="#fff"/>'
    parts = [part for _, _, some in pieces for part in some]
    sheets = (piece(left, 0, wide, height, some) for left, wide, some in pieces)
    return replace(sheet(height, [paper, *parts], ""), sheets=side_by_side(*sheets))
