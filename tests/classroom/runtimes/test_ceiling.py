"""What int8 can gain at most, counted."""

import pytest

from helpers.classroom.runtimes.ceiling import ceiling
from helpers.measurement import cpu_features


def features_of(*has: str) -> dict[str, bool]:
    return {name: name in has for name in cpu_features()}


def test_multiply_adds_and_bytes_are_counted_layer_by_layer():
    found = ceiling([(1000, 500), (500, 10)], batch=8, features=features_of())
    assert found.multiply_adds == 8 * (1000 * 500 + 500 * 10)
    values = 1000 * 500 + 500 * 10 + 8 * (1000 + 500 + 500 + 10)
    assert (found.float_bytes, found.int8_bytes) == (4 * values, values)
    assert found.traffic == 4


@pytest.mark.parametrize(
    ("has", "arithmetic"),
    [
        (("AVX2",), 4 / 3),
        (("AVX2", "AVX-VNNI"), 4),
        (("AVX-512", "AVX-512 VNNI", "AMX int8"), 32),
        (("NEON",), 1),
        (("NEON", "NEON dot product"), 4),
        (("NEON", "NEON dot product", "NEON int8 matrix"), 8),
    ],
)
def test_the_arithmetic_gain_is_that_of_the_processor(has, arithmetic):
    found = ceiling([(64, 64)], batch=1, features=features_of(*has))
    assert found.arithmetic == arithmetic
    assert found.speedup == max(arithmetic, 4)
    assert found.with_vnni == 4
    assert found.without_vnni == (1 if "NEON" in has else 4 / 3)


@pytest.mark.parametrize(("layers", "batch"), [([], 1), ([(64, 64)], 0), ([(0, 64)], 1)])
def test_a_ceiling_needs_layers_and_sizes(layers, batch):
    with pytest.raises(ValueError, match="expected at least one pair"):
        ceiling(layers, batch)
