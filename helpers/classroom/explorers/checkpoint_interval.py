"""How often to save: what a crash loses, what saving costs, and where the two meet.

All times are in one unit of the reader's choice; the course counts in training steps.
Crashes come at random, on average one every `mtbf` (mean time between failures), with no
memory of the last one. After a crash the run goes on from its last whole checkpoint.
"""

import math
from dataclasses import dataclass

from helpers.classroom.explorers.finite_number import finite_number


@dataclass(frozen=True)
class Crash:
    """What a run had and lost when it died.

    Attributes:
        done: steps that were computed.
        kept: steps that the last whole checkpoint holds.
        saves: checkpoints that were written whole.
        saving: time spent on saving, an unfinished save included.
        in_save: whether it died in the middle of a save.
    """

    done: float
    kept: float
    saves: int
    saving: float
    in_save: bool

    @property
    def lost(self) -> float:
        """Steps to be computed a second time."""
        return self.done - self.kept


def crash_at(time: float, *, interval: float, save_cost: float) -> Crash:
    """Return what a run has lost that dies at this time.

    A save that was not finished counts for nothing: the checkpoint before it is still
    there, since the new file takes its place only once it is whole.

    Args:
        time: since the start, saves included.
        interval: steps from one checkpoint to the next; one step takes one unit of time.
        save_cost: time that one save takes.

    Raises:
        ValueError: the time or the cost is below 0, the interval not above 0, or one of
            them is not finite.
    """
    finite_number("time", time, least=0)
    finite_number("interval", interval, above=0)
    finite_number("save_cost", save_cost, least=0)
    cycle = interval + save_cost
    saves = math.floor(time / cycle)
    inside = time - saves * cycle
    in_save = inside > interval
    return Crash(
        done=saves * interval + min(inside, interval),
        kept=saves * interval,
        saves=saves,
        saving=saves * save_cost + max(inside - interval, 0),
        in_save=in_save,
    )


def young_interval(save_cost: float, mtbf: float) -> float:
    """Return the best interval by Young's formula, sqrt(2 * save_cost * mtbf).

    Half an interval is lost in a crash, on average, and one save is paid for in each: the
    sum of interval / (2 * mtbf) and save_cost / interval is least at this interval. A first
    order approximation, good while save_cost is much smaller than mtbf.

    Source: J. W. Young, "A first order approximation to the optimum checkpoint interval",
    Communications of the ACM 17(9), 1974, pages 530 to 531.

    Raises:
        ValueError: the cost is below 0, mtbf not above 0, or one of them is not finite.
    """
    finite_number("save_cost", save_cost, least=0)
    finite_number("mtbf", mtbf, above=0)
    return math.sqrt(2 * save_cost * mtbf)


def young_overhead(interval: float, *, save_cost: float, mtbf: float) -> float:
    """Return the share of extra time that Young's approximation expects, 0.1 for 10 %."""
    finite_number("interval", interval, above=0)
    finite_number("save_cost", save_cost, least=0)
    finite_number("mtbf", mtbf, above=0)
    return save_cost / interval + interval / (2 * mtbf)


def expected_time(
    steps: int,
    *,
    interval: int,
    save_cost: float,
    mtbf: float,
    restart_cost: float = 0.0,
) -> float:
    """Return the time that a run takes on average, saves and repeated work included.

    Exact where crashes have no memory. A piece of work of length d that starts again
    whenever a crash comes takes mtbf * (exp(d / mtbf) - 1) on average, and a restart that
    can itself crash makes that exp(restart_cost / mtbf) times longer. A run is a row of
    such pieces, each with its save at the end; the last one may be shorter.

    Source: J. T. Daly, "A higher order estimate of the optimum checkpoint interval for
    restart dumps", Future Generation Computer Systems 22(3), 2006, equation 13.

    Args:
        steps: of the whole run; one step takes one unit of time.
        interval: steps from one checkpoint to the next.
        save_cost: time that one save takes.
        mtbf: mean time between failures.
        restart_cost: time from a crash until the run is computing again.

    Returns:
        The expected time; infinity where it is too large for a float.

    Raises:
        ValueError: a number is out of its range or not finite.
    """
    finite_number("steps", steps, least=1)
    finite_number("interval", interval, above=0)
    finite_number("save_cost", save_cost, least=0)
    finite_number("mtbf", mtbf, above=0)
    finite_number("restart_cost", restart_cost, least=0)
    whole, rest = divmod(steps, interval)
    try:
        pieces = whole * math.expm1((interval + save_cost) / mtbf)
        if rest:
            pieces += math.expm1((rest + save_cost) / mtbf)
        return mtbf * math.exp(restart_cost / mtbf) * pieces
    except OverflowError:
        return math.inf


def best_interval(
    steps: int, *, save_cost: float, mtbf: float, restart_cost: float = 0.0
) -> int:
    """Return the whole number of steps with the least `expected_time`, by trying each.

    Raises:
        ValueError: a number is out of its range or not finite.
    """
    finite_number("steps", steps, least=1)
    costs = {"save_cost": save_cost, "mtbf": mtbf, "restart_cost": restart_cost}
    return min(range(1, steps + 1), key=lambda k: expected_time(steps, interval=k, **costs))
