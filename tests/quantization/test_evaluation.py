"""What a setting costs: what is measured, what is kept, what is refused."""

import math

import pytest
import torch

from helpers.quantization import Evaluator, Scheme, Setting, packed_bytes, wilson_interval
from tests.quantization.settings import SETTINGS, each_setting

# Settings


def test_a_setting_that_cannot_be_carried_out_is_refused(evaluator):
    for count in (0, 2.5, True):
        with pytest.raises(ValueError) as caught:
            Setting(calibration=count)
        assert str(caught.value) == (
            f"calibration is {count}; expected a whole number of 1 or more"
        )
    for names in ("head", ["head"]):  # letters; and no key of what was measured
        with pytest.raises(ValueError) as caught:
            Setting(keep_float=names)
        assert str(caught.value) == f"keep_float is {names!r}; expected a tuple of names"
    with pytest.raises(ValueError) as caught:
        Setting(activations=Scheme(granularity="channel"))
    assert str(caught.value) == (
        "activations are quantized per tensor; got granularity='channel'"
    )
    with pytest.raises(ValueError) as caught:
        evaluator(Setting(activations=Scheme(), calibration=5000))
    assert str(caught.value) == (
        "the setting asks for 5000 calibration rows and there are 1078; pass more, or "
        "ask for fewer"
    )
    with pytest.raises(ValueError, match="keep_float names 'tail', which is not a layer"):
        evaluator(Setting(Scheme(), keep_float=("tail",)))


# Evaluations


@each_setting
def test_an_evaluation_counts_bytes_noise_and_changes(setting, evaluator, model, digits):
    found = evaluator(setting)
    kept = set(setting.keep_float)
    assert found.bytes == packed_bytes(model, setting.weights, setting.keep_float)
    assert found.ratio == packed_bytes(model, None) / found.bytes
    assert found.interval == wilson_interval(round(719 * found.value), 719)
    for name, decibels in found.sqnr.items():
        exact = setting.weights is None or name in kept
        assert math.isinf(decibels) == exact, name
    gained = lost = 0
    for i, old, new in found.changed:
        assert old != new
        lost += old == digits.test_labels[i]
        gained += new == digits.test_labels[i]
    assert found.value == (round(719 * evaluator.exact.value) - lost + gained) / 719


def test_per_channel_rescues_3_bits_and_8_bits_cost_nothing(evaluator):
    def points(bits, granularity):
        return 100 * evaluator(Setting(Scheme(bits, granularity=granularity))).value

    exact = 100 * evaluator.exact.value
    assert points(3, "tensor") <= exact - 10
    assert points(3, "channel") >= points(3, "tensor") + 10
    assert abs(points(8, "tensor") - exact) <= 0.5


def test_nothing_is_measured_twice_and_the_ranges_are_chosen_once(model, digits):
    images, labels = digits.test_images[:50], digits.test_labels[:50]
    evaluator = Evaluator(model, images, labels, digits.train_images)
    eight = Scheme()
    first = evaluator(Setting(eight, eight))
    ranges = evaluator._ranges[eight, 64]
    evaluator(Setting(Scheme(4), eight))
    assert evaluator(Setting(Scheme(8), Scheme(8))) is first
    assert evaluator._ranges == {(eight, 64): ranges}


def test_an_evaluator_that_has_measured_nothing_else_finds_the_same(
    evaluator, model, digits
):
    setting = SETTINGS["everything"]
    images = (digits.test_images, digits.test_labels, digits.train_images)
    assert Evaluator(model, *images)(setting) == evaluator(setting)


def test_images_and_labels_must_be_pairs(model, digits):
    with pytest.raises(ValueError) as caught:
        Evaluator(model, digits.test_images, digits.test_labels[:5])
    assert str(caught.value) == (
        "got 719 inputs and 5 labels; expected one label for each, and at least one"
    )
    with pytest.raises(ValueError, match="got 0 inputs and 0 labels"):
        Evaluator(model, torch.empty(0, 1, 8, 8), torch.empty(0, dtype=torch.int64))
    with pytest.raises(ValueError) as caught:
        Evaluator(model, digits.test_images, digits.test_labels[:, None])
    assert str(caught.value) == (
        "outputs have shape (N, 10), labels (N, 1) of int64; expected a whole number for "
        "each, that of its class"
    )


def test_a_model_without_layers_has_nothing_to_quantize(digits):
    with pytest.raises(ValueError) as caught:
        Evaluator(torch.nn.Flatten(), digits.test_images, digits.test_labels)
    assert str(caught.value) == (
        "the model has none of the layers that are quantized (see quantizable_layers), so "
        "nothing to evaluate"
    )
