"""The axis that a metric's values stand on: its ends, its ticks, and the guess on it."""

import math
from dataclasses import dataclass

from helpers.classroom.panel import Range
from helpers.quantization import Evaluation, Metric

ACCURACY = "accuracy"  # the metric of which is said how many are right
MOST_LETTERS = 15  # of a name along the axis


@dataclass(frozen=True)
class ValueAxis:
    """Where values of a metric stand, the better ones higher up; a share from 0 to 100 %.

    A guess is a whole number of the last decimal, since sliders know no others.

    Attributes:
        metric: whose values stand on it.
        worst: the value at the lower end.
        best: the value at the upper end.
        start: where the guess begins.
    """

    metric: Metric
    worst: float = 0.0
    best: float = 1.0
    start: float = 0.9

    @property
    def decimals(self) -> int:
        """How many decimals a guess has, so that there are a hundred or more of them."""
        if self.metric.percent:
            return 2
        return max(0, math.ceil(2 - math.log10(abs(self.best - self.worst))))

    def up(self, value: float) -> float:
        """Return how far up a value stands, 0 to 1; what is beyond stands at the end."""
        if math.isnan(value):
            return 0.0
        return min(max((value - self.worst) / (self.best - self.worst), 0.0), 1.0)

    def value(self, guess: int) -> float:
        """Return the value that a guess stands for."""
        return guess / 10**self.decimals

    def guessed(self, guess: int) -> str:
        """Write a guess: "90%", or "6.50"."""
        if self.metric.percent:
            return f"{guess}%"
        return f"{self.value(guess):.{self.decimals}f}"

    def ticks(self) -> list[tuple[float, str]]:
        """Return five values from end to end, and what is written beside each."""
        if self.metric.percent:
            return [(percent / 100, f"{percent}") for percent in (0, 25, 50, 75, 100)]
        step = (self.best - self.worst) / 4
        values = [self.worst + k * step for k in range(5)]
        return [(value, f"{value:.2g}".replace("e+0", "e")) for value in values]

    @property
    def title(self) -> str:
        """What is written along it."""
        if self.metric.name == ACCURACY:
            return "right, %"
        unit = ", %" if self.metric.percent else ""
        better = "higher" if self.metric.higher_is_better else "lower"
        name = self.metric.name
        name = name if len(name) <= MOST_LETTERS else f"{name[: MOST_LETTERS - 1]}…"
        return f"{name}{unit} ({better} is better)"

    def control(self) -> Range:
        """Return the slider of the guess."""
        if self.metric.percent:
            name = "" if self.metric.name == ACCURACY else f" of the {self.metric.name}"
            return Range("guess", f"My guess{name} in %", 0, 100, 90)
        ends = sorted(round(end * 10**self.decimals) for end in (self.worst, self.best))
        step = 10 ** max(0, len(str(ends[1] - ends[0])) - 4)
        low, high = ends[0] // step * step, -(-ends[1] // step) * step
        start = round(self.start * 10**self.decimals / step) * step
        what = f"My guess of the {self.metric.name}"
        start = min(max(start, low), high)
        return Range("guess", what, low, high, start, step, decimals=self.decimals)


def axis_of(exact: Evaluation) -> ValueAxis:
    """Return the axis for a model's settings; its ends follow from the float model."""
    metric, value = exact.metric, exact.value
    if metric.percent:
        ends = (0.0, 1.0) if metric.higher_is_better else (1.0, 0.0)
        return ValueAxis(metric, *ends)
    span = abs(value) if abs(value) > 1e-9 else 1.0  # a slider has so many decimals
    if metric.higher_is_better:
        return ValueAxis(metric, value - span, value + span / 10, value)
    return ValueAxis(metric, value + 3 * span, value - span / 4, value)
