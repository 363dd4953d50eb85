"""A plot area with two labelled axes."""

import math
from collections.abc import Mapping, Sequence

from helpers.classroom.charts.drawing import (
    WIDTH,
    Chart,
    label,
    number,
    picture,
    require_finite,
)


class Axes:
    """A plot area with two labelled axes, sized to hold every point of every series."""

    def __init__(
        self,
        series: Mapping[str, Sequence[tuple[float, float]]],
        x_label: str,
        y_label: str,
        *,
        right: int,
        height: int = 320,
        log: bool = False,
    ):
        """Lay out the axes and draw their ticks into `parts`.

        Args:
            series: all points.
            x_label: what the x are.
            y_label: what the y are.
            right: room at the right.
            height: of the picture.
            log: whether equal steps along x are equal factors; the ticks are powers of 2.

        Raises:
            ValueError: there is no point at all, one is not finite, or an x that has no
                logarithm.
        """
        points = [point for some in series.values() for point in some]
        if not points:
            raise ValueError("there is no point to draw")
        require_finite(value for point in points for value in point)
        self.height = height
        self._left, self._right = 64, WIDTH - right
        self._top, self._base = 54, height - 44
        self._along = _log2 if log else float
        self._x = _span([self._along(x) for x, _ in points])
        self._y = _span([y for _, y in points])
        self.parts: list[str] = []
        whole = range(math.ceil(self._x[0]), math.floor(self._x[1]) + 1)
        for value in [2.0**k for k in whole] if log else _ticks(*self._x):
            self.parts.append(label(self.x(value), self._base + 17, f"{value:g}", "middle"))
        for value in _ticks(*self._y):
            self.parts.append(label(self._left - 8, self.y(value) + 4, f"{value:g}", "end"))
        frame = f"M{self._left} {self._top}V{self._base}H{self._right}"
        self.parts.append(f'<path class="line" d="{frame}" fill="none" stroke="#888"/>')
        middle = (self._left + self._right) / 2
        self.parts.append(label(middle, height - 8, x_label, "middle"))
        centre = (self._top + self._base) / 2
        turned = label(0, 0, y_label, "middle")
        place = f"translate(16 {number(centre)}) rotate(-90)"
        self.parts.append(f'<g transform="{place}">{turned}</g>')

    def x(self, value: float) -> float:
        """Where on the paper an x lies."""
        low, high = self._x
        share = (self._along(value) - low) / (high - low)
        return self._left + share * (self._right - self._left)

    def y(self, value: float) -> float:
        """Where on the paper a y lies."""
        low, high = self._y
        return self._base - (value - low) / (high - low) * (self._base - self._top)

    def picture(self, title: str, text: str) -> Chart:
        """Finish the picture."""
        return picture(title, self.height, self.parts, text)


def _log2(value: float) -> float:
    if value <= 0:
        raise ValueError(f"{value} has no place on a logarithmic axis")
    return math.log2(value)


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    # Ticks show six digits, so a span below 1e-4 of the values would repeat its labels.
    least = max(abs(low), abs(high)) * 1e-4
    if high - low < 1e-300:
        least = max(least, 1.0)
    pad = max(least - (high - low), 0) / 2
    return low - pad, high + pad


def _ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / 5
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * k for k in (1, 2, 5, 10) if power * k >= rough)
    first = math.ceil(low / step)
    last = math.floor(high / step)
    return [k * step for k in range(first, last + 1)]
