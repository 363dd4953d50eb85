"""A finite number is passed on as a float; anything else is refused by name."""

import math

import numpy
import pytest

from helpers.classroom.explorers.finite_number import finite_number


def test_a_finite_number_becomes_a_float():
    for value in (2, 2.0, numpy.float32(2), numpy.int64(2)):
        assert repr(finite_number("seconds", value, least=0)) == "2.0"


@pytest.mark.parametrize(
    ("value", "range_", "words"),
    [
        (0, {"above": 0}, " above 0"),
        (-1, {"least": 0}, " of 0 or more"),
        (math.nan, {}, ""),
        (math.inf, {}, ""),
        (True, {}, ""),
        ("2", {}, ""),
    ],
)
def test_anything_else_is_refused(value, range_, words):
    with pytest.raises(ValueError) as caught:
        finite_number("interval", value, **range_)
    assert str(caught.value) == f"interval is {value!r}; expected a finite number{words}"
