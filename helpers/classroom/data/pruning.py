"""Smaller by leaving out: channels that are really gone, and weights that are zero."""

import math

import torch
from torch import nn

from helpers.classroom.data.networks import DigitsNet
from helpers.quantization import (
    Scheme,
    fold_batch_norm,
    forward_hooks,
    packed_bytes,
    quantizable_layers,
)

FLOAT_BITS = 32


def sparsity(model: nn.Module) -> float:
    """Return the share of the weights of Conv2d and Linear layers that are zero, 0 to 1."""
    weights = [layer.weight for layer in quantizable_layers(model).values()]
    return sum((w == 0).sum().item() for w in weights) / sum(w.numel() for w in weights)


def prunable_layers(model: nn.Module) -> dict[str, nn.Conv2d | nn.Linear]:
    """Return the layers in which zeros are worth having, by name.

    Those whose filters sum over several channels. A depthwise filter has nine weights,
    each of which matters, and all depthwise filters together are a tenth of a DigitsNet.
    """
    layers = quantizable_layers(model)
    return {name: m for name, m in layers.items() if m.weight.shape[1] > 1}


def sparse_bytes(model: nn.Module, scheme: Scheme | None = None) -> int:
    """Return the bytes of the folded model if each zero weight costs one bit.

    The simplest format that gains from zeros: a bit for each weight says whether it is
    stored. A layer without enough zeros is stored plainly, as `packed_bytes` counts it.

    Args:
        model: folded or to be folded.
        scheme: of the weights that are stored; None keeps them in float32.
    """
    folded = fold_batch_norm(model)
    total = packed_bytes(folded, scheme)
    bits = FLOAT_BITS if scheme is None else scheme.bits
    for layer in quantizable_layers(folded).values():
        sparse, dense = sparse_layer_bytes(layer.weight, bits)
        total -= max(dense - sparse, 0)
    return total


def sparse_layer_bytes(weight: torch.Tensor, bits: int) -> tuple[int, int]:
    """Return the bytes of a weight with a bit for each zero, and without.

    Args:
        weight: any shape.
        bits: of each number that is stored.
    """
    count, stored = weight.numel(), int((weight != 0).sum())
    sparse = math.ceil(count / 8) + math.ceil(stored * bits / 8)
    return sparse, math.ceil(count * bits / 8)


@torch.no_grad()
def keep_strongest_channels(model: DigitsNet, width: int) -> DigitsNet:
    """Return a narrower DigitsNet made of the strongest channels of a wider one.

    A channel's strength is the L1 norm of the filter that makes it, batch norm folded
    in. Where a channel goes, three layers lose a part: the filter that makes it, its own
    depthwise filter, and one input of each filter of the next layer.

    Args:
        model: a DigitsNet of any greater or equal width.
        width: of the result, which is in eval mode.

    Raises:
        ValueError: the width is not between 1 and the model's own.
    """
    own = model.stem[0].out_channels
    if not 1 <= width <= own:
        raise ValueError(f"width is {width!r}; expected 1 to {own}, the model's own")
    smaller = DigitsNet(width, model.head.out_features)
    folded = fold_batch_norm(model)
    tensors = dict(model.state_dict())
    kept = _strongest(folded.stem[0], smaller.stem[0].out_channels)
    _take(tensors, "stem.0.weight", kept)
    _take_norm(tensors, "stem.1", kept)
    for k, block in enumerate(folded.blocks):
        _take(tensors, f"blocks.{k}.0.weight", kept)
        _take_norm(tensors, f"blocks.{k}.1", kept)
        made = _strongest(block[3], smaller.blocks[k][3].out_channels)
        _take(tensors, f"blocks.{k}.3.weight", made)
        _take(tensors, f"blocks.{k}.3.weight", kept, axis=1)
        _take_norm(tensors, f"blocks.{k}.4", made)
        kept = made
    _take(tensors, "head.weight", kept, axis=1)
    smaller.load_state_dict(tensors)
    return smaller.eval()


def _strongest(layer: nn.Conv2d, count: int) -> torch.Tensor:
    strength = layer.weight.abs().sum(dim=(1, 2, 3))
    # Sorted again, so that the channels keep their order.
    return strength.argsort(descending=True, stable=True)[:count].sort().values


def _take(tensors: dict, name: str, kept: torch.Tensor, axis: int = 0) -> None:
    tensors[name] = tensors[name].index_select(axis, kept)


def _take_norm(tensors: dict, prefix: str, kept: torch.Tensor) -> None:
    for part in ("weight", "bias", "running_mean", "running_var"):
        _take(tensors, f"{prefix}.{part}", kept)


def multiply_adds(model: nn.Module, image: torch.Tensor) -> int:
    """Return the multiplications that one image costs in Conv2d and Linear layers.

    Zeros are counted like any other weight, since a dense kernel multiplies them too.

    Args:
        model: any model.
        image: one input, shape (1, ...).
    """
    counts: dict[str, int] = {}

    def count(name: str, layer: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        places = output[0].numel() // len(layer.weight)
        counts[name] = places * layer.weight.numel()

    with torch.no_grad(), forward_hooks(quantizable_layers(model), count):
        model(image)
    return sum(counts.values())
