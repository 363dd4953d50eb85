"""The picture of the trade-off explorer: result, size and accuracy, noise, images."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from helpers.classroom.charts import Chart, image_strip, stack
from helpers.classroom.charts.drawing import (
    COLOURS,
    WIDTH,
    bar,
    label,
    legend,
    mark,
    number,
    polyline,
    sheet,
)
from helpers.classroom.charts.sheets import COLUMN, piece, side_by_side
from helpers.classroom.explorers.evaluation import Evaluation
from helpers.classroom.explorers.setting_words import ratio_words
from helpers.classroom.explorers.trail import Trail

LEFT, RIGHT, TOP, BASE = 52, 336, 48, 238  # of the plot
BAR_LEFT, BAR_RIGHT, MOST_DB = 424, 556, 60.0
DISC, SQUARE, DIAMOND, RING = 0, 1, 3, 4
MOST_IMAGES, MOST_LAYERS = 10, 13
MOST_LETTERS = 12  # of a layer's name: more would run into the plot


def trade_off_picture(
    now: Evaluation, trail: Trail, images: torch.Tensor, guess: int, text: str
) -> Chart:
    """Draw what a setting costs; before the first guess, its accuracy is left out.

    Args:
        now: the evaluation of the setting.
        trail: what was seen, pinned and guessed so far.
        images: that were evaluated, shape (N, 1, rows, columns).
        guess: in percent.
        text: the words.
    """
    known = trail.guess is not None
    low, high = now.interval
    lines = [
        _question(now, trail),
        f"95% interval {low:.1%} to {high:.1%} of {now.count} images" if known else "",
        f"{now.bytes:,} bytes, {ratio_words(now)}",
    ]
    plot = _size_and_accuracy(now, trail, guess / 100)
    return stack(
        [
            headline(f"{now.accuracy:.1%}" if known else "?%", lines),
            _part(278, (0, 344, plot), (338, 262, _noise(now.sqnr))),
            _changed(now, images) if known else _room(),
        ],
        text,
    )


def headline(share: str, lines: Sequence[str]) -> Chart:
    """Write a share of right answers in large letters, and up to 3 lines beside it."""
    large = [label(14, 46, share, size=30), label(14, 70, "right", size=15)]
    shown = [line for line in lines if line]
    small = [label(136, 20 + 19 * k, line) for k, line in enumerate(shown)]
    return _part(76, (0, 122, large), (122, COLUMN, small))


def _question(now: Evaluation, trail: Trail) -> str:
    if trail.guess is None:
        return f"How many of the {now.count} images will be right? Guess first."
    percent, asked = trail.guess
    return f"You guessed {percent}%, it is {asked.accuracy:.1%}." if asked == now else ""


def _size_and_accuracy(now: Evaluation, trail: Trail, guess: float) -> list[str]:
    def place(point: tuple[int, float]) -> tuple[float, float]:
        # Each step to the left halves the bytes of float32; four steps fit.
        share = 1 - math.log2(now.float_bytes / point[0]) / 4
        return LEFT + 20 + share * (RIGHT - LEFT - 40), BASE - point[1] * (BASE - TOP)

    parts = legend(["seen", "front", "pinned"], 24, (RING, SQUARE, DIAMOND))
    for halvings in range(5):
        size = now.float_bytes / 2**halvings
        x, _ = place((size, 0))
        parts.append(label(x, BASE + 16, f"{size / 1000:.3g}", "middle", 12))
    for percent in (0, 25, 50, 75, 100):
        _, y = place((now.bytes, percent / 100))
        parts.append(label(LEFT - 6, y + 4, f"{percent}", "end", 12))
        grid = f"M{LEFT} {number(y)}H{RIGHT}"
        parts.append(f'<path class="line" d="{grid}" stroke="#ccc" stroke-width="0.6"/>')
    middle = (LEFT + RIGHT) / 2
    parts.append(label(middle, BASE + 34, "size in kB, each step doubles it", "middle"))
    turned = label(0, 0, "right, %", "middle")
    parts.append(
        f'<g transform="translate(14 {(TOP + BASE) / 2:g}) rotate(-90)">{turned}</g>'
    )
    front = trail.front
    parts += [mark(*place(s.point), RING) for s in trail.seen if s.point not in front]
    steps = [place(front[0])]
    for point in front[1:]:
        x, y = place(point)
        steps += [(x, steps[-1][1]), (x, y)]
    parts.append(polyline(steps, SQUARE, dash=0))
    parts += [mark(*place(point), SQUARE) for point in front]
    parts += [mark(*place(some.point), DIAMOND) for some in trail.pinned]
    if now.point != trail.seen[0].point:
        x, y = place(trail.seen[0].point)
        parts.append(label(x + 16, y - 8, "float32", "end", 12))
    line = place((now.bytes, guess))[1]
    taken = (line + 5, _guess_base(line, guess))
    return parts + _guess(line, guess) + _now(now, trail, place, taken)


def _guess_base(y: float, guess: float) -> float:
    return y + (-5 if guess < 0.9 else 15)


def _guess(y: float, guess: float) -> list[str]:
    path = f'd="M{LEFT} {number(y)}H{RIGHT}" stroke="{COLOURS[3]}" stroke-dasharray="5 4"'
    words = label(RIGHT - 28, _guess_base(y, guess), f"my guess {guess:.0%}", "end", 12)
    return [f"<path {path}/>", words]


def _now(now: Evaluation, trail: Trail, place, taken: Sequence[float]) -> list[str]:
    x, y = place(now.point)
    side, end = (-12, "end") if x > RIGHT - 60 else (12, "start")
    if trail.guess is None:
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


def _noise(sqnr: Mapping[str, float]) -> list[str]:
    parts = [label(BAR_LEFT - 72, 28, "SQNR of the weights, dB")]
    # Where there are too many, the last row counts those that are left out.
    rows = min(len(sqnr), MOST_LAYERS + 1)
    pitch = min(22.0, (BASE - TOP + 34) / max(rows, 1))
    if len(sqnr) > rows:
        noisiest = sorted(sqnr, key=sqnr.get)[:MOST_LAYERS]
        more, y = len(sqnr) - MOST_LAYERS, TOP + 5 + pitch * MOST_LAYERS
        parts.append(label(BAR_LEFT - 72, y, f"and {more} layers with less noise", size=12))
        sqnr = {name: sqnr[name] for name in sqnr if name in noisiest}
    for row, (name, decibels) in enumerate(sqnr.items()):
        y = TOP - 8 + pitch * row
        # A long name's end tells more than its beginning.
        short = name if len(name) <= MOST_LETTERS else f"…{name[1 - MOST_LETTERS :]}"
        parts.append(label(BAR_LEFT - 6, y + 13, short, "end", 12))
        if math.isinf(decibels):
            parts.append(label(BAR_LEFT, y + 13, "float32, exact", size=12))
            continue
        # At 0 dB the noise is as large as the weights: no bar is left.
        width = min(max(decibels, 0.0) / MOST_DB, 1) * (BAR_RIGHT - BAR_LEFT)
        parts.append(bar(BAR_LEFT, y + 2, width, pitch - 7, 0))
        parts.append(label(BAR_LEFT + width + 5, y + 13, f"{decibels:.1f}", size=12))
    return parts


def _changed(now: Evaluation, images: torch.Tensor) -> Chart:
    some = now.changed[:MOST_IMAGES]
    title = f"{len(now.changed)} images changed their class"
    if len(now.changed) > len(some):
        title += f"; the first {len(some)}:"
    if not some:
        title = "No image changed its class"
    pictures = [images[i, 0].tolist() for i, _, _ in some]
    captions = [f"{old} → {new}" for _, old, new in some]
    return image_strip(title, pictures, captions, text="")


def _room() -> Chart:
    strip = image_strip("", [], [], text="")
    return replace(_part(strip.height), sheets=strip.sheets)


def _part(height: float, *pieces: tuple[float, float, Sequence[str]]) -> Chart:
    """Lay pieces beside one another; each is where it begins, how wide, and its parts."""
    paper = f'<rect class="paper" width="{WIDTH}" height="{number(height)}" fill="#fff"/>'
    parts = [part for _, _, some in pieces for part in some]
    sheets = (piece(left, 0, wide, height, some) for left, wide, some in pieces)
    return replace(sheet(height, [paper, *parts], ""), sheets=side_by_side(*sheets))
