"""Choose scale and zero point for a tensor: the observers that find its range.

Save, Load, Ship 0.2.0: helpers/quantization/observers.py · repairs: CHANGELOG.md
"""

import math

import torch

from helpers.arguments import type_of
from helpers.quantization import level_sets
from helpers.quantization.entropy import least_divergence
from helpers.quantization.scales import scale_of
from helpers.quantization.schemes import (
    QParams,
    Scheme,
    dequantize,
    quantize,
    require_scheme,
    round_trip,
)

_TRIED_AT_ONCE = 1 << 16  # values: four bytes each stay in a processor's cache


def choose_qparams(tensor: torch.Tensor, scheme: Scheme) -> QParams:
    """Choose scale and zero point for a tensor.

    Symmetric schemes use -(2^(b-1) - 1) to 2^(b-1) - 1 (`Scheme.signed_range` has more). The one level more that a
    two's complement integer has on the negative side is left out, so that x and -x get
    the same magnitude and no kernel has to treat -2^(b-1) as a special case. Asymmetric
    schemes use 0 to 2^b - 1, and their range always holds zero, so that zero (padding,
    ReLU) is kept exactly.

    Args:
        tensor: floats, any shape; per channel and per group at least one axis. Where the
            range holds nothing but zero, the scale is 1.0.
        scheme: the bits, the symmetry, the granularity and the observer.

    Raises:
        TypeError: the tensor is not a tensor, or the scheme is not a `Scheme`.
        ValueError: the tensor holds no values, or NaN or infinity, or has no channel
            axis although the scheme needs one, or a scale is beyond its dtype.

    >>> qparams = choose_qparams(torch.tensor([-1.0, 0.2, 3.5]), Scheme(bits=4))
    >>> qparams.scale, qparams.qmin, qparams.qmax
    (tensor(0.5000), -7, 7)
    """
    _check_values(tensor, scheme)
    return _qparams(*_ranges(tensor.detach().float(), scheme), scheme)


def fake_quantize(tensor: torch.Tensor, scheme: Scheme) -> torch.Tensor:
    """Return what is left of the floats after the way to integers and back; shape is kept.

    Arguments and errors are those of `choose_qparams`.

    >>> fake_quantize(torch.tensor([-1.0, 0.2, 3.5]), Scheme(bits=4))
    tensor([-1.0000,  0.0000,  3.5000])
    """
    qparams = choose_qparams(tensor, scheme)
    return dequantize(quantize(tensor, qparams), qparams)


def _qparams(low: torch.Tensor, high: torch.Tensor, scheme: Scheme) -> QParams:
    if scheme.format != "integer":
        scale = scale_of(high, level_sets.top(scheme.format), scheme)
        zero_point = torch.zeros_like(scale, dtype=torch.int32)
        return QParams(scale, zero_point, 0, 2**scheme.bits - 1, scheme.format)
    if scheme.symmetric:
        qmax = 2 ** (scheme.bits - 1) - 1
        qmin = -qmax if scheme.signed_range == "narrow" else -qmax - 1
        steps = qmin if scheme.signed_range == "ggml" else (qmax - qmin) / 2
        scale = scale_of(high, steps, scheme)  # low is -high
        return QParams(scale, torch.zeros_like(scale, dtype=torch.int32), qmin, qmax)
    qmax = 2**scheme.bits - 1
    low, high = low.clamp(max=0), high.clamp(min=0)
    scale = scale_of(high - low, qmax, scheme)
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
            low = -high
        else:
            low, high = _quantile(rows, 1 - share), _quantile(rows, share)
    elif scheme.observer == "entropy":
        reach = least_divergence(rows, scheme.bits)
        low, high = low.clamp(min=-reach), high.clamp(max=reach)
    if scheme.signed_range == "ggml":
        farthest = rows.gather(1, rows.abs().argmax(dim=1, keepdim=True))
        low, high = low.copysign(-farthest), high.copysign(farthest)
    if scheme.observer == "mse":
        return _least_squares(rows, low, high, scheme)
    return low, high


def _quantile(rows: torch.Tensor, share: float) -> torch.Tensor:
    """Return the same as torch.quantile, which refuses more than 2^24 values."""
    place = share * (rows.shape[1] - 1)
    below, above = math.floor(place), math.ceil(place)
    ordered = rows.sort(dim=1).values
    return ordered[:, [below]].lerp(ordered[:, [above]], place - below)


def _least_squares(
    rows: torch.Tensor, low: torch.Tensor, high: torch.Tensor, scheme: Scheme
) -> tuple[torch.Tensor, torch.Tensor]:
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
