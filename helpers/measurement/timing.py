"""Time functions side by side, so that a busy machine is unfair to none of them.

Imports with the standard library alone; pandas is imported where it is used.

Save, Load, Ship 0.2.0: helpers/measurement/timing.py · repairs: CHANGELOG.md
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas


def time_interleaved(
    functions: Mapping[str, Callable[[], Any]],
    *,
    rounds: int = 20,
    warmup: int = 2,
    threads: int | None = 1,
    between: Callable[[int], Any] | None = None,
) -> pandas.DataFrame:
    """Time functions in rounds: each is called once a round, the order is shuffled.

    A processor that slows down, or a neighbour that wakes up, then hits all of them
    alike, and their ratio holds even where the milliseconds do not.

    Args:
        functions: Label -> function without arguments. One call should take at least
            about 10 microseconds; let a faster one loop inside.
        rounds: Rounds that are timed, at least 2.
        warmup: Rounds before them that are not.
        threads: For torch, if it is loaded; None leaves its number alone. ONNX Runtime
            is told when a session is opened.
        between: Called after each round with the number of rounds that are done, those
            of the warm-up included; what it raises ends the run.

    Returns:
        A row for each function: "min ms", "median ms", "95th percentile ms", and
        "speedup", how many times as fast as the first function it was: the first one's
        least time divided by its own, so below 1 it is slower. Least times, as on a busy
        machine a call of milliseconds is interrupted nearly every time, a short one
        hardly ever, and the ratio of medians then says more about the neighbours (see
        also the note on `repeat` in the documentation of Python's timeit).

    Raises:
        ValueError: if there is no function, fewer than two rounds, or a negative number
            of them to warm up.

    >>> numbers = list(range(1000))
    >>> table = time_interleaved({"loop": lambda: [n for n in numbers],
    ...                           "copy": lambda: numbers[:]})
    >>> list(table.columns)
    ['min ms', 'median ms', '95th percentile ms', 'speedup']
    >>> bool(table.loc["copy", "speedup"] > 1)
    True
    """
    if not functions:
        raise ValueError("functions is empty: give at least one label and function.")
    if rounds < 2:
        raise ValueError(f"rounds is {rounds}: a spread needs at least 2.")
    if warmup < 0:
        raise ValueError(f"warmup is {warmup}: expected 0 rounds or more.")
    times: dict[str, list[float]] = {label: [] for label in functions}
    order, shuffle = list(functions), random.Random(0).shuffle
    with _torch_threads(threads):
        for turn in range(warmup + rounds):
            shuffle(order)
            for label in order:
                start = time.perf_counter()
                functions[label]()
                seconds = time.perf_counter() - start
                if turn >= warmup:
                    times[label].append(seconds)
            if between:
                between(turn + 1)
    return _table(times)


def _table(times: dict[str, list[float]]) -> pandas.DataFrame:
    import pandas

    least = {label: min(taken) for label, taken in times.items()}
    first = next(iter(least.values()))
    rows = {
        label: {
            "min ms": 1000 * least[label],
            "median ms": 1000 * statistics.median(taken),
            "95th percentile ms": 1000
            * statistics.quantiles(taken, n=20, method="inclusive")[-1],
            "speedup": first / least[label],
        }
        for label, taken in times.items()
    }
    return pandas.DataFrame.from_dict(rows, orient="index")


@contextmanager
def _torch_threads(threads: int | None) -> Iterator[None]:
    torch = sys.modules.get("torch")
    if torch is None or threads is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
