"""The explorer of notebook 04: bits kept, images right, computed anew with plain casts."""

import copy

import numpy as np
import pytest
import torch

from helpers.classroom.data.digits import load_digits
from helpers.classroom.data.networks import load_reference_model
from helpers.classroom.explorers import fraction_bits
from helpers.classroom.explorers.fraction_bits import ROUNDINGS, draw, measured
from tests.classroom.charts.test_charts import assert_texts_apart


def right_and_changed(cast) -> tuple[int, int]:
    """Count with the model's own methods, not with the helper's rounding."""
    digits, model = load_digits(), load_reference_model()
    rounded = cast(copy.deepcopy(model)).float()
    with torch.no_grad():
        before = model(digits.test_images).argmax(dim=1)
        after = rounded(digits.test_images).argmax(dim=1)
    return int((after == digits.test_labels).sum()), int((after != before).sum())


@pytest.mark.parametrize(
    "bits, cast",
    [(23, lambda model: model), (7, lambda model: model.to(torch.bfloat16))],
)
def test_the_counts_are_those_of_the_dtype(bits, cast):
    assert measured(bits, "to nearest") == right_and_changed(cast)


def test_every_float_of_the_model_is_cut_buffers_too():
    def cut(model):
        for tensor in filter(torch.is_floating_point, model.state_dict().values()):
            mantissa, exponent = np.frexp(tensor.numpy())  # 0.5 to 1: one bit, then two
            tensor.copy_(torch.from_numpy(np.ldexp(np.trunc(mantissa * 8) / 8, exponent)))
        return model

    assert measured(2, "cut off") == right_and_changed(cut)


def test_float32_changes_nothing_and_cutting_costs_more_than_rounding():
    assert measured(23, "cut off") == measured(23, "to nearest")
    assert measured(23, "cut off")[1] == 0
    for bits in (0, 1, 2, 3):
        assert measured(bits, "cut off")[0] < measured(bits, "to nearest")[0]


@pytest.mark.parametrize("bits", [0, 2, 7, 10, 12, 23])
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_the_words_give_the_figures_and_the_picture_the_bits(bits, rounding):
    right, changed = measured(bits, rounding)
    chart = draw(bits, rounding)
    named = {2: "float8 (e5m2)", 7: "bfloat16", 10: "float16", 23: "float32"}.get(bits)
    as_in = f", as many as {named} has" if named else ""
    assert chart.text == (
        f"{bits} bits of fraction{as_in}, {9 + bits} bits a weight: {right} of 719 images "
        f"are right, {changed} changed their class."
    )
    boxes = [part.split("/>")[0] for part in chart.svg.split("<rect ")[1:]]
    boxes = [box for box in boxes if 'width="15"' in box]
    assert len(boxes) == 32
    assert sum('fill="none"' not in box for box in boxes) == 9 + bits
    assert_texts_apart(chart)


def test_the_panel_holds_every_setting_ahead():
    panel = fraction_bits.fraction_bits()
    assert len(panel.frames) == 24 * 2
    panel.values = {"bits": 2, "rounding": "cut off"}
    assert panel.chart.text == draw(2, "cut off").text
    with pytest.raises(ValueError, match="bits is 24; expected 0 to 23 in steps of 1"):
        panel.values = {"bits": 24, "rounding": "cut off"}
