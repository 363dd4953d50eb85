"""The sensitivity explorer: its bars, and what the ticked layers gain."""

import pytest

from helpers.classroom.explorers.sensitivity import sensitivity
from helpers.quantization import Scheme, layer_sensitivity, packed_bytes, quantize_model
from helpers.training import accuracy


@pytest.fixture(scope="module")
def panel():
    return sensitivity()


def test_the_bars_are_the_table_of_layer_sensitivity_the_worst_first(panel, model, digits):
    rows = layer_sensitivity(model, Scheme(bits=3), digits.test_images, digits.test_labels)
    panel.values = {"keep_float": ()}
    svg, at = panel.chart.svg, 0
    for name, right in zip(rows["layer"], rows["accuracy"], strict=True):
        at = svg.index(f">{name}</text>", at)
        at = svg.index(f">{100 * right:.1f} %</text>", at)
    assert panel.controls[0]["options"] == list(rows["layer"])
    assert panel.controls[0]["options"][:2] == ["blocks.1.0", "blocks.0.0"]


@pytest.mark.parametrize("count", range(11))
def test_ticked_layers_stay_in_float_and_both_numbers_follow(panel, model, digits, count):
    scheme = Scheme(bits=3)
    kept = tuple(panel.controls[0]["options"][:count])
    panel.values = {"keep_float": kept}
    right = accuracy(
        quantize_model(model, scheme, keep_float=kept),
        digits.test_images,
        digits.test_labels,
    )
    size = packed_bytes(model, scheme, kept)
    text = panel.frame["text"]
    assert text == panel.chart.text
    assert text.startswith(f"{right:.1%} of 719 images are right: {size:,} bytes, ")
    assert panel.chart.svg.count("✓") == count
    if count:
        more = size - packed_bytes(model, scheme)
        assert f" points for {more:,} bytes more." in text
    else:
        assert "in float: no layer." in text


def test_the_two_worst_layers_in_float_win_fifty_points(panel):
    panel.values = {"keep_float": ("blocks.1.0", "blocks.0.0")}
    assert panel.chart.text.startswith(
        "80.5% of 719 images are right: 12,183 bytes, 6.9 times smaller than float32; "
        "in float: blocks.1.0, blocks.0.0; +52.7 points for 2,341 bytes more."
    )


def test_another_scheme_is_another_table(digits):
    images, labels = digits.test_images[:100], digits.test_labels[:100]
    scheme = Scheme(bits=2, granularity="channel")
    panel = sensitivity(None, scheme, images, labels)
    assert "quantized alone, to 2 bits" in panel.chart.text
    assert "of 100 images" in panel.chart.text


@pytest.mark.parametrize(
    "named, says", [("inputs", "5 inputs and 0"), ("labels", "0 inputs and 5")]
)
def test_images_and_labels_come_together(named, says, digits):
    given = {"inputs": digits.test_images[:5], "labels": digits.test_labels[:5]}
    with pytest.raises(ValueError, match=f"got {says} labels; expected one label for each"):
        sensitivity(**{named: given[named]})
