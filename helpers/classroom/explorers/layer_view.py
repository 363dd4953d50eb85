"""One layer's weights: their histogram, their levels, and the error of rounding."""

import torch
from torch import nn

from helpers.classroom.charts import Chart, histogram, stack
from helpers.classroom.explorers.setting_words import observer_words
from helpers.classroom.panel import Choice, Menu, Panel, Range
from helpers.quantization import (
    GRANULARITIES,
    OBSERVERS,
    Scheme,
    choose_qparams,
    fake_quantize,
    fold_batch_norm,
    quantizable_layers,
    sqnr_db,
)


def worst_channel(
    reference: torch.Tensor, approximation: torch.Tensor
) -> tuple[int, float]:
    """Return the output channel (axis 0) with the lowest SQNR, and that SQNR in dB.

    Raises:
        ValueError: the shapes differ.
    """
    pairs = zip(reference, approximation, strict=True)
    found = [sqnr_db(one, other) for one, other in pairs]
    lowest = min(found)
    return found.index(lowest), lowest


def draw(
    weights: dict[str, torch.Tensor], layer: str, bits: int, granularity: str, observer: str
) -> Chart:
    """Draw the histograms of a layer's weights, with their levels, and of the errors.

    Args:
        weights: name -> the layer's weights.
        layer: one of the names.
        bits: 2 to 8.
        granularity: see Scheme.
        observer: see Scheme.
    """
    weight = weights[layer]
    scheme = Scheme(bits=bits, granularity=granularity, observer=observer, percentile=99)
    rounded = fake_quantize(weight, scheme)
    channel, worst = worst_channel(weight, rounded)
    # Per channel and per group, the levels of the worst channel stand for the others.
    levels = choose_qparams(
        weight[channel], Scheme(bits=bits, observer=observer, percentile=99)
    )
    if granularity == "tensor":
        levels = choose_qparams(weight, scheme)
    text = (
        f"{layer}: {weight.numel()} weights at {bits} bits per {granularity}, "
        f"{observer_words(scheme)}. "
        f"SQNR {sqnr_db(weight, rounded):.1f} dB. The worst of the {len(weight)} channels "
        f"is number {channel}, with {worst:.1f} dB."
    )
    above = histogram(
        f"Weights of {layer}",
        weight.flatten().tolist(),
        x_label="weight",
        text=text,
        ticks=levels.levels.flatten().tolist(),
        height=230,
    )
    errors = (weight - rounded).flatten().tolist()
    below = histogram("Rounding errors", errors, x_label="error", text=text, height=230)
    return stack([above, below], text)


def layer_view(model: nn.Module, layer: str | None = None) -> Panel:
    """Return the panel for a model whose batch norms follow their convolutions.

    Args:
        model: see above, with at least two layers of Conv2d or Linear.
        layer: the layer to begin with; the first where none is named.

    Raises:
        ValueError: there are fewer than two layers, or none of that name.
    """
    layers = quantizable_layers(fold_batch_norm(model))
    weights = {name: layer.weight.detach() for name, layer in layers.items()}
    if len(weights) < 2:
        raise ValueError(
            f"the model has {len(weights)} layers of Conv2d or Linear; expected two or "
            "more to choose from"
        )
    controls = [
        Menu("layer", "Layer", tuple(weights), layer or next(iter(weights))),
        Range("bits", "Bits", 2, 8, 3),
        Choice("granularity", "One scale per", GRANULARITIES, "tensor"),
        Choice("observer", "Range by", OBSERVERS, "minmax"),
    ]
    return Panel("A layer's weights", controls, lambda **values: draw(weights, **values))
