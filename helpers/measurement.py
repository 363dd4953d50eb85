"""Measure: peak memory, time side by side, sizes, what the machine has and leaves free.

Imports with the standard library alone: psutil is imported where it is used, so that a
machine with a broken installation can still be examined.
"""

from __future__ import annotations

import os
import platform
import random
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers.memory import PeakMemory, peak_memory

__all__ = [
    "PeakMemory",
    "Timing",
    "cpu_features",
    "file_size",
    "format_bytes",
    "free_disk",
    "free_memory",
    "peak_memory",
    "time_interleaved",
]

# ---- The processor

# Each feature with its names in Linux's /proc/cpuinfo and in macOS's sysctl.
_FEATURES = {
    "AVX2": {"avx2", "avx2_0"},
    "AVX-512": {"avx512f"},
    "AVX-512 VNNI": {"avx512_vnni"},
    "AVX-VNNI": {"avx_vnni"},
    "AMX int8": {"amx_int8"},
    "bfloat16": {"avx512_bf16", "amx_bf16", "bf16", "feat_bf16"},
    "NEON": {"asimd", "neon", "advsimd"},
    "NEON dot product": {"asimddp", "feat_dotprod"},
    "NEON int8 matrix": {"i8mm", "feat_i8mm"},
}


def cpu_features() -> dict[str, bool | None]:
    """Tell which instructions for small numbers this processor has.

    Returns:
        Name of the feature -> True, False, or None where the system does not say
        (Windows, for one).
    """
    flags: set[str] = set()
    with suppress(OSError, subprocess.SubprocessError):
        if platform.system() == "Linux":
            for line in Path("/proc/cpuinfo").read_text().splitlines():
                key, _, words = line.partition(":")
                if key.strip() in ("flags", "Features"):  # x86 and ARM
                    flags.update(words.lower().split())
        elif platform.system() == "Darwin":
            command = ["sysctl", "hw.optional"]
            answer = subprocess.run(command, capture_output=True, text=True, timeout=10)
            for line in answer.stdout.lower().splitlines():
                name, _, value = line.partition(": ")
                if value.strip() == "1":
                    flags.add(name.split(".")[-1])
    return {
        feature: bool(names & flags) if flags else None
        for feature, names in _FEATURES.items()
    }


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


def file_size(path: str | os.PathLike) -> int:
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
    for unit in ("B", "kB", "MB", "GB", "TB"):
        # 999.5 and more would be rounded to 1000, which is 1.00 of the next unit.
        if abs(count) < 999.5 or unit == "TB":
            break
        count /= 1000
    decimals = 0 if unit == "B" else (abs(count) < 99.95) + (abs(count) < 9.995)
    return f"{count:.{decimals}f} {unit}"


# ---- Time


@dataclass(frozen=True)
class Timing:
    """Seconds of repeated calls: median, 10th and 90th percentile, and every call."""

    median: float
    low: float
    high: float
    times: tuple[float, ...] = field(repr=False)


def time_interleaved(
    functions: Mapping[str, Callable[[], Any]], *, repeats: int = 20, warmup: int = 2
) -> dict[str, Timing]:
    """Time functions in rounds: each is called once a round, the order is shuffled.

    A processor that slows down, or a neighbour that wakes up, then hits all of them
    alike, and their ratio holds even where the seconds do not.

    Args:
        functions: Label -> function without arguments. One call should take at least
            about 10 microseconds; let a faster one loop inside.
        repeats: Rounds that are timed, at least 2.
        warmup: Rounds before them that are not.

    Raises:
        ValueError: if there is no function, or fewer than two rounds.
    """
    if not functions:
        raise ValueError("functions is empty: give at least one label and function.")
    if repeats < 2:
        raise ValueError(f"repeats is {repeats}: a spread needs at least 2 rounds.")
    times: dict[str, list[float]] = {label: [] for label in functions}
    order, shuffle = list(functions), random.Random(0).shuffle
    for turn in range(warmup + repeats):
        shuffle(order)
        for label in order:
            start = time.perf_counter()
            functions[label]()
            seconds = time.perf_counter() - start
            if turn >= warmup:
                times[label].append(seconds)
    return {label: _timing(taken) for label, taken in times.items()}


def _timing(times: list[float]) -> Timing:
    low, *_, high = statistics.quantiles(times, n=10, method="inclusive")
    return Timing(statistics.median(times), low, high, tuple(times))
