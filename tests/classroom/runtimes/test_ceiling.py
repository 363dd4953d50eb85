"""What a linear layer can reach at most, counted."""

import pytest

from helpers.classroom.runtimes.ceiling import (
    TYPICAL,
    WITHOUT_DOT_PRODUCT,
    Ceiling,
    Machine,
)

# It does 10 operations in float32 while a byte arrives, and 40 in int8.
MACHINE = Machine(bandwidth=10, float32=100, int8=400)


def test_operations_and_bytes_are_counted():
    found = Ceiling(1000, 500, 8, MACHINE)
    assert found.operations == 2 * 8 * 1000 * 500
    values = 8 * (1000 + 500)
    assert found.moved("float32") == 4 * (1000 * 500 + values)
    assert found.moved("int8") == 1000 * 500 + values
    # 32 weights of half a byte share a scale of four.
    assert found.moved("int4") == 16_000 / 32 * (16 + 4) / 16_000 * 1000 * 500 + 4 * values
    assert found.intensity("int8") == found.operations / found.moved("int8")


def test_a_roof_is_a_slope_up_to_the_ridge_and_flat_behind_it():
    assert (MACHINE.ridge("float32"), MACHINE.ridge("int8")) == (10, 40)
    assert MACHINE.ridge("int4") == 10, "int4 is computed in floats"
    one, many = Ceiling(4096, 4096, 1, MACHINE), Ceiling(4096, 4096, 256, MACHINE)
    for kind in ("float32", "int8", "int4"):
        assert one.waits_for(kind) == "bytes"
        assert one.attainable(kind) == one.intensity(kind) * 10
        assert many.waits_for(kind) == "arithmetic"
    assert [many.attainable(kind) for kind in ("float32", "int8", "int4")] == [
        100,
        400,
        100,
    ]
    # 2 operations for each of 4096² weights, 100 billion a second.
    assert many.least_ms("float32") == pytest.approx(2 * 256 * 4096**2 / 100e9 * 1000)


def test_the_ceiling_depends_on_the_batch_and_int4_and_int8_change_places():
    int8, int4 = (
        [Ceiling(4096, 4096, batch, TYPICAL).speedup(kind) for batch in (1, 8, 64, 256)]
        for kind in ("int8", "int4")
    )
    assert int8 == pytest.approx([4, 4, 4, 4], rel=0.03)
    assert int4 == pytest.approx([6.4, 2.5, 1, 1], rel=0.03)


def test_without_a_dot_product_int8_gains_bytes_and_hardly_arithmetic():
    gains = [
        Ceiling(4096, 4096, batch, WITHOUT_DOT_PRODUCT).speedup("int8")
        for batch in (1, 256)
    ]
    assert gains == pytest.approx([4, 4 / 3])


def test_the_ceiling_depends_on_the_width():
    narrow, wide = (Ceiling(width, width, 32, TYPICAL) for width in (64, 4096))
    assert narrow.waits_for("float32") == "bytes"
    assert wide.waits_for("float32") == "arithmetic"


@pytest.mark.parametrize("sizes", [(0, 64, 1), (64, 0, 1), (64, 64, 0)])
def test_a_ceiling_needs_sizes(sizes):
    with pytest.raises(ValueError, match="expected sizes of at least 1"):
        Ceiling(*sizes, MACHINE)
