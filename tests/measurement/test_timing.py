"""Interleaved timing, what is free, sizes, and imports without torch."""

import subprocess
import sys
import types
from pathlib import Path

import numpy
import psutil
import pytest
import torch

from helpers import measurement
from helpers.measurement import (
    format_bytes,
    free_disk,
    free_memory,
    size_on_disk,
    time_interleaved,
)

# ---- Imports


def test_the_module_imports_with_the_standard_library_alone():
    code = """
import sys
for name in ("torch", "numpy", "pandas", "psutil", "cloudpickle", "sklearn"):
    sys.modules[name] = None  # importing it now raises ImportError
from helpers.measurement import cpu_features, format_bytes
print(format_bytes(1000), "AVX2" in cpu_features())
"""
    root = Path(measurement.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("1.00 kB True\n", "")


# ---- Time


def test_each_round_calls_every_function_once_in_another_order():
    calls, done = [], []
    functions = {name: lambda name=name: calls.append(name) for name in "abc"}
    table = time_interleaved(functions, rounds=6, warmup=2, between=done.append)
    rounds = ["".join(calls[i : i + 3]) for i in range(0, len(calls), 3)]
    assert len(rounds) == 8 and done == list(range(1, 9))
    assert {"".join(sorted(each)) for each in rounds} == {"abc"}
    assert len(set(rounds)) > 1, "the order within a round should change"
    assert list(table.index) == ["a", "b", "c"]


def clock(monkeypatch, *seconds: float) -> None:
    """Make a clock on which the calls take that long."""
    ticks = (value for taken in seconds for value in (0.0, taken))
    monkeypatch.setattr(measurement.time, "perf_counter", lambda: next(ticks))


def test_the_table_holds_least_median_and_95th_percentile(monkeypatch):
    clock(monkeypatch, 9, *range(1, 22))  # the first call is the warm-up
    table = time_interleaved({"a": int}, rounds=21, warmup=1)
    assert table.loc["a"].to_dict() == {
        "min ms": 1000,
        "median ms": 11_000,
        "95th percentile ms": 20_000,
        "speedup": 1,
    }


def test_the_speedup_is_that_of_the_undisturbed_calls(monkeypatch):
    monkeypatch.setattr(measurement.random.Random, "shuffle", lambda self, order: None)
    # The long call is interrupted in two of three rounds, the short one in one.
    clock(monkeypatch, 40, 1, 4, 1, 44, 9)
    table = time_interleaved({"float": int, "int8": int}, rounds=3, warmup=0)
    assert list(table["speedup"]) == [1, 4]


def test_what_is_raised_between_rounds_ends_the_run():
    calls = []
    with pytest.raises(InterruptedError):
        time_interleaved({"a": lambda: calls.append(1)}, between=refuse)
    assert len(calls) == 1


def refuse(done: int) -> None:
    raise InterruptedError(f"after round {done}")


def test_torch_has_one_thread_for_the_time_being_unless_told_otherwise():
    before, seen = torch.get_num_threads(), []
    torch.set_num_threads(2)
    try:
        for threads in (1, None, 3):
            function = {"a": lambda: seen.append(torch.get_num_threads())}
            time_interleaved(function, rounds=2, warmup=0, threads=threads)
        assert seen == [1, 1, 2, 2, 3, 3]
        with pytest.raises(InterruptedError):
            time_interleaved({"a": int}, between=refuse)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_timing_needs_functions_and_rounds():
    with pytest.raises(ValueError, match="functions is empty"):
        time_interleaved({})
    with pytest.raises(ValueError, match="rounds is 1: a spread needs at least 2"):
        time_interleaved({"a": int}, rounds=1)
    with pytest.raises(ValueError, match="warmup is -1: expected 0 rounds or more"):
        time_interleaved({"a": int}, rounds=3, warmup=-1)


# ---- What is free


def test_free_memory_respects_the_limit_of_a_container(monkeypatch, tmp_path):
    free = types.SimpleNamespace(available=8_000_000_000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    (tmp_path / "memory.stat").write_text("anon 500000000\nfile 900000000\n")
    (tmp_path / "memory.max").write_text("1500000000\n")
    assert free_memory(tmp_path) == 1_000_000_000
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory(tmp_path) == 8_000_000_000
    assert free_memory(tmp_path / "none") == 8_000_000_000


def test_the_free_disk_is_that_of_the_fuller_folder(monkeypatch):
    free = {"course": 5e9, "temporary": 1e9}
    monkeypatch.setattr(
        measurement.shutil,
        "disk_usage",
        lambda folder: types.SimpleNamespace(free=free[folder]),
    )
    assert free_disk("course", "temporary") == 1e9
    assert free_disk("course") == 5e9


# ---- Sizes


def test_the_size_of_a_file_and_of_a_folder(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "a.bin").write_bytes(b"x" * 1500)
    (tmp_path / "inner" / "b.bin").write_bytes(b"x" * 500)
    assert size_on_disk(tmp_path / "a.bin") == 1500
    assert size_on_disk(str(tmp_path)) == 2000


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.pt: there is no such file"):
        size_on_disk(tmp_path / "gone.pt")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (9_994, "9.99 kB"),
        (9_995, "10.0 kB"),
        (99_950, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1.00 MB"),
        (64 << 20, "67.1 MB"),
        (24e9, "24.0 GB"),
        (9e15, "9000 TB"),
        (-1234, "-1.23 kB"),
        (numpy.float64(1234), "1.23 kB"),
        (numpy.int64(123_456), "123 kB"),
    ],
)
def test_bytes_are_written_with_three_digits_and_decimal_units(count, text):
    assert format_bytes(count) == text
