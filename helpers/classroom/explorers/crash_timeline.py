"""A training run that dies: what is lost, what saving costs, and the best interval."""

from dataclasses import replace
from functools import cache

from helpers.classroom.charts import Asked, Chart, covered, stack
from helpers.classroom.charts.axes import Axes
from helpers.classroom.charts.drawing import (
    COLOURS,
    WIDTH,
    arrow,
    bar,
    label,
    legend,
    mark,
    number,
    picture,
    polyline,
)
from helpers.classroom.explorers.checkpoint_interval import (
    best_interval,
    crash_at,
    expected_time,
    young_interval,
    young_overhead,
)
from helpers.classroom.panel import Choice, Guess, Panel, Range

STEPS, MTBF = 600, 400
SAVE_COSTS = ("1 step", "2 steps", "5 steps")
INTERVALS = range(10, 201, 5)
KNOWN, GUESSED = SAVE_COSTS[1], SAVE_COSTS[2]  # shown at once; asked for first
MOST_EXTRA = 55  # percent, at the top of the curves
LEFT, LONGEST = 96, 960  # where the timeline begins, and the time that fills it


def extra(interval: int, save_cost: int) -> float:
    """Return the share of extra time that a run takes on average, 0.1 for 10 %."""
    time = expected_time(STEPS, interval=interval, save_cost=save_cost, mtbf=MTBF)
    return time / STEPS - 1


@cache
def least(save_cost: int) -> int:
    """Return the interval with the least extra time."""
    return best_interval(STEPS, save_cost=save_cost, mtbf=MTBF)


def draw(interval: int, time: int, save_cost: str) -> Chart:
    """Draw the run that dies at this time, above the average of all such runs.

    Args:
        interval: steps from one checkpoint to the next.
        time: when it dies; one step takes one unit of time.
        save_cost: one of SAVE_COSTS.
    """
    cost = int(save_cost.split()[0])
    crash = crash_at(time, interval=interval, save_cost=cost)
    young, best = young_interval(cost, MTBF), least(cost)
    average, lowest = extra(interval, cost), extra(best, cost)
    where = ", in the middle of a save," if crash.in_save else ""
    this_run = (
        f"A checkpoint every {interval} steps. The run dies at {time}{where} with "
        f"{crash.done:g} steps done: {crash.kept:g} are kept, {crash.lost:g} lost, and "
        f"saving took {crash.saving:g}."
    )
    text = (
        f"{this_run} On average such runs take {average:.1%} "
        f"more time. The least is {lowest:.1%}, with a checkpoint every {best} "
        f"steps; Young's formula says every {young:.0f}."
    )
    above, axes = _timeline(interval, time, cost, text), _axes()
    _draw_average(axes, interval, cost, ask=save_cost != KNOWN)
    below = axes.picture(f"All such runs, a crash every {MTBF} steps", text)
    asked = Asked(
        f"If a save takes {GUESSED} in place of {KNOWN}, which interval costs the least?",
        truth=least(int(GUESSED.split()[0])),
        before=text if save_cost == KNOWN else f"{crash.lost:g} steps lost.",
        along="x",
        values=(INTERVALS[0], INTERVALS[-1]),
        places=(axes.x(INTERVALS[0]), axes.x(INTERVALS[-1])),
        across=(above.height + axes.y(MOST_EXTRA), above.height + axes.y(0)),
    )
    brief = (
        f"{crash.lost:g} steps lost. On average {average:.1%} more time; the least is "
        f"{lowest:.1%}, every {best} steps."
    )
    return replace(stack([above, below], text), guess=asked, brief=brief)


def _timeline(interval: int, time: int, cost: int, text: str) -> Chart:
    crash = crash_at(time, interval=interval, save_cost=cost)
    scale = (WIDTH - 20 - LEFT) / LONGEST
    # After the crash the rest is computed, with a save at the end of each piece.
    left_to_do = STEPS - crash.kept
    saves_left = -(-left_to_do // interval)
    end = time + left_to_do + saves_left * cost
    parts = legend(["computed, kept", "lost, computed again"], 42, bars=True)
    parts += [_saves([404], 35, 3), label(412, 46, "a save")]
    parts.append(label(LEFT - 10, 73, "needed", "end"))
    parts.append(bar(LEFT, 60, STEPS * scale, 16, 0))
    parts.append(label(LEFT - 10, 129, "this run", "end"))
    kept_until = crash.saves * (interval + cost)
    parts.append(bar(LEFT, 114, kept_until * scale, 20, 0))
    parts.append(bar(LEFT + kept_until * scale, 114, (time - kept_until) * scale, 20, 1))
    parts.append(bar(LEFT + time * scale, 114, (end - time) * scale, 20, 0))
    ends = [k * (interval + cost) for k in range(1, int(crash.saves) + 1)]
    ends += [time + k * (interval + cost) for k in range(1, int(saves_left))] + [end]
    parts.append(_saves([LEFT + at * scale for at in ends], 109, cost * scale, 30))
    x = LEFT + time * scale
    parts += [label(x, 94, f"crash at {time}", "middle", 12), arrow(x, 98, 112)]
    parts.append(label(LEFT + end * scale + 4, 129, f"{end:g}", size=12))
    parts.append(label(LEFT + STEPS * scale + 4, 73, f"{STEPS}", size=12))
    return picture("One run of 600 steps", 150, parts, text)


def _saves(places: list[float], top: float, width: float, height: int = 14) -> str:
    path = "".join(f"M{number(x - width / 2)} {top}v{height}" for x in places)
    style = f'stroke="{COLOURS[2]}" stroke-width="{number(max(width, 1.2))}"'
    return f'<path d="{path}" {style}/>'


@cache
def _curves(cost: int) -> dict[str, list[tuple[float, float]]]:
    costs = {"save_cost": cost, "mtbf": MTBF}
    exact = [(k, 100 * extra(k, cost)) for k in INTERVALS]
    young = [(k, 100 * young_overhead(k, **costs)) for k in INTERVALS]
    return {"exact": exact, "Young": young}


def _axes() -> Axes:
    corners = [(0, 0), (INTERVALS[-1], MOST_EXTRA)]
    names = ("steps between checkpoints", "extra time in %")
    return Axes({"": corners}, *names, right=60, height=300)


def _draw_average(axes: Axes, interval: int, cost: int, ask: bool) -> None:
    axes.parts += legend(
        ["your interval", "least, exact", "least by Young's formula"], 40, shapes=(4, 0, 1)
    )
    parts = []
    for k, (name, points) in enumerate(_curves(cost).items()):
        placed = [(axes.x(x), axes.y(y)) for x, y in points]
        parts.append(polyline(placed, k))
        parts.append(label(placed[-1][0] + 6, placed[-1][1] + 4, name))
    best, young = least(cost), young_interval(cost, MTBF)
    spots = {1: (young, young_overhead(young, save_cost=cost, mtbf=MTBF))}
    spots |= {0: (best, extra(best, cost)), 4: (interval, extra(interval, cost))}
    for shape, (x, y) in spots.items():
        parts.append(mark(axes.x(x), axes.y(100 * y), shape))
    axes.parts += covered(parts, ask)


def crash_timeline(interval: int = 100, time: int = 480) -> Panel:
    """Return the panel: interval, time of the crash, cost of a save; drawn by Python.

    It asks where the best interval goes before it shows the curves for dearer saves.
    """
    controls = [
        Range("interval", "Checkpoint every ... steps", 10, 200, interval, step=5),
        Range("time", "The run dies at", 10, 600, time, step=10),
        Choice("save_cost", "A save takes as long as", SAVE_COSTS, KNOWN),
    ]
    slider = Range("guess", "My guess", INTERVALS[0], INTERVALS[-1], 40, step=5)
    guess = Guess(slider, "every {} steps")
    return Panel("When it dies, what is lost?", controls, draw, guess=guess)
