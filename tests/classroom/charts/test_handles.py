"""The marks of what can be dragged."""

import re

from helpers.classroom.charts.handles import handle


def attributes(svg):
    return dict(re.findall(r'([\w-]+)="([^"]*)"', svg))


def test_a_handle_says_where_its_control_begins_and_ends():
    mark = attributes(handle("bits", (100, 400.25), (20, 60), 35))
    assert mark == {
        "fill": "none",
        "x": "86",
        "y": "20",
        "width": "328.2",
        "height": "40",
        "data-control": "bits",
        "data-start": "100",
        "data-end": "400.2",
        "data-grip": "35",
    }


def test_a_handle_may_stand_where_python_has_put_it():
    assert attributes(handle("n", (0, 9), (0, 9), 4, at=2.5))["data-at"] == "2.5"
