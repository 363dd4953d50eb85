"""The panel of notebook 10: the choice is seen at once, and its words cover no point."""

import re

import pytest

from helpers.classroom.data.digits import load_digits
from helpers.classroom.data.small_models import load_small_models, measure
from helpers.classroom.explorers.smaller import WORDS, YOURS, draw
from tests.classroom.charts.test_charts import assert_texts_apart, text_boxes


@pytest.fixture(scope="module")
def results():
    digits = load_digits()
    # What is drawn depends little on how many.
    images, labels = digits.test_images[:100], digits.test_labels[:100]
    return measure(load_small_models(), images, labels)


def drawn(results, width, zeros, bits):
    """The chart, its points, and the middle of the ring."""
    chart = draw(results, str(width), f"{zeros} %", str(bits))
    found = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="([\d.]+)"', chart.svg)
    circles = [(float(x), float(y), r) for x, y, r in found]
    [ring] = [(x, y) for x, y, r in circles if r == "8"]
    points = [(x, y) for x, y, r in circles if r == "3.4"][1:]  # one in the legend
    return chart, points, ring


def test_the_ring_lies_on_the_choice_and_equal_steps_are_equal_factors():
    sizes = {(6, 0, 3): 1000, (6, 0, 8): 2000, (12, 0, 8): 4000, (24, 0, 8): 16_000}
    results = {key: (size, 0.9 + size / 1e6) for key, size in sizes.items()}
    places = {}
    for k, key in enumerate(results):
        _, points, ring = drawn(results, *key)
        assert ring == points[k]
        places[key] = ring[0]
    one, two, four, sixteen = places.values()
    assert four - two == pytest.approx(two - one, abs=0.2)
    assert sixteen - four == pytest.approx(2 * (two - one), abs=0.2)


def test_the_words_at_the_choice_cover_no_point_and_no_other_words(results):
    words = r'x="([\d.]+)" y="([\d.]+)"[^>]*"(start|end)">your choice<'
    for k, key in enumerate(results):
        chart, points, (x, _) = drawn(results, *key)
        _, (place, base, anchor) = re.findall(words, chart.svg)  # one in the legend
        left, base = x - WORDS * (anchor == "end"), float(base)
        assert float(place) == x and left + WORDS <= 600 and 60 < base < 276, key
        for u, v in points:
            assert not (left < u < left + WORDS and base - 10 < v < base + 3), key
        if k % 12 == 0:  # to measure words takes a while
            assert_texts_apart(chart)
            boxes = [box for name, box in text_boxes(chart).items() if YOURS in name]
            assert all(box[2] - box[0] <= WORDS for box in boxes)
