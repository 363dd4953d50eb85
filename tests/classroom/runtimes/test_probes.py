"""The probes of the machine: units, and what they read and multiply."""

import numpy as np
import pytest

from helpers.classroom.runtimes import probes
from helpers.classroom.runtimes.ceiling import Machine
from helpers.classroom.runtimes.probes import LEAST_BYTES, ROWS, WIDTH, measure_machine


def test_what_is_measured_is_plausible():
    found = measure_machine(2**22, rounds=5)
    assert 0.5 < found.bandwidth < 2000
    assert 1 < found.float32 < 2000
    assert 0.3 < found.int8 / found.float32 < 64


@pytest.fixture
def timed(monkeypatch):
    """Takes the place of the clock, and keeps what it was asked."""
    kept = {}

    def stand_in(functions, *, rounds, threads):
        import pandas

        kept.update(functions, rounds=rounds, threads=threads)
        return pandas.DataFrame({"min ms": {"read": 1.0, "float32": 2.0, "int8": 0.5}})

    monkeypatch.setattr(probes, "time_interleaved", stand_in)
    return kept


def test_units_are_billions_a_second(timed):
    operations = 2 * ROWS * WIDTH * WIDTH
    assert measure_machine(10_000_000) == Machine(
        bandwidth=10.0, float32=operations / 2e6, int8=operations / 0.5e6
    )
    assert timed["threads"] is None, "torch may be at work in another thread"


@pytest.mark.parametrize(("size", "read"), [(4, LEAST_BYTES), (10_000_000, 10_000_000)])
def test_as_many_bytes_are_read_as_were_asked_for(timed, size, read):
    measure_machine(size)
    assert timed["read"].__self__.nbytes == read


def test_both_products_are_right(timed):
    measure_machine(4)
    generator = np.random.default_rng(0)
    left = generator.integers(0, 127, (ROWS, WIDTH))
    right = generator.integers(-63, 63, (WIDTH, WIDTH))
    for kind in ("float32", "int8"):
        [answer] = timed[kind]()
        assert np.array_equal(answer, left @ right), kind
    assert answer.dtype == np.int32


@pytest.mark.parametrize("size", [0, -1])
def test_a_size_is_needed(size):
    with pytest.raises(ValueError, match=f"size is {size}; expected bytes, at least 1"):
        measure_machine(size)
