"""How many bytes a model needs with its weights packed into few bits.

Save, Load, Ship 0.2.0: helpers/quantization/packing.py · repairs: CHANGELOG.md
"""

import math
from collections.abc import Iterable

import torch
from torch import nn

from helpers.quantization.folding import fold_batch_norm
from helpers.quantization.layers import layer_weights
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
    total = held_bytes(folded)
    if scheme is None:
        return total
    require_scheme(scheme)
    for found in layer_weights(folded, keep_float):
        weight = found.to_channels(found.parameter)
        extra = SCALE_BYTES + (0 if scheme.symmetric else ZERO_POINT_BYTES)
        packed = math.ceil(weight.numel() * scheme.bits / 8)
        total += packed + _count_scales(weight, scheme) * extra - weight.nbytes
    return total


def held_bytes(model: nn.Module) -> int:
    """Return the bytes of a model's parameters and saved buffers, a shared one once.

    >>> model = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 9, bias=False))
    >>> model[1].weight = model[0].weight
    >>> held_bytes(model)
    144
    """
    found: dict[object, int] = {}
    for name, tensor in model.state_dict().items():
        if isinstance(tensor, torch.Tensor):
            plain = type(tensor) is torch.Tensor and not tensor.is_meta and tensor.numel()
            key = tensor.data_ptr() if plain else name
            found[key] = max(found.get(key, 0), _held(tensor))
    return sum(found.values())


def _held(tensor: torch.Tensor) -> int:
    # A tensor that is made of others, such as one of torchao, holds what they hold.
    if not hasattr(tensor, "__tensor_flatten__"):
        return tensor.nbytes
    return sum(_held(getattr(tensor, name)) for name in tensor.__tensor_flatten__()[0])


def _count_scales(weight: torch.Tensor, scheme: Scheme) -> int:
    if scheme.granularity == "tensor":
        return 1
    if scheme.granularity == "channel":
        return len(weight)
    return len(weight) * math.ceil(weight[0].numel() / scheme.group_size)
