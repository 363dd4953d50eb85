"""Whose weights can be looked at in any model, by the names that a learner knows."""

import warnings

import torch
from torch import nn

from helpers.classroom.explorers.number_line_drawing import shortened
from helpers.quantization import coverage, fold_batch_norm, quantizable_layers
from helpers.quantization.layers import LayerWeight, layer_weights, refusal, weight_names

WHOLE = ("weight", "in_proj_weight")  # the only one in its layer
MOST = 8  # names in a message
LETTERS = 36  # of a name, so that a menu of them fits a narrow window
LARGEST = 1e38  # that can be quantized


def layers_to_view(
    model: nn.Module, wanted: str | None = None
) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Return label -> weight, float32, output channels first; and each name -> its label.

    Names are those of the layers, also of all that share a weight, and of the parameters.

    Raises:
        ValueError: there is no layer to look at, or none called `wanted`.

    Warns:
        UserWarning: a layer is left out, and why.
    """
    folded = fold_batch_norm(model)
    refused = _refused(folded)
    weights: dict[str, torch.Tensor] = {}
    names: dict[str, str] = {}
    found = layer_weights(folded, refused)
    labels = [_label(some, LETTERS) for some in found]
    if len(set(labels)) < len(labels):
        labels = [_label(some) for some in found]
    for label, some in zip(labels, found, strict=True):
        own = [".".join(filter(None, (name, some.attribute))) for name in some.layers]
        weight = some.to_channels(some.parameter.detach()).float().cpu()
        if reason := _unusable(weight):
            refused |= dict.fromkeys(some.layers, f"{own[0]} {reason}")
            continue
        weights[label] = weight
        for name in (label, *some.layers, *own):
            names.setdefault(name, label)
    if wanted is not None and wanted not in names:
        raise ValueError(_no_such_layer(model, wanted, refused, list(weights)))
    for reason in dict.fromkeys(refused.values()) if weights else ():
        warnings.warn(f"left out: {reason}", UserWarning, stacklevel=3)
    if not weights:
        why = "".join(f"; {reason}" for reason in dict.fromkeys(refused.values()))
        raise ValueError(
            "the model has no layer whose weights can be looked at; expected one such as "
            f"Linear, a convolution, Embedding or MultiheadAttention{why}"
        )
    return weights, names


def _refused(model: nn.Module) -> dict[str, str]:
    found = {}
    for name, layer in quantizable_layers(model).items():
        for attribute in weight_names(layer):
            if reason := refusal(name, layer, attribute):
                # Here is no keep_float, and a model that is one layer has no name.
                reason = reason.partition(", or name")[0]
                found[name] = reason if name else f"{type(layer).__name__}{reason}"
    return found


def _unusable(weight: torch.Tensor) -> str:
    if not weight.numel():
        return "has no values"
    if not (weight.abs() <= LARGEST).all():
        return "holds NaN, infinity or a value beyond 1e38; replace it first"
    return ""


def _label(some: LayerWeight, most: int = 10**6) -> str:
    """Return a layer's name, of at most so many letters, and whether its weight is tied."""
    first, *others = some.layers
    if some.attribute not in WHOLE:
        first = some.name  # of several weights in a layer, each has the name of its own
    first = first or (
        type(some.layer).__name__ if some.attribute == "weight" else some.name
    )
    tied = f" (tied, {len(some.layers)} layers)" if others else ""
    return f"{shortened(first, most)}{tied}"


def _no_such_layer(
    model: nn.Module, wanted: str, refused: dict[str, str], labels: list[str]
) -> str:
    layers = dict(model.named_modules())
    listed = ", ".join(map(repr, labels[:MOST]))
    if len(labels) > MOST:
        listed += f" and {len(labels) - MOST} more"
    expected = f"expected one of {listed}" if labels else "no other can be looked at either"
    if wanted in refused:
        return f"layer is {wanted!r}: {refused[wanted]}; or {expected}"
    if wanted not in layers:
        return f"layer is {wanted!r}, which the model does not have; {expected}"
    table = coverage(model).set_index("layer")["why"]
    why = table.get(wanted, "") or "it holds no weights, or they are folded into another"
    return f"layer is {wanted!r} ({type(layers[wanted]).__name__}): {why}; {expected}"
