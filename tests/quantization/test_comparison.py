"""The Wilson interval, against a published table, and the Pareto front."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.quantization import (
    pareto_front,
    wilson_interval,
)


@pytest.mark.parametrize(
    "right, count, low, high",
    [
        # R. G. Newcombe, "Two-sided confidence intervals for the single proportion",
        # Statistics in Medicine 17, 1998, table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_is_that_of_a_published_table(right, count, low, high):
    assert wilson_interval(right, count) == pytest.approx((low, high), abs=5e-5)


def test_the_interval_stays_within_0_and_1_and_holds_the_share():
    for right in range(720):
        low, high = wilson_interval(right, 719)
        assert 0 <= low <= right / 719 <= high <= 1
    assert wilson_interval(0, 719)[0] == 0 and wilson_interval(719, 719)[1] == 1


@pytest.mark.parametrize("right, count", [(1, 0), (-1, 5), (6, 5)])
def test_no_interval_without_a_share(right, count):
    with pytest.raises(ValueError) as caught:
        wilson_interval(right, count)
    assert str(caught.value) == (
        f"{right} of {count} is not a share; expected 0 <= right <= count"
    )


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=30))
@settings(deadline=None)
def test_the_front_is_what_nobody_beats(points):
    def beaten(point):
        return any(
            other[0] <= point[0] and other[1] >= point[1] and other != point
            for other in points
        )

    assert pareto_front(points) == sorted({point for point in points if not beaten(point)})


@pytest.mark.parametrize("higher", [True, False])
def test_the_front_follows_the_direction_and_leaves_out_what_is_no_number(higher):
    sign = 1 if higher else -1
    noise = torch.randn(60, generator=torch.Generator().manual_seed(1)).tolist()
    points = [(size, sign * (size / 20 + off)) for size, off in enumerate(noise)]

    def beaten(point):
        return any(
            (size <= point[0] and sign * value > sign * point[1])
            or (size < point[0] and sign * value >= sign * point[1])
            for size, value in points
        )

    front = sorted({point for point in points if not beaten(point)})
    assert pareto_front(points, higher) == front and len(front) > 2
    assert pareto_front([(-1, math.nan), *points, (99, math.nan)], higher) == front
