"""Interleaved timing: every round calls each function, in another order."""

import pytest
import torch

from helpers.measurement import time_interleaved, timing


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
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(ticks))


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
    monkeypatch.setattr(timing.random.Random, "shuffle", lambda self, order: None)
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
