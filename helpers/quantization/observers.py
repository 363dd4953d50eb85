"""Choose scale and zero point for a tensor: the observers that find its range.

Save, Load, Ship 0.2.0: helpers/quantization/observers.py · repairs: CHANGELOG.md
"""

import math

import torch
from torch import nn

from helpers.arguments import type_of
from helpers.quantization.level_sets import level_set
from helpers.quantization.schemes import (
    QParams,
    Scheme,
    dequantize,
    quantize,
    require_scheme,
    round_trip,
)

_SMALLEST = torch.finfo(torch.float32).tiny
_TRIED_AT_ONCE = 1 << 16  # values: four bytes each stay in a processor's cache


def choose_qparams(tensor: torch.Tensor, scheme: Scheme) -> QParams:
    """Choose scale and zero point for a tensor.

    Symmetric schemes use -(2^(b-1) - 1) to 2^(b-1) - 1. The one level more that a
    two's complement integer has on the negative side is left out, so that x and -x get
    the same magnitude and no kernel has to treat -2^(b-1) as a special case; other signed
    ranges and formats are named in `Scheme`. Asymmetric schemes use 0 to 2^b - 1, and
    their range always holds zero, so that zero (padding, ReLU) is kept exactly.

    Args:
        tensor: floats, any shape; per channel and per group at least one axis. Where the
            range holds nothing but zero, the scale is 1.0.
        scheme: the bits, the symmetry, the granularity and the observer.

    Raises:
        TypeError: the tensor is not a tensor, or the scheme is not a `Scheme`.
        ValueError: the tensor holds no values, or NaN or infinity, or has no channel
            axis although the scheme needs one; or a scale is beyond its dtype.

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
    if scheme.symmetric:  # low is -high
        qmax = 2 ** (scheme.bits - 1) - 1
        qmin = -qmax if scheme.signed_range == "narrow" else -qmax - 1
        steps = qmin if scheme.signed_range == "ggml" else (qmax - qmin) / 2
        if scheme.format != "integer":
            steps = level_set(scheme.format, high.device).levels[-1].item()
            qmin, qmax = 0, 2**scheme.bits - 1
        scale = _scale(high, steps, scheme)
        zero_point = torch.zeros_like(scale, dtype=torch.int32)
        return QParams(scale, zero_point, qmin, qmax, scheme.format)
    qmax = 2**scheme.bits - 1
    low, high = low.clamp(max=0), high.clamp(min=0)
    scale = _scale(high - low, qmax, scheme)
    zero_point = torch.round(-low / scale).clamp(0, qmax).to(torch.int32)
    return QParams(scale, zero_point, 0, qmax)


def _scale(reach: torch.Tensor, steps: float, scheme: Scheme) -> torch.Tensor:
    """Return the step of which so many span the reach, as the scheme's dtype has it."""
    if scheme.scale_dtype == "e8m0":
        # MX 1.0, section 6.3: the largest power of two in the reach, by that in a level.
        power = reach.contiguous().view(torch.int32).bitwise_and(0x7F800000)
        return _usable(power.view(torch.float32) / 2 ** math.floor(math.log2(steps)))
    if scheme.scale_dtype == "e4m3":
        whole, fp8 = _usable(reach.amax() / (448 * steps)), torch.float8_e4m3fn
        return (reach / steps / whole).clamp(2**-6, 448).to(fp8).float() * whole
    dtype = getattr(torch, scheme.scale_dtype)
    info = torch.finfo(dtype)
    scale = _usable(reach / steps, max(info.tiny * info.eps, _SMALLEST))
    if (scale.abs() > info.max).any():
        raise ValueError(
            f"a scale of {scale.abs().max():.3g} is beyond {scheme.scale_dtype}, which "
            f"ends at {info.max:.3g}; use scale_dtype='float32'"
        )
    return scale.to(dtype).float()


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
            cut = (1 - share) / 2  # at each end
            low, high = _quantile(rows, cut), _quantile(rows, 1 - cut)
    if scheme.observer == "entropy":
        reach = torch.cat([_least_divergence(r, scheme.bits) for r in rows.split(1024)])
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


def _least_divergence(rows: torch.Tensor, bits: int) -> torch.Tensor:
    """Return for each row the reach that loses least information (R, 1).

    Magnitudes are counted in 16 bins a level, at most 2048. Those up to a reach, with all
    that is clipped in the last, are compared with the same merged to one a level and
    spread again. Source: S. Migacz, "8-bit Inference with TensorRT", GTC 2017, which tries
    each bin; 61 are tried here. The reach is the whole from 12 bits on, and for a row with
    fewer values than bins, of which a histogram tells nothing.
    """
    bins = min(16 * 2 ** (bits - 1), 2048)
    levels = min(2 ** (bits - 1), bins)
    largest = rows.abs().amax(dim=1, keepdim=True)
    if rows.shape[1] < bins:
        return largest
    places = (rows.abs() / largest.clamp(min=_SMALLEST) * bins).long().clamp_(max=bins - 1)
    counts = torch.zeros(len(rows), bins, device=rows.device, dtype=torch.float64)
    counts.scatter_add_(1, places, torch.ones_like(places, dtype=torch.float64))
    least, best = torch.full_like(largest, torch.inf), largest
    each, level = (torch.arange(n, device=rows.device) for n in (bins, levels + 1))
    for end in range(bins, levels - 1, -max(1, levels // 4)):
        true = counts[:, :end].clone()
        true[:, -1] += counts[:, end:].sum(dim=1)
        filled, edges = (true > 0).double(), -(-level * end // levels)
        merged, holders = (
            nn.functional.pad(one.cumsum(dim=1), (1, 0))[:, edges].diff(dim=1)
            for one in (counts[:, :end], filled)
        )
        places = each[:end] * levels // end
        spread = (merged / holders.clamp(min=1))[:, places].clamp_(min=1e-4) * filled
        p, q = (each / each.sum(dim=1, keepdim=True) for each in (true, spread))
        lost = torch.where(filled > 0, p * (p / q).log(), 0).sum(dim=1, keepdim=True)
        best = torch.where(lost < least, largest * end / bins, best)
        least = torch.minimum(least, lost)
    return best


def _usable(scale: torch.Tensor, smallest: float = _SMALLEST) -> torch.Tensor:
    # A range of nothing but zeros has no step, and a step below the smallest normal
    # float32 would divide into infinity. Such values become zeros: 1.0 serves for the
    # first; the second keeps an error below 1.2e-38.
    size = scale.abs().clamp(min=smallest).copysign(scale)
    return torch.where(scale == 0, torch.ones_like(scale), size)


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
