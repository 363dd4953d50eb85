"""Measure: peak memory, time side by side, sizes, what the machine has and leaves free.

Imports with the standard library alone: psutil and pandas are imported where they are
used, so that a machine with a broken installation can still be examined.
"""

from __future__ import annotations

import os
import random
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.measurement.memory import PeakMemory, peak_memory
from helpers.measurement.processor import Ceiling, ceiling, cpu_features

if TYPE_CHECKING:
    import pandas

__all__ = [
    "Ceiling",
    "PeakMemory",
    "ceiling",
    "cpu_features",
    "format_bytes",
    "free_disk",
    "free_memory",
    "peak_memory",
    "size_on_disk",
    "time_interleaved",
]

# ---- What is free


def free_memory(group: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the bytes that this process may still use, within a container's limit."""
    import psutil

    free = psutil.virtual_memory().available
    with suppress(OSError, ValueError):  # no container, or one without a limit
        limit = int((group / "memory.max").read_text())
        lines = (group / "memory.stat").read_text().splitlines()
        used = dict(line.split() for line in lines)["anon"]
        free = min(free, limit - int(used))
    return free


def free_disk(*folders: str | os.PathLike) -> int:
    """Return the free bytes for files in these folders, on the fullest of their disks."""
    return min(shutil.disk_usage(folder).free for folder in folders)


# ---- Sizes


def size_on_disk(path: str | os.PathLike) -> int:
    """Return the bytes of a file, or of all files in a folder and its subfolders.

    Raises:
        FileNotFoundError: if nothing is there.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file or folder to measure.")
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file())


def format_bytes(count: float) -> str:
    """Write a number of bytes with three digits: 1 kB is 1000 B, 1 MB is 1000 kB.

    The course writes every size like this, of a file and of memory.
    """
    count = float(count)  # a NumPy number compares to NumPy's bool, which does not add up
    for unit in ("B", "kB", "MB", "GB", "TB"):
        # 999.5 and more would be rounded to 1000, which is 1.00 of the next unit.
        if abs(count) < 999.5 or unit == "TB":
            break
        count /= 1000
    decimals = 0 if unit == "B" else (abs(count) < 99.95) + (abs(count) < 9.995)
    return f"{count:.{decimals}f} {unit}"


# ---- Time


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
