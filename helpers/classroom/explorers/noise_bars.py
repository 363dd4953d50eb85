"""The bars of the trade-off explorer: the noise in each layer's weights, in dB."""

import math

from helpers.classroom.charts.drawing import bar, label
from helpers.classroom.explorers.setting_words import others
from helpers.quantization import Evaluation

BAR_LEFT, BAR_RIGHT, MOST_DB = 424, 556, 60.0
TOP, HIGH = 48, 224  # all rows
MOST_LAYERS = 13
MOST_LETTERS = 12  # of a layer's name: more would run into the plot


def noise_bars(now: Evaluation) -> list[str]:
    """Draw how much of each layer's weights is left above the noise of their rounding."""
    sqnr, own = now.sqnr, others(now.setting)
    title = "SQNR, dB; dashed: other bits" if own else "SQNR of the weights, dB"
    parts = [label(BAR_LEFT - 72, 28, title)]
    # Where there are too many, the last row counts those that are left out.
    rows = min(len(sqnr), MOST_LAYERS + 1)
    pitch = min(22.0, (HIGH) / max(rows, 1))
    if len(sqnr) > rows:
        noisiest = sorted(sqnr, key=sqnr.get)[:MOST_LAYERS]
        more, y = len(sqnr) - MOST_LAYERS, TOP + 5 + pitch * MOST_LAYERS
        parts.append(label(BAR_LEFT - 72, y, f"and {more} layers with less noise", size=12))
        sqnr = {name: sqnr[name] for name in sqnr if name in noisiest}
    for row, (name, decibels) in enumerate(sqnr.items()):
        y = TOP - 8 + pitch * row
        # A long name's end tells more than its beginning.
        short = name if len(name) <= MOST_LETTERS else f"…{name[1 - MOST_LETTERS :]}"
        parts.append(label(BAR_LEFT - 6, y + 13, short or "the model", "end", 12))
        if math.isinf(decibels):
            parts.append(label(BAR_LEFT, y + 13, f"{now.dtype}, exact", size=12))
            continue
        # At 0 dB the noise is as large as the weights: no bar is left.
        width = min(max(decibels, 0.0) / MOST_DB, 1) * (BAR_RIGHT - BAR_LEFT)
        parts.append(bar(BAR_LEFT, y + 2, width, pitch - 7, int(name in own)))
        parts.append(label(BAR_LEFT + width + 5, y + 13, f"{decibels:.1f}", size=12))
    return parts
