"""Scales as they are stored: rounded to their own dtype, and usable whatever the range.

Save, Load, Ship 0.2.0: helpers/quantization/scales.py · repairs: CHANGELOG.md
"""

import math

import torch

from helpers.quantization.schemes import Scheme

_SMALLEST = torch.finfo(torch.float32).tiny
_EXPONENT = 0x7F800000  # the bits of a float32 that hold its power of two
_E4M3 = torch.finfo(torch.float8_e4m3fn)


def scale_of(reach: torch.Tensor, steps: float, scheme: Scheme) -> torch.Tensor:
    """Return the step with which so many steps span the reach, in the scheme's dtype.

    Args:
        reach: float32, any shape: the values' largest magnitude, or their whole range.
        steps: how many steps it is to be; negative turns the sign.
        scheme: whose `scale_dtype` rounds the step.

    Returns:
        float32, the shape of `reach`; never 0.

    Raises:
        ValueError: a scale is too large for the dtype.

    >>> scale_of(torch.tensor([1.0, 0.0]), 7, Scheme(bits=4, scale_dtype="float16"))
    tensor([0.1428, 1.0000])
    """
    if scheme.scale_dtype == "float32":
        return _usable(reach / steps)
    if scheme.scale_dtype == "e8m0":
        # Section 6.3 of the MX specification: the largest power of two in the reach, by
        # the largest in the format. What is then beyond its last level is clipped.
        power = reach.contiguous().view(torch.int32).bitwise_and(_EXPONENT)
        return _usable(power.view(torch.float32) / 2 ** math.floor(math.log2(steps)))
    if scheme.scale_dtype == "e4m3":
        tensor_scale = _usable(reach.amax() / (_E4M3.max * steps))
        blocks = (reach / steps / tensor_scale).clamp(_E4M3.tiny, _E4M3.max)
        return blocks.to(torch.float8_e4m3fn).float() * tensor_scale
    dtype = getattr(torch, scheme.scale_dtype)
    info = torch.finfo(dtype)
    step = _usable(reach / steps, max(info.tiny * info.eps, _SMALLEST)).to(dtype).float()
    if step.isinf().any():
        raise ValueError(
            f"a scale of {(reach / steps).abs().max():.3g} is beyond {scheme.scale_dtype}, "
            f"which ends at {info.max:.3g}; use scale_dtype='float32'"
        )
    return step


def _usable(scale: torch.Tensor, smallest: float = _SMALLEST) -> torch.Tensor:
    # A range of nothing but zeros has no step, and a step below the smallest normal
    # float32 would divide into infinity. Such values become zeros: 1.0 serves for the
    # first; the second keeps an error below 1.2e-38.
    size = scale.abs().clamp(min=smallest).copysign(scale)
    return torch.where(scale == 0, torch.ones_like(scale), size)
