"""Interleaved timing, what is free, sizes, CPU features, and imports without torch."""

import platform
import subprocess
import sys
import types
from pathlib import Path

import psutil
import pytest

from helpers import measurement
from helpers.measurement import (
    cpu_features,
    file_size,
    format_bytes,
    free_disk,
    free_memory,
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
    root = Path(measurement.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("1.00 kB True\n", "")


# ---- Time


def test_each_round_calls_every_function_once():
    calls = []
    functions = {name: lambda name=name: calls.append(name) for name in "abc"}
    timings = time_interleaved(functions, repeats=6, warmup=2)
    rounds = ["".join(calls[i : i + 3]) for i in range(0, len(calls), 3)]
    assert len(rounds) == 8
    assert {"".join(sorted(each)) for each in rounds} == {"abc"}
    assert len(set(rounds)) > 1, "the order within a round should change"
    assert [len(timings[name].times) for name in "abc"] == [6, 6, 6]


def test_median_and_percentiles_are_those_of_the_recorded_times(monkeypatch):
    # A clock on which the calls take 1, 2, ..., 11 seconds.
    ticks = iter(range(1, 1000))
    seconds = iter(value for n in ticks for value in (0.0, float(n)))
    monkeypatch.setattr(measurement.time, "perf_counter", lambda: next(seconds))
    timing = time_interleaved({"a": int}, repeats=11, warmup=0)["a"]
    assert timing.times == tuple(float(n) for n in range(1, 12))
    assert (timing.low, timing.median, timing.high) == (2.0, 6.0, 10.0)


def test_timing_needs_functions_and_rounds():
    with pytest.raises(ValueError, match="functions is empty"):
        time_interleaved({})
    with pytest.raises(ValueError, match="repeats is 1: a spread needs at least 2"):
        time_interleaved({"a": int}, repeats=1)


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
    assert file_size(tmp_path / "a.bin") == 1500
    assert file_size(str(tmp_path)) == 2000


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.pt: there is no such file"):
        file_size(tmp_path / "gone.pt")


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
    ],
)
def test_bytes_are_written_with_three_digits_and_decimal_units(count, text):
    assert format_bytes(count) == text


# ---- The processor

X86 = """processor : 0
model name : Some CPU with avx512f in its name
flags\t\t: fpu sse2 avx2 avx_vnni amx_int8
"""
ARM = """processor\t: 0
Features\t: fp asimd asimddp i8mm bf16
"""
APPLE = """hw.optional.arm.FEAT_DotProd: 1
hw.optional.arm.FEAT_BF16: 0
hw.optional.arm.AdvSIMD: 1
"""


def present(features):
    return {name for name, there in features.items() if there}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (X86, {"AVX2", "AVX-VNNI", "AMX int8"}),
        (ARM, {"NEON", "NEON dot product", "NEON int8 matrix", "bfloat16"}),
    ],
)
def test_features_on_linux_come_from_cpuinfo(monkeypatch, text, expected):
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(Path, "read_text", lambda path: text)
    features = cpu_features()
    assert present(features) == expected
    assert None not in features.values()


def test_features_on_macos_come_from_sysctl(monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    answer = subprocess.CompletedProcess([], 0, stdout=APPLE)
    monkeypatch.setattr(subprocess, "run", lambda *args, **options: answer)
    assert present(cpu_features()) == {"NEON", "NEON dot product"}


def test_features_are_unknown_where_the_system_does_not_say(monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Windows")
    assert set(cpu_features().values()) == {None}
