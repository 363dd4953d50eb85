"""A handful of functions from data to an SVG picture, in one style.

Each returns a `Chart`: the picture, and a sentence that says the same in words.
Series differ in shape or pattern as well as in colour.
"""

from helpers.classroom.charts.asked import Asked, covered
from helpers.classroom.charts.bars import bars
from helpers.classroom.charts.drawing import Chart, Item, stack
from helpers.classroom.charts.images import image_strip
from helpers.classroom.charts.plots import lines, scatter
from helpers.classroom.charts.rounding import largest_error, rounding

__all__ = [
    "Asked",
    "Chart",
    "Item",
    "bars",
    "covered",
    "image_strip",
    "largest_error",
    "lines",
    "rounding",
    "scatter",
    "stack",
]
