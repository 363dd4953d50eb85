"""Pretend to be a runtime that computes with fewer bits of each number."""

import torch
from torch import nn

# Bits of the mantissa that are stored. The leading one is not, so 23 stand for 24.
# Sources: IEEE 754-2019 for float32 and float16; Intel's and NVIDIA's papers on the
# others, which keep float32's exponent of 8 bits.
MANTISSA_BITS = {"float32": 23, "TF32": 10, "float16": 10, "bfloat16": 7}


def round_mantissa(values: torch.Tensor, bits: int) -> torch.Tensor:
    """Round each number to so many stored bits of mantissa, ties to even.

    Args:
        values: of any shape, float32 or float64.
        bits: 0 to 23.

    Raises:
        ValueError: bits is out of range.
    """
    if not 0 <= bits <= 23:
        raise ValueError(f"bits is {bits}; expected 0 to 23, as float32 stores")
    mantissa, exponent = torch.frexp(values)  # mantissa in 0.5..1
    return torch.ldexp(torch.round(mantissa * 2 ** (bits + 1)), exponent - (bits + 1))


@torch.no_grad()
def run_rounded(model: nn.Module, images: torch.Tensor, bits: int) -> torch.Tensor:
    """Answer as a runtime would that stores weights and activations with fewer bits.

    Sums are formed in float64, so that the same comes out on every processor.

    Args:
        model: in eval mode, of convolutions, linear layers and what has no weights.
        images: (N, ...).
        bits: of mantissa, 0 to 23.

    Returns:
        The model's output, in float64.
    """
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    weights = {layer: layer.weight.data for layer in layers}
    hooks = [
        layer.register_forward_pre_hook(lambda _, x: round_mantissa(x[0], bits))
        for layer in layers
    ]
    try:
        model.double()
        for layer in layers:
            layer.weight.data = round_mantissa(layer.weight.data, bits)
        return model(images.double())
    finally:
        for hook in hooks:
            hook.remove()
        model.float()
        for layer, weight in weights.items():
            layer.weight.data = weight
