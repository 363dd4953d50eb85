"""The crash-time slider: every figure that it says, over the whole range, computed anew."""

import re
from itertools import product

import pytest

from helpers.classroom.explorers.crash_timeline import (
    INTERVALS,
    LEFT,
    LONGEST,
    MTBF,
    SAVE_COSTS,
    STEPS,
    crash_timeline,
    draw,
)
from tests.classroom.charts.test_charts import assert_texts_apart
from tests.classroom.explorers.test_checkpoint_interval import crash_step_by_step

TIMES = range(10, 601, 10)
each_cost = pytest.mark.parametrize("save_cost", SAVE_COSTS)


def segments(svg: str) -> list[tuple[float, float]]:
    """Left end and width of each bar of the run, in steps."""
    scale = 484 / LONGEST
    rects = re.findall(r'<rect x="([\d.]+)" y="114" width="([\d.]+)"', svg)
    return [((float(x) - LEFT) / scale, float(width) / scale) for x, width in rects]


def test_the_controls_offer_the_range_that_is_tested_here():
    interval, time, cost = crash_timeline().controls
    assert range(interval["low"], interval["high"] + 1, interval["step"]) == INTERVALS
    assert range(time["low"], time["high"] + 1, time["step"]) == TIMES
    assert cost["options"] == list(SAVE_COSTS)


@each_cost
def test_what_is_said_agrees_with_a_walk_through_the_run(save_cost):
    cost = int(save_cost[0])
    for interval, time in product(INTERVALS, TIMES):
        done, kept, _, saving = crash_step_by_step(time, interval, cost)
        said = draw(interval, time, save_cost).text
        figures = f"{done} steps done: {kept} are kept, {done - kept} lost, and saving "
        assert f"{figures}took {saving}." in said
        in_save = kept < done and (time % (interval + cost)) > interval
        assert ("in the middle of a save" in said) == in_save


@each_cost
def test_the_bars_are_as_long_as_what_they_stand_for(save_cost):
    cost = int(save_cost[0])
    for interval, time in product(range(10, 201, 35), range(10, 601, 70)):
        chart = draw(interval, time, save_cost)
        _, kept, saves, _ = crash_step_by_step(time, interval, cost)
        before, lost, after = segments(chart.svg)
        until = saves * (interval + cost)
        rest = STEPS - kept
        again = rest + -(-rest // interval) * cost
        for (_, found), due in zip(
            (before, lost, after), (until, time - until, again), strict=True
        ):
            # A bar is never thinner than one unit of the picture.
            assert found == pytest.approx(max(due, LONGEST / 484), abs=0.3)
        assert after[0] == pytest.approx(time, abs=0.3)
        assert time + again <= LONGEST
        assert f">{time + again}</text>" in chart.svg


@each_cost
def test_the_least_on_average_is_where_no_other_interval_is_better(save_cost):
    said = draw(50, 300, save_cost).text
    percent, best = re.search(
        r"least is ([\d.]+)%, with a checkpoint every (\d+)", said
    ).groups()
    young = int(re.search(r"formula says every (\d+)", said)[1])
    assert young == round((2 * int(save_cost[0]) * MTBF) ** 0.5)
    averages = {
        k: float(re.search(r"take ([\d.]+)%", draw(k, 300, save_cost).text)[1])
        for k in INTERVALS
    }
    assert min(averages.values()) >= float(percent)
    assert averages[min(averages, key=lambda k: abs(k - int(best)))] - float(percent) < 0.3


@each_cost
def test_nothing_leaves_the_paper_and_no_words_meet(save_cost):
    for interval, time in [(10, 600), (200, 600), (10, 10), (200, 10), (40, 300)]:
        assert_texts_apart(draw(interval, time, save_cost))


def test_the_panel_says_in_words_where_it_stands():
    panel = crash_timeline()
    assert repr(panel).startswith(
        "Panel(When it dies, what is lost?: interval=100, time=480, save_cost='2 steps'): "
        "A checkpoint every 100 steps. The run dies at 480 with 472 steps done: 400 are "
        "kept, 72 lost, and saving took 8."
    )
    panel.values = {"interval": 40, "time": 41, "save_cost": "2 steps"} | {"time": 40}
    assert "with 40 steps done: 0 are kept, 40 lost" in panel.chart.text
