"""Which of several quantized models is the better one, as far as a test can tell.

Save, Load, Ship 0.2.0: helpers/quantization/comparison.py · repairs: CHANGELOG.md
"""

import math
from collections.abc import Iterable

Z_95 = 1.959964  # 95 % of a normal distribution lie within so many standard deviations


def wilson_interval(right: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share, (low, high), 0 to 1.

    Unlike share ± 1.96 standard errors it stays within 0 and 1, also where all or none
    are right. Source: E. B. Wilson, "Probable Inference, the Law of Succession, and
    Statistical Inference", Journal of the American Statistical Association 22, 1927.

    Raises:
        ValueError: count is below 1, or right does not lie between 0 and count.

    >>> low, high = wilson_interval(right=95, count=100)
    >>> f"{low:.3f} to {high:.3f}"
    '0.888 to 0.978'
    """
    if count < 1 or not 0 <= right <= count:
        raise ValueError(f"{right} of {count} is not a share; expected 0 <= right <= count")
    share, z2 = right / count, Z_95**2
    centre = share + z2 / (2 * count)
    reach = Z_95 * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    low, high = (centre - reach, centre + reach)
    return max(low / (1 + z2 / count), 0.0), min(high / (1 + z2 / count), 1.0)


def pareto_front(
    points: Iterable[tuple[int, float]], higher_is_better: bool = True
) -> list[tuple[int, float]]:
    """Return the (bytes, value) points that no other beats, the smallest first.

    A point is beaten by one that is no larger and better, or smaller and no worse: more
    is better, or less, as of a perplexity. Of equal points one is kept, of NaN none.

    >>> pareto_front([(400, 0.97), (100, 0.90), (200, 0.89), (300, 0.97)])
    [(100, 0.9), (300, 0.97)]
    >>> pareto_front([(100, 6.5), (200, 6.1), (300, 6.2)], higher_is_better=False)
    [(100, 6.5), (200, 6.1)]
    """
    front: list[tuple[int, float]] = []
    sign = 1 if higher_is_better else -1
    known = (point for point in points if not math.isnan(point[1]))
    for point in sorted(known, key=lambda point: (point[0], -sign * point[1])):
        if not front or sign * point[1] > sign * front[-1][1]:
            front.append(point)
    return front
