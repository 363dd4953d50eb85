"""The affine quantizer for one tensor: scheme, scale and zero point, there and back.

A float x is kept as a small integer q, with one scale and one zero point for many of
them: q = round(x / scale) + zero_point, and back: x' = (q - zero_point) * scale.
Source of the scheme: B. Jacob et al., "Quantization and Training of Neural Networks for
Efficient Integer-Arithmetic-Only Inference", CVPR 2018.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch

from helpers.arguments import type_of

GRANULARITIES = ("tensor", "channel", "group")
OBSERVERS = ("minmax", "percentile", "mse")
_TRIED_AT_ONCE = 1 << 16  # values: four bytes each stay in a processor's cache


@dataclass(frozen=True)
class Scheme:
    """How a tensor is to be quantized.

    Attributes:
        bits: width of an integer, 2 to 16.
        symmetric: the range is centred on zero, and the zero point is 0. Otherwise the
            range runs from the smallest to the largest value, zero included.
        granularity: one scale for the whole "tensor", for each "channel", which is axis
            0 of a weight (the output channel), or for each "group" of neighbours within
            an output channel.
        group_size: values in a group, at least 2; the last group of a channel may be short.
        observer: how the range is chosen. "minmax" clips nothing, "percentile" clips the
            largest values, and "mse" tries shorter and shorter ranges and takes the one
            with the smallest mean squared error.
        percentile: for that observer, which share of the values stays inside, 50 to 100.

    Raises:
        ValueError: a value is not one of those above.
    """

    bits: int = 8
    symmetric: bool = True
    granularity: str = "tensor"
    group_size: int = 32
    observer: str = "minmax"
    percentile: float = 99.9

    def __post_init__(self):
        """Refuse what the rest of this module could not carry out."""
        _require(
            _is_whole(self.bits) and 2 <= self.bits <= 16,
            "bits",
            self.bits,
            "a whole number, 2 to 16",
        )
        _require(
            isinstance(self.symmetric, bool), "symmetric", self.symmetric, "True or False"
        )
        _require_one_of(GRANULARITIES, "granularity", self.granularity)
        _require_one_of(OBSERVERS, "observer", self.observer)
        whole = _is_whole(self.group_size) and self.group_size >= 2
        _require(whole, "group_size", self.group_size, "a whole number, 2 or more")
        number = isinstance(self.percentile, int | float) and 50 <= self.percentile <= 100
        _require(number, "percentile", self.percentile, "a number from 50 to 100")

    @property
    def observer_words(self) -> str:
        """The observer, with its percentile where it has one."""
        share = f" {self.percentile:g}" if self.observer == "percentile" else ""
        return f"{self.observer}{share}"


class QParams(NamedTuple):
    """What it takes to go from floats to integers and back.

    Attributes:
        scale: float32, the step between two levels; shape () per tensor, (channels, 1,
            ..., 1) per channel, and per group the tensor's own shape, equal within each
            group: it always broadcasts against the tensor.
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
    """Choose scale and zero point for a tensor.

    Symmetric schemes use -(2^(b-1) - 1) to 2^(b-1) - 1. The one level more that a
    two's complement integer has on the negative side is left out, so that x and -x get
    the same magnitude and no kernel has to treat -2^(b-1) as a special case. Asymmetric
    schemes use 0 to 2^b - 1, and their range always holds zero, so that zero (padding,
    ReLU) is kept exactly.

    Args:
        tensor: floats, any shape; per channel and per group at least one axis. Where the
            range holds nothing but zero, the scale is 1.0.
        scheme: the bits, the symmetry, the granularity and the observer.

    Raises:
        TypeError: the tensor is no tensor, or the scheme no `Scheme`.
        ValueError: the tensor holds no values, or NaN or infinity, or has no channel
            axis although the scheme needs one.
    """
    _check_values(tensor, scheme)
    return _qparams(*_ranges(tensor.detach().float(), scheme), scheme)


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
    """Return what is left of the floats after the way to integers and back.

    Args:
        tensor: floats, any shape, which is kept; see choose_qparams.
        scheme: how to choose scale and zero point.

    Raises:
        ValueError: see choose_qparams.
    """
    qparams = choose_qparams(tensor, scheme)
    return dequantize(quantize(tensor, qparams), qparams)


def round_trip(tensor: torch.Tensor, qparams: QParams) -> torch.Tensor:
    """Return dequantize(quantize(tensor)), bit for bit, several times as fast.

    The integers stay floats on the way: int32 costs a copy there and one back. Integers
    of 16 bits are exact in float32. NaN stays NaN.

    Args:
        tensor: float32, any shape, which is kept.
        qparams: chosen for a tensor of this shape; nothing is checked here.
    """
    scale, zero_point, qmin, qmax = qparams
    rounded = torch.round(tensor / scale).add_(zero_point).clamp_(qmin, qmax)
    return rounded.sub_(zero_point).mul_(scale)


def _qparams(low: torch.Tensor, high: torch.Tensor, scheme: Scheme) -> QParams:
    if scheme.symmetric:
        qmax = 2 ** (scheme.bits - 1) - 1
        scale = _usable(high / qmax)  # low is -high
        return QParams(scale, torch.zeros_like(scale, dtype=torch.int32), -qmax, qmax)
    qmax = 2**scheme.bits - 1
    low, high = low.clamp(max=0), high.clamp(min=0)
    scale = _usable((high - low) / qmax)
    zero_point = torch.round(-low / scale).clamp(0, qmax).to(torch.int32)
    return QParams(scale, zero_point, 0, qmax)


def _ranges(values: torch.Tensor, scheme: Scheme) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (low, high), which broadcast against the values."""
    if scheme.granularity == "tensor":
        low, high = _observe(values.reshape(1, -1), scheme)
        return low.reshape(()), high.reshape(())
    rows = values.reshape(len(values), -1)
    if scheme.granularity == "channel":
        shape = (-1,) + (1,) * (values.dim() - 1)
        low, high = _observe(rows, scheme)
        return low.reshape(shape), high.reshape(shape)
    blocks = rows.split(scheme.group_size, dim=1)
    found = [_observe(block, scheme) for block in blocks]
    low, high = (
        torch.cat([end.expand_as(b) for end, b in zip(ends, blocks, strict=True)], dim=1)
        for ends in zip(*found, strict=True)
    )
    return low.reshape(values.shape), high.reshape(values.shape)


def _observe(rows: torch.Tensor, scheme: Scheme) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (low, high) of each row, shape (R, 1) for rows of shape (R, N)."""
    low, high = rows.amin(dim=1, keepdim=True), rows.amax(dim=1, keepdim=True)
    if scheme.symmetric:
        high = torch.maximum(low.abs(), high.abs())
        low = -high
    if scheme.observer == "percentile":
        share = scheme.percentile / 100
        if scheme.symmetric:
            high = _quantile(rows.abs(), share)
            return -high, high
        return _quantile(rows, 1 - share), _quantile(rows, share)
    if scheme.observer == "mse":
        return _least_squares(rows, low, high, scheme)
    return low, high


def _quantile(rows: torch.Tensor, share: float) -> torch.Tensor:
    """Return the same as torch.quantile, which refuses more than 2^24 values."""
    place = share * (rows.shape[1] - 1)
    below, above = math.floor(place), math.ceil(place)
    ordered = rows.sort(dim=1).values
    return ordered[:, [below]].lerp(ordered[:, [above]], place - below)


def _least_squares(rows, low, high, scheme) -> tuple[torch.Tensor, torch.Tensor]:
    """Try 41 shares of the range for each row, and keep the one that errs least."""
    least, best = torch.full_like(low, torch.inf), torch.ones_like(low)
    # One after the other, small tensors cost calls; all at once, large ones cost memory.
    at_once = max(1, _TRIED_AT_ONCE // rows.numel())
    for shares in torch.linspace(1, 0.2, 41).reshape(-1, 1, 1).split(at_once):
        qparams = _qparams(low * shares, high * shares, scheme)
        errors = (rows - round_trip(rows, qparams)).square_().sum(dim=2, keepdim=True)
        error, first = errors.min(dim=0)
        better = error < least
        least = torch.where(better, error, least)
        best = torch.where(better, shares[first, 0, 0], best)
    return low * best, high * best


def _usable(scale: torch.Tensor) -> torch.Tensor:
    # A range of nothing but zeros has no step, and a step below the smallest normal
    # float32 would divide into infinity. Such values become zeros: 1.0 serves for the
    # first; the second keeps an error below 1.2e-38.
    smallest = torch.finfo(torch.float32).tiny
    return torch.where(scale == 0, torch.ones_like(scale), scale.clamp(min=smallest))


def require_scheme(scheme: object) -> None:
    """Raise TypeError for what is no `Scheme`, such as a number of bits."""
    if not isinstance(scheme, Scheme):
        raise TypeError(f"scheme is {type_of(scheme)}; expected one such as Scheme(bits=8)")


def _check_values(tensor: torch.Tensor, scheme: Scheme) -> None:
    if not isinstance(tensor, torch.Tensor):
        raise TypeError(f"tensor is {type_of(tensor)}; expected torch.tensor(...)")
    require_scheme(scheme)
    if tensor.numel() == 0:
        raise ValueError("the tensor is empty: there is no range to choose from")
    # Nearer to float32's end, at 3.4e38, the outermost level may lie beyond it.
    if not (tensor.abs() <= 1e38).all():
        raise ValueError(
            "the tensor holds NaN, infinity or a value beyond 1e38; "
            "repair or clip it before quantizing"
        )
    if scheme.granularity != "tensor" and tensor.dim() == 0:
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


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _require(holds: bool, name: str, value: object, expected: str) -> None:
    if not holds:
        raise ValueError(f"{name} is {value!r}; expected {expected}")


def _require_one_of(allowed: tuple[str, ...], name: str, value: object) -> None:
    listed = ", ".join(map(repr, allowed))
    _require(value in allowed, name, value, f"one of {listed}")
