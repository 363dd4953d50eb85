"""Pretend to be a runtime that computes with fewer bits of each number."""

import copy

import torch
from torch import nn

from helpers.dtypes import round_fraction
from helpers.quantization import quantizable_layers

# Bits of the mantissa that are stored. The leading one is not, so 23 stand for 24.
# Sources: IEEE 754-2019 for float32 and float16; Intel's and NVIDIA's papers on the
# others, which keep float32's exponent of 8 bits.
MANTISSA_BITS = {"float32": 23, "TF32": 10, "float16": 10, "bfloat16": 7}


@torch.no_grad()
def run_rounded(model: nn.Module, images: torch.Tensor, bits: int) -> torch.Tensor:
    """Answer as a runtime would that stores weights and activations with fewer bits.

    Sums are formed in float64, so that the same comes out on every processor.

    Args:
        model: in eval mode, of convolutions, linear layers and what has no weights; it
            is not touched.
        images: (N, ...).
        bits: of mantissa, 0 to 23.

    Returns:
        The model's output, in float64.

    Raises:
        ValueError: bits is not a whole number from 0 to 23.
    """
    rounded = copy.deepcopy(model)
    for layer in quantizable_layers(rounded).values():
        layer.weight.copy_(round_fraction(layer.weight, bits))
        layer.register_forward_pre_hook(
            lambda _, inputs: round_fraction(inputs[0].float(), bits).double()
        )
    return rounded.double()(images.double())
