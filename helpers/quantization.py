"""The affine quantizer, written out so that it can be read aloud.

A float x is kept as a small integer q, with one scale and one zero point for many of
them: q = round(x / scale) + zero_point, and back: x' = (q - zero_point) * scale.
Source of the scheme: B. Jacob et al., "Quantization and Training of Neural Networks for
Efficient Integer-Arithmetic-Only Inference", CVPR 2018.
"""

import copy
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

GRANULARITIES = ("tensor", "channel")


@dataclass(frozen=True)
class Scheme:
    """How a tensor is to be quantized.

    Attributes:
        bits: width of an integer, 2 to 16.
        symmetric: the range is centred on zero, and the zero point is 0. Otherwise the
            range runs from the smallest to the largest value, zero included.
        granularity: one scale for the whole "tensor", or one for each "channel", which
            is axis 0 of a weight: the output channel.

    Raises:
        ValueError: a value is not one of those above.
    """

    bits: int = 8
    symmetric: bool = True
    granularity: str = "tensor"

    def __post_init__(self):
        """Refuse what the rest of this module could not carry out."""
        if type(self.bits) is not int or not 2 <= self.bits <= 16:
            raise ValueError(f"bits is {self.bits!r}; expected a whole number, 2 to 16")
        if not isinstance(self.symmetric, bool):
            raise ValueError(f"symmetric is {self.symmetric!r}; expected True or False")
        if self.granularity not in GRANULARITIES:
            allowed = " or ".join(map(repr, GRANULARITIES))
            raise ValueError(f"granularity is {self.granularity!r}; expected {allowed}")


class QParams(NamedTuple):
    """What it takes to go from floats to integers and back.

    Attributes:
        scale: float32, the step between two levels; shape () per tensor, or
            (channels, 1, ..., 1) per channel, so that it broadcasts.
        zero_point: int32, the integer that stands for 0.0; same shape.
        qmin: the smallest integer.
        qmax: the largest integer.
    """

    scale: torch.Tensor
    zero_point: torch.Tensor
    qmin: int
    qmax: int

    @property
    def levels(self) -> torch.Tensor:
        """All the floats that can be represented; shape (..., qmax - qmin + 1)."""
        integers = torch.arange(self.qmin, self.qmax + 1)
        return (integers - self.zero_point.unsqueeze(-1)) * self.scale.unsqueeze(-1)


def choose_qparams(tensor: torch.Tensor, scheme: Scheme) -> QParams:
    """Choose scale and zero point from the smallest and largest value (min-max).

    Symmetric schemes use -(2^(b-1) - 1) to 2^(b-1) - 1. The one level more that a
    two's complement integer has on the negative side is left out, so that x and -x get
    the same magnitude and no kernel has to treat -2^(b-1) as a special case. Asymmetric
    schemes use 0 to 2^b - 1, and their range always holds zero, so that zero (padding,
    ReLU) is kept exactly.

    Args:
        tensor: floats, any shape; per channel at least one axis.
        scheme: the bits, the symmetry and the granularity.

    Raises:
        ValueError: the tensor holds no values, or NaN, infinity or more than 1e38, or
            has no channel axis although the scheme is per channel.
    """
    values = tensor.detach().float()
    _check_values(values, scheme)
    low, high = _min_max(values, scheme)
    if scheme.symmetric:
        qmax = 2 ** (scheme.bits - 1) - 1
        scale = _usable(torch.maximum(low.abs(), high.abs()) / qmax)
        return QParams(scale, torch.zeros_like(scale, dtype=torch.int32), -qmax, qmax)
    qmax = 2**scheme.bits - 1
    low, high = low.clamp(max=0), high.clamp(min=0)
    scale = _usable((high - low) / qmax)
    zero_point = torch.round(-low / scale).clamp(0, qmax).to(torch.int32)
    return QParams(scale, zero_point, 0, qmax)


def quantize(tensor: torch.Tensor, qparams: QParams) -> torch.Tensor:
    """Return the integers, int32, that stand for the floats; shape is kept.

    Values outside the range are clipped to its ends; halves round to even, as in
    `torch.round` and in ONNX's QuantizeLinear.

    Raises:
        ValueError: the tensor holds NaN, for which there is no integer, or the scale is
            not for a tensor of this shape.
    """
    _check_shapes(tensor, qparams)
    if torch.isnan(tensor).any():
        raise ValueError("the tensor holds NaN, which no integer can stand for")
    scaled = torch.round(tensor.float() / qparams.scale) + qparams.zero_point
    return scaled.clamp(qparams.qmin, qparams.qmax).to(torch.int32)


def dequantize(integers: torch.Tensor, qparams: QParams) -> torch.Tensor:
    """Return the floats, float32, that the integers stand for; shape is kept.

    Raises:
        ValueError: the scale is not for a tensor of this shape.
    """
    _check_shapes(integers, qparams)
    return (integers - qparams.zero_point) * qparams.scale


def fake_quantize(tensor: torch.Tensor, scheme: Scheme) -> torch.Tensor:
    """Quantize and dequantize: what is left of the floats after the round trip."""
    qparams = choose_qparams(tensor, scheme)
    return dequantize(quantize(tensor, qparams), qparams)


def fold_batch_norm(model: nn.Module) -> nn.Module:
    """Return a copy in eval mode with each batch norm folded into its convolution.

    An engine does this before it quantizes: y = a * conv(x) + b is one convolution with
    weights a * w. Only pairs that follow each other in a Sequential are folded; the norm's
    place is taken by an Identity. The original is not touched.
    """
    folded = copy.deepcopy(model).eval()
    for sequence in folded.modules():
        if not isinstance(sequence, nn.Sequential):
            continue
        for i in range(len(sequence) - 1):
            convolution, norm = sequence[i], sequence[i + 1]
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                sequence[i] = fuse_conv_bn_eval(convolution, norm)
                sequence[i + 1] = nn.Identity().eval()
    return folded


def _check_values(tensor: torch.Tensor, scheme: Scheme) -> None:
    if tensor.numel() == 0:
        raise ValueError("the tensor is empty: there is no range to choose from")
    # Nearer to float32's end, at 3.4e38, the outermost level may lie beyond it.
    if not (tensor.abs() <= 1e38).all():
        raise ValueError(
            "the tensor holds NaN, infinity or a value beyond 1e38; "
            "repair or clip it before quantizing"
        )
    if scheme.granularity == "channel" and tensor.dim() == 0:
        raise ValueError("the tensor has no axis, so no channels; use granularity='tensor'")


def _check_shapes(tensor: torch.Tensor, qparams: QParams) -> None:
    try:
        # Broadcasting the other way round as well would return a tensor of another shape.
        qparams.scale.expand(tensor.shape)
    except RuntimeError as error:
        raise ValueError(
            f"the tensor has shape {tuple(tensor.shape)} and the scale shape "
            f"{tuple(qparams.scale.shape)}; expected qparams chosen for this tensor"
        ) from error


def _min_max(values: torch.Tensor, scheme: Scheme) -> tuple[torch.Tensor, torch.Tensor]:
    if scheme.granularity == "tensor":
        return values.amin(), values.amax()
    rows = values.reshape(len(values), -1)
    shape = (-1,) + (1,) * (values.dim() - 1)
    return rows.amin(dim=1).reshape(shape), rows.amax(dim=1).reshape(shape)


def _usable(scale: torch.Tensor) -> torch.Tensor:
    # A range of nothing but zeros has no step, and a step below the smallest normal
    # float32 would divide into infinity. Such values become zeros: 1.0 serves for the
    # first; the second keeps an error below 1.2e-38.
    smallest = torch.finfo(torch.float32).tiny
    return torch.where(scale == 0, torch.ones_like(scale), scale.clamp(min=smallest))
