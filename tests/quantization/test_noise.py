"""SQNR in decibels, the sensitivity of layers."""

import math

import pytest
import torch

from helpers.quantization import (
    Scheme,
    fake_quantize,
    fold_batch_norm,
    layer_sensitivity,
    quantizable_layers,
    quantize_model,
    sqnr_db,
)
from helpers.training import accuracy


def test_sqnr_by_hand():
    reference = torch.tensor([3.0, 4.0])
    assert sqnr_db(reference, reference) == math.inf
    assert sqnr_db(reference, torch.tensor([3.0, 4.5])) == pytest.approx(20)
    assert sqnr_db(torch.zeros(2), torch.ones(2)) == -math.inf
    assert sqnr_db(reference, torch.tensor([3.0, math.inf])) == -math.inf
    assert math.isnan(sqnr_db(reference, torch.tensor([3.0, math.nan])))
    with pytest.raises(ValueError) as caught:
        sqnr_db(reference, torch.ones(2, 1))
    assert str(caught.value) == (
        "reference has shape (2,), approximation (2, 1); expected the same"
    )


def test_six_decibels_a_bit():
    x = torch.rand(100_000, generator=torch.Generator().manual_seed(0)) * 2 - 1
    at = {bits: sqnr_db(x, fake_quantize(x, Scheme(bits=bits))) for bits in (6, 7, 8, 9)}
    gains = [at[bits + 1] - at[bits] for bits in (6, 7, 8)]
    assert gains == pytest.approx([6.02] * 3, abs=0.2)


def test_sensitivity_quantizes_one_layer_at_a_time(model, digits):
    images, labels = digits.test_images[:200], digits.test_labels[:200]
    table = layer_sensitivity(model, Scheme(3), images, labels)
    assert list(table.columns) == ["layer", "parameters", "accuracy", "sqnr_db"]
    assert table["accuracy"].is_monotonic_increasing
    assert set(table["layer"]) == set(quantizable_layers(fold_batch_norm(model)))
    others = [name for name in table["layer"] if name != "blocks.1.0"]
    alone = quantize_model(model, Scheme(3), keep_float=others)
    row = table.set_index("layer").loc["blocks.1.0"]
    assert row["accuracy"] == round(200 * accuracy(alone, images, labels)) / 200
    assert row["parameters"] == 48 * 9
