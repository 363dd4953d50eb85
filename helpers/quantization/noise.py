"""The noise that rounding adds: to a tensor, and through each layer.

Save, Load, Ship 0.2.0: helpers/quantization/noise.py · repairs: CHANGELOG.md
"""

import math
from typing import Any

import pandas as pd
import torch
from torch import nn

from helpers.quantization.folding import fold_batch_norm
from helpers.quantization.inputs import Inputs
from helpers.quantization.layers import layer_weights
from helpers.quantization.metrics import Metric
from helpers.quantization.models import quantize_model
from helpers.quantization.schemes import Scheme
from helpers.quantization.scoring import judge, weight_in


def sqnr_db(reference: torch.Tensor, approximation: torch.Tensor) -> float:
    """Return the signal-to-quantization-noise ratio in decibels; infinite if equal.

    10 log10 of the mean square of the reference over that of the difference: minus
    infinity where nothing but noise is left, NaN where a tensor holds NaN. A uniform
    quantizer gains 6.02 dB with each bit (W. R. Bennett, "Spectra of Quantized
    Signals", Bell System Technical Journal 27, 1948).

    Raises:
        ValueError: the shapes differ.

    >>> weight = torch.tensor([1.0, -2.0, 3.0])
    >>> round(sqnr_db(weight, torch.tensor([1.1, -2.0, 3.0])), 1)
    31.5
    >>> sqnr_db(weight, weight)
    inf
    """
    if reference.shape != approximation.shape:
        raise ValueError(
            f"reference has shape {tuple(reference.shape)}, "
            f"approximation {tuple(approximation.shape)}; expected the same"
        )
    signal = reference.double().square().sum().item()
    noise = (reference.double() - approximation.double()).square().sum().item()
    if noise == 0:
        return math.inf
    ratio = signal / noise  # 0 also where the noise is infinite
    return 10 * math.log10(ratio) if ratio else -math.inf


def layer_sensitivity(
    model: nn.Module,
    scheme: Scheme,
    inputs: Inputs,
    labels: Any,
    metric: Metric | str | None = None,
) -> pd.DataFrame:
    """Quantize one layer's weights at a time; return what each costs.

    Args:
        model: see quantize_model.
        scheme: of the weights.
        inputs: a tensor (N, ...), a tuple of arguments or a mapping of their names.
        labels: one for each of the N rows; see judge.
        metric: one of METRICS by name, or your own; see judge.

    Returns:
        One row a layer, the worst first: layer, parameters (weights only), the metric by
        its name (of the model with only this layer quantized), sqnr_db (of its weights).

    Raises:
        ValueError: see judge and quantize_model.
        TypeError: see judge.

    >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> inputs, labels = torch.rand(8, 4), torch.arange(8) % 2
    >>> layer_sensitivity(model, Scheme(bits=2), inputs, labels).columns.tolist()
    ['layer', 'parameters', 'accuracy', 'sqnr_db']
    """
    weights = layer_weights(folded := fold_batch_norm(model))
    metric, _, _ = judge(folded, inputs, labels, metric)
    rows = []
    for layers in dict.fromkeys(weight.layers for weight in weights):
        one = quantize_model(folded, dict.fromkeys(layers, scheme))
        here = [weight for weight in weights if weight.layers == layers]
        value, _ = metric.summary(judge(one, inputs, labels, metric, here)[1])
        before, after = (
            torch.cat([weight_in(some, weight).flatten() for weight in here])
            for some in (folded, one)
        )
        rows.append((layers[0], before.numel(), value, sqnr_db(before, after)))
    table = pd.DataFrame(rows, columns=["layer", "parameters", metric.name, "sqnr_db"])
    order = {"ascending": [metric.higher_is_better, True], "na_position": "first"}
    return table.sort_values([metric.name, "sqnr_db"], ignore_index=True, **order)
