"""How many bytes a model needs with its weights packed into few bits.

Save, Load, Ship 0.2.0: helpers/quantization/packing.py · repairs: CHANGELOG.md
"""

import math
from collections.abc import Iterable

import torch
from torch import nn

from helpers.quantization.layers import fold_batch_norm, select_layers
from helpers.quantization.schemes import Scheme, require_scheme

SCALE_BYTES = 4  # a float32
# Symmetric schemes need none. With more than 8 bits it would take 2; that is neglected.
ZERO_POINT_BYTES = 1


def packed_bytes(
    model: nn.Module, scheme: Scheme | None, keep_float: Iterable[str] = ()
) -> int:
    """Return the bytes that the folded model needs with its weights packed.

    Counted are the weights at their bit width (each layer rounded up to whole bytes), a
    float32 scale for each tensor, channel or group, a zero point of one byte beside it
    where the scheme is asymmetric, and whatever stays in float32, biases included. Not
    counted are names and headers of a file.

    Raises:
        TypeError: the model is not a module, or the scheme is not a `Scheme`.
        ValueError: a name in keep_float is not a layer's.

    >>> model = nn.Sequential(nn.Linear(64, 10, bias=False))
    >>> packed_bytes(model, None), packed_bytes(model, Scheme(bits=4))
    (2560, 324)
    """
    folded = fold_batch_norm(model)
    total = sum(tensor.nbytes for tensor in folded.state_dict().values())
    if scheme is None:
        return total
    require_scheme(scheme)
    for layer in select_layers(folded, keep_float).values():
        extra = SCALE_BYTES + (0 if scheme.symmetric else ZERO_POINT_BYTES)
        packed = math.ceil(layer.weight.numel() * scheme.bits / 8)
        total += packed + _count_scales(layer.weight, scheme) * extra - layer.weight.nbytes
    return total


def _count_scales(weight: torch.Tensor, scheme: Scheme) -> int:
    if scheme.granularity == "tensor":
        return 1
    if scheme.granularity == "channel":
        return len(weight)
    return len(weight) * math.ceil(weight[0].numel() / scheme.group_size)
