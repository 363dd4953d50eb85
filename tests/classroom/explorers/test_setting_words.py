"""A setting in words, and the code that repeats what was measured."""

from dataclasses import replace

import pytest

from helpers.classroom.explorers.setting_words import (
    kept_words,
    ratio_words,
    setting_code,
    setting_words,
)
from helpers.quantization import (
    Scheme,
    Setting,
    quantizable_layers,
    quantize_model,
)
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
    "scheme, words",
    [
        (
            Scheme.preset("Q4_0"),
            "4 bits, symmetric, ggml signed range, minmax, per",
        ),
        (
            Scheme(signed_range="full"),
            "8 bits, symmetric, full signed range, minmax, per",
        ),
        (Scheme.preset("MXFP4"), "4 bits of e2m1, minmax, per group of 32, scales of e8m0"),
        (Scheme(4, format="nf4"), "4 bits of nf4, minmax, per tensor"),
        (
            Scheme(scale_dtype="bfloat16"),
            "8 bits, symmetric, minmax, per tensor, scales",
        ),
    ],
    ids=str,
)
def test_what_is_not_the_default_of_a_scheme_is_named(scheme, words):
    said, _ = setting_words(Setting(scheme))
    assert said.startswith(f"weights: {words}")
    if scheme.scale_dtype != "float32":
        assert f"scales of {scheme.scale_dtype}" in said


THREE, EIGHT = Scheme(3), Scheme(8)
LAYERS = ("stem.0", "blocks.1.0", "head")
USUAL = "3 bits, symmetric, minmax, per tensor"


@pytest.mark.parametrize(
    "weights, kept, words",
    [
        ({"stem.0": THREE, "blocks.1.0": THREE, "head": THREE}, (), USUAL),
        (
            {"stem.0": THREE, "blocks.1.0": THREE, "head": EIGHT},
            (),
            f"{USUAL}, but 8 bits in head",
        ),
        ({"stem.0": THREE, "head": THREE}, (), f"{USUAL}, but float32 in blocks.1.0"),
        ({"stem.0": THREE, "head": THREE}, ("blocks.1.0",), USUAL),
        ({"head": THREE}, (), f"float32, but {USUAL} in head"),
        (
            {"stem.0": THREE, "blocks.1.0": EIGHT},
            (),
            f"{USUAL}, but 8 bits in blocks.1.0; float32 in head",
        ),
        (
            {"stem.0": THREE, "blocks.1.0": THREE, "head": Scheme(8, False)},
            (),
            f"{USUAL}, but 8 bits, asymmetric, minmax, per tensor in head",
        ),
        ({}, (), "float32"),
    ],
)
def test_layers_with_a_scheme_of_their_own_are_named(weights, kept, words):
    setting = Setting(weights, keep_float=kept)
    assert setting_words(setting, layers=LAYERS)[0] == f"weights: {words}"


@pytest.mark.parametrize("activations", [None, EIGHT])
@pytest.mark.parametrize("weights", [THREE, {"head": THREE}, None])
def test_where_all_layers_stay_in_float_nothing_else_is_said(weights, activations):
    setting = Setting(weights, activations, keep_float=LAYERS)
    said = ("weights: float32", "activations: float32")
    assert setting_words(setting, layers=LAYERS) == said
    assert kept_words(setting, LAYERS) == ""
    assert setting_words(replace(setting, keep_float=()), layers=LAYERS) != said or not (
        weights or activations
    )


def test_layers_that_stay_in_float_are_named_and_many_are_counted():
    assert kept_words(Setting(THREE), LAYERS) == ""
    assert kept_words(Setting(keep_float=("head",)), LAYERS) == ""
    kept = Setting(THREE, keep_float=("head", "stem.0"))
    assert kept_words(kept, LAYERS) == "in float: stem.0 and head"
    inputs = Setting(None, EIGHT, keep_float=("head",))
    assert kept_words(inputs, LAYERS) == "in float: head"
    itself = Setting({"": THREE, "out_proj": EIGHT}, keep_float=("",))
    assert kept_words(itself, ("", "out_proj")) == "in float: the model"
    assert setting_words(replace(itself, keep_float=()))[0].startswith(
        f"weights: {USUAL} in the model, but 8 bits in out_proj; "
    )
    names = [f"layer{k}" for k in range(9)]
    for count, words in (
        (4, "layer0, layer1, layer2 and layer3"),
        (5, "layer0, layer1, layer2 and 2 others"),
        (8, "layer0, layer1, layer2 and 5 others"),
    ):
        many = Setting(THREE, keep_float=tuple(names[:count]))
        assert kept_words(many, names) == f"in float: {words}"


def test_where_the_other_layers_are_not_known_all_are_named():
    weights = {"stem.0": THREE, "blocks.1.0": THREE, "head": EIGHT}
    assert setting_words(Setting(weights))[0] == (
        f"weights: {USUAL} in stem.0 and blocks.1.0, but 8 bits in head; float32 in all "
        "others"
    )


def test_the_code_of_schemes_for_layers_makes_the_same_setting(model):
    names = tuple(quantizable_layers(model))
    weights = dict.fromkeys(names, THREE) | {"head": EIGHT, "stem.0": Scheme(4, False)}
    del weights["blocks.1.0"]
    setting = Setting(weights, keep_float=("blocks.0.0",))
    code = setting_code(setting)
    assert max(map(len, code.splitlines())) <= 88 and code.count("Scheme(") == 3
    took = {}

    def note(model, weights, keep_float):
        took.update(weights=weights, keep_float=keep_float)

    eval(code, {"quantize_model": note, "Scheme": Scheme, "model": model})
    assert Setting(**took) == setting
    assert setting_code(Setting({"head": EIGHT})) == (
        'quantize_model(\n    model,\n    weights={\n        "head": Scheme(bits=8),\n'
        "    },\n)"
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
