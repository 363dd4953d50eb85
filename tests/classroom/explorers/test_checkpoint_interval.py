"""How often to save: each formula against a slow, obvious simulation, and its limits."""

import math
import random

import numpy as np
import pytest

from helpers.classroom.explorers.checkpoint_interval import (
    best_interval,
    crash_at,
    expected_time,
    young_interval,
    young_overhead,
)

# One crash


def crash_step_by_step(time, interval, save_cost):
    """Walk through the run in units of time: what is done, kept and spent on saving."""
    done = kept = saves = saving = clock = 0
    while True:
        for _ in range(interval):
            if clock == time:
                return done, kept, saves, saving
            clock, done = clock + 1, done + 1
        for _ in range(save_cost):
            if clock == time:
                return done, kept, saves, saving
            clock, saving = clock + 1, saving + 1
        kept, saves = done, saves + 1


@pytest.mark.parametrize("save_cost", [1, 2, 5])
@pytest.mark.parametrize("interval", [1, 7, 40])
def test_a_crash_agrees_with_a_walk_through_the_run(interval, save_cost):
    for time in range(200):
        crash = crash_at(time, interval=interval, save_cost=save_cost)
        found = (crash.done, crash.kept, crash.saves, crash.saving)
        assert found == crash_step_by_step(time, interval, save_cost)
        assert crash.lost == crash.done - crash.kept <= interval


def test_a_crash_in_the_middle_of_a_save_loses_the_whole_interval():
    inside = crash_at(21, interval=20, save_cost=2)
    assert (inside.lost, inside.kept, inside.saves, inside.in_save) == (20, 0, 0, True)
    after = crash_at(22, interval=20, save_cost=2)
    assert (after.lost, after.kept, after.saves, after.in_save) == (0, 20, 1, False)


# Young's formula


def test_young_s_interval_for_round_numbers():
    assert young_interval(2, 400) == 40
    assert young_interval(0, 400) == 0


@pytest.mark.parametrize(("save_cost", "mtbf"), [(1, 100), (2, 400), (5, 1000)])
def test_no_other_interval_has_less_overhead_by_young_s_approximation(save_cost, mtbf):
    costs = {"save_cost": save_cost, "mtbf": mtbf}
    best = young_interval(**costs)
    least = young_overhead(best, **costs)
    assert least == pytest.approx(math.sqrt(2 * save_cost / mtbf))
    for factor in (0.5, 0.9, 1.1, 2):
        assert young_overhead(best * factor, **costs) > least


def test_young_s_interval_is_near_the_exact_one_while_saving_is_cheap():
    for save_cost, mtbf in [(1, 1000), (2, 400), (5, 4000)]:
        costs = {"save_cost": save_cost, "mtbf": mtbf}
        exact = best_interval(2400, **costs)
        times = [
            expected_time(2400, interval=k, **costs)
            for k in (exact, round(young_interval(**costs)))
        ]
        assert times[1] / times[0] - 1 < 0.005


# The expected time


def run_once(steps, interval, save_cost, mtbf, restart_cost, chance):
    """One run with random crashes, event by event; return the time that it takes."""
    time, kept = 0.0, 0
    until_crash = chance.expovariate(1 / mtbf)
    restarting = False
    while kept < steps:
        piece = min(interval, steps - kept)
        need = piece + save_cost + (restart_cost if restarting else 0)
        if until_crash >= need:
            time, until_crash, kept = time + need, until_crash - need, kept + piece
            restarting = False
        else:
            time += until_crash
            until_crash = chance.expovariate(1 / mtbf)
            restarting = True
    return time


@pytest.mark.parametrize("interval", [10, 40, 70, 200, 300])
def test_the_expected_time_is_the_mean_of_simulated_runs(interval):
    chance = random.Random(0)
    times = [run_once(300, interval, 5, 200, 0, chance) for _ in range(20_000)]
    mean = sum(times) / len(times)
    spread = math.sqrt(sum((t - mean) ** 2 for t in times)) / len(times)
    exact = expected_time(300, interval=interval, save_cost=5, mtbf=200)
    assert abs(mean - exact) < 4 * spread < 0.03 * exact


def test_without_crashes_only_the_saves_are_added():
    # 100 steps, every 30: saves after 30, 60, 90 and 100.
    time = expected_time(100, interval=30, save_cost=2, mtbf=1e12)
    assert time == pytest.approx(108)


def test_a_restart_makes_every_time_longer_by_the_same_factor():
    times = [
        expected_time(100, interval=20, save_cost=2, mtbf=50, restart_cost=r)
        for r in (0, 10)
    ]
    assert times[1] / times[0] == pytest.approx(math.exp(10 / 50))


def test_a_run_that_is_never_saved_in_time_takes_for_ever():
    assert expected_time(10**6, interval=10**6, save_cost=1, mtbf=1) == math.inf


def test_the_best_interval_has_the_least_expected_time_of_all():
    costs = {"save_cost": 2, "mtbf": 100}
    times = {k: expected_time(120, interval=k, **costs) for k in range(1, 121)}
    assert times[best_interval(120, **costs)] == min(times.values())
    assert best_interval(120, save_cost=0, mtbf=100) == 1, "saving that is free"


# Numbers out of range


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: crash_at(-1, interval=4, save_cost=1), "time is -1; expected a finite"),
        (lambda: crash_at(1, interval=0, save_cost=1), "interval is 0; expected a finite"),
        (lambda: crash_at(1, interval=4, save_cost=-2), "save_cost is -2"),
        (lambda: crash_at(math.inf, interval=4, save_cost=0), "time is inf"),
        (lambda: young_interval(-1, 400), "save_cost is -1; expected a finite number of 0"),
        (lambda: young_interval(2, 0), "mtbf is 0; expected a finite number above 0"),
        (lambda: young_interval(2, math.nan), "mtbf is nan"),
        (lambda: young_overhead(0, save_cost=1, mtbf=1), "interval is 0"),
        (
            lambda: expected_time(0, interval=1, save_cost=1, mtbf=1),
            "steps is 0; expected a finite number of 1 or more",
        ),
        (
            lambda: expected_time(9, interval=1, save_cost=1, mtbf=1, restart_cost=-1),
            "restart_cost is -1",
        ),
        (lambda: best_interval(0, save_cost=1, mtbf=1), "steps is 0"),
        (lambda: best_interval(10, save_cost="2", mtbf=1), "save_cost is '2'"),
    ],
)
def test_a_number_that_makes_no_sense_is_refused_by_name(call, expected):
    with pytest.raises(ValueError, match=expected):
        call()


def test_numbers_of_numpy_will_do():
    assert crash_at(np.int64(22), interval=np.int64(20), save_cost=2).kept == 20
    assert young_interval(np.float32(2), np.int64(400)) == 40
    assert best_interval(np.int64(120), save_cost=0, mtbf=100) == 1
