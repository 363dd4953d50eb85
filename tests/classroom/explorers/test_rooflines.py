"""The roofline: where its roofs bend, where the points lie, and room for every word."""

import re

import pytest

from helpers.classroom.explorers.rooflines import (
    BASE,
    LEFT,
    RIGHT,
    TOP,
    in_words,
    points_of,
    roofline,
)
from helpers.classroom.runtimes.ceiling import Ceiling, Machine
from tests.classroom.charts.test_charts import assert_texts_apart
from tests.classroom.explorers.test_real_kernels import a_run

MACHINE = Machine(bandwidth=25, float32=250, int8=1000)


def drawn(reached=None, machine=MACHINE, **options):
    return roofline(machine, reached or {}, title="Title", text="Words.", **options)


def roofs(chart) -> list[list[tuple[float, float]]]:
    found = re.findall(r'<polyline points="([^"]+)"', chart.svg)
    return [[tuple(map(float, p.split(","))) for p in line.split()] for line in found]


def test_both_roofs_share_the_slope_and_each_bends_at_its_ridge():
    float32, int8 = roofs(drawn())
    assert float32[0] == int8[0]
    slopes = [
        (line[0][1] - line[1][1]) / (line[1][0] - line[0][0]) for line in (float32, int8)
    ]
    assert slopes[0] == pytest.approx(slopes[1], rel=0.01)
    # A factor of four at the ridge is one of four in both directions.
    assert int8[1][0] > float32[1][0] and int8[1][1] < float32[1][1]
    assert all(line[1][1] == line[2][1] and line[2][0] == RIGHT for line in (float32, int8))


def test_a_point_on_the_roof_is_drawn_on_the_roof():
    chart = drawn({"float32": [(10, 250)]})
    [(x, y)] = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="3.4"', chart.svg)[1:]
    assert (float(x), float(y)) == pytest.approx(roofs(chart)[0][1], abs=0.2)


def test_the_layer_of_now_has_a_hollow_mark_for_each_kind_on_its_roof():
    chart = drawn(now=Ceiling(4096, 4096, 256, MACHINE))
    marks = re.findall(r'd="M([\d.]+) ([\d.]+)m[^"]+" fill="none"', chart.svg)
    float32, int8, int4 = [(float(x), float(y)) for x, y in marks]
    assert (float32[1], int8[1], int4[1]) == (
        roofs(chart)[0][2][1],
        roofs(chart)[1][2][1],
        roofs(chart)[0][2][1],
    )
    assert "hollow" not in drawn().svg


def test_the_points_of_a_run_are_those_of_its_fastest_calls():
    run = a_run(1024, 64)
    [(intensity, reached)] = points_of([run], "int8")
    assert intensity == run.ceiling.intensity("int8")
    least = run.table.loc["int8 static", "min ms"]
    assert reached == pytest.approx(2 * 64 * 1024**2 / (least * 1e-3) / 1e9)


@pytest.mark.parametrize(
    "machine",
    [MACHINE, Machine(1, 2000, 16000), Machine(2000, 1, 0.3), Machine(7, 9, 9)],
)
def test_everything_stays_in_the_frame_on_any_machine(machine):
    for batch in (1, 16, 256):
        now = Ceiling(64, 64, batch, machine)
        reached = {"int4": [(0.01, 0.002), (9000, 50_000)]}
        for some in ({}, reached):
            chart = drawn(some, machine, now=now)
            assert_texts_apart(chart)
            for line in roofs(chart):
                assert all(LEFT <= x <= RIGHT and TOP <= y <= BASE for x, y in line)


def test_words():
    assert in_words(MACHINE) == (
        "Bytes come at 25 GB/s. float32 does at most 250 billion operations a second and "
        "waits for bytes below 10.0 operations a byte; int8 1000, below 40.0."
    )


def test_what_has_no_logarithm_is_refused():
    with pytest.raises(ValueError, match="no place on logarithmic axes"):
        drawn({"int8": [(0, 1)]})
    with pytest.raises(ValueError, match="nan cannot be drawn"):
        drawn({"int8": [(1, float("nan"))]})
