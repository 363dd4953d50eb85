"""A setting in words, and the code that repeats what was measured."""

from dataclasses import replace

import pytest

from helpers.classroom.explorers.setting_words import (
    ratio_words,
    setting_code,
    setting_words,
)
from helpers.quantization import Scheme, Setting, quantize_model
from helpers.training import accuracy
from tests.quantization.settings import SETTINGS, each_setting


@each_setting
def test_the_code_of_a_setting_repeats_what_was_measured(setting, evaluator, model, digits):
    found = evaluator(setting)
    names = {"quantize_model": quantize_model, "Scheme": Scheme}
    again = eval(setting_code(setting), {**names, "model": model, "digits": digits})
    right = accuracy(again, digits.test_images, digits.test_labels)
    assert round(719 * right) / 719 == found.value


def test_the_code_leaves_defaults_out_and_breaks_long_lines():
    assert setting_code(Setting()) == "quantize_model(model)"
    assert (
        setting_code(SETTINGS["3 bits"]) == "quantize_model(model, weights=Scheme(bits=3))"
    )
    assert setting_code(SETTINGS["everything"], "images") == (
        "quantize_model(\n"
        "    model,\n"
        '    weights=Scheme(bits=4, symmetric=False, granularity="channel", '
        'observer="mse"),\n'
        '    activations=Scheme(bits=6, symmetric=False, observer="percentile"),\n'
        "    calibration=images[:256],\n"
        '    keep_float=("blocks.1.0",),\n'
        ")"
    )


def test_a_setting_says_in_words_what_it_does():
    assert setting_words(Setting()) == ("weights: float32", "activations: float32")
    assert setting_words(SETTINGS["everything"]) == (
        "weights: 4 bits, asymmetric, mse, per channel",
        "activations: 6 bits, asymmetric, percentile 99, from 256 images",
    )
    grouped = Setting(Scheme(granularity="group", group_size=16))
    assert (
        setting_words(grouped)[0] == "weights: 8 bits, symmetric, minmax, per group of 16"
    )


@pytest.mark.parametrize(
    "size, words",
    [
        (250, "4.0 times smaller than float32"),
        (952, "1.1 times smaller than float32"),
        (953, "hardly smaller than float32"),
        (1000, "as large as float32"),
        (1001, "larger than float32"),
    ],
)
def test_a_size_is_compared_as_a_person_would(evaluator, size, words):
    found = replace(evaluator.exact, bytes=size, float_bytes=1000)
    assert ratio_words(found) == words
