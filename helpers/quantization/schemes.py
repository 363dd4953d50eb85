"""The affine quantizer: scheme, scale and zero point, to integers and back.

A float x is kept as a small integer q, with one scale and one zero point for many of
them: q = round(x / scale) + zero_point, and back: x' = (q - zero_point) * scale.
Source of the scheme: B. Jacob et al., "Quantization and Training of Neural Networks for
Efficient Integer-Arithmetic-Only Inference", CVPR 2018.

Save, Load, Ship 0.2.0: helpers/quantization/schemes.py · repairs: CHANGELOG.md
"""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, NamedTuple

import torch

from helpers.arguments import require_one_of, type_of, whole_number
from helpers.quantization.level_sets import VALUES, LevelSet, level_set
from helpers.quantization.presets import PRESETS

GRANULARITIES = ("tensor", "channel", "group")
OBSERVERS = ("minmax", "percentile", "mse", "entropy")
SIGNED_RANGES = ("narrow", "full", "ggml")
FORMATS = ("integer", *VALUES)
SCALE_DTYPES = ("float32", "float16", "bfloat16", "e8m0", "e4m3")


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
            largest values, "mse" tries shorter and shorter ranges and takes the one with
            the smallest mean squared error (a scale of "e4m3" is rounded afterwards), and
            "entropy" the one whose histogram loses least, as TensorRT does for activations
            (rows of few values are not clipped).
        percentile: for that observer, which share of the values stays inside, 50 to 100.
            Asymmetric, as many are clipped at each end.
        scale_dtype: what a scale is rounded to: "float32", "float16" or "bfloat16"; for
            floats also "e8m0", a power of two, and "e4m3", by one float32 for the tensor.
        signed_range: of symmetric integers. "narrow" leaves -2^(b-1) out. "full" has it;
            the range is 2^b - 1 steps long, so the largest value lies half a step beyond
            the last level (torchao, ONNX Runtime). "ggml" makes the value farthest from
            zero -2^(b-1), by a scale that may be negative.
        format: "integer", or the floats "e4m3", "e5m2" (8 bits) and "e2m1" (4), or "nf4"
            (4), the quantiles of a normal distribution.

    Raises:
        ValueError: a value is not one of those above.

    >>> Scheme(bits=4, granularity="group", group_size=128).symmetric
    True
    >>> Scheme.preset("MXFP4").scale_dtype
    'e8m0'
    >>> Scheme(bits=1)
    Traceback (most recent call last):
    ValueError: bits is 1; expected a whole number from 2 to 16
    """

    bits: int = 8
    symmetric: bool = True
    granularity: str = "tensor"
    group_size: int = 32
    observer: str = "minmax"
    percentile: float = 99
    scale_dtype: str = "float32"
    signed_range: str = "narrow"
    format: str = "integer"

    def __post_init__(self) -> None:
        """Refuse what the rest of this package could not carry out."""
        # NumPy's numbers become Python's; a frozen dataclass takes them only like this.
        bits = whole_number("bits", self.bits, least=2, most=16)
        group_size = whole_number("group_size", self.group_size, least=2)
        self.__dict__.update(bits=bits, group_size=group_size)
        if not isinstance(self.symmetric, bool):
            raise ValueError(f"symmetric is {self.symmetric!r}; expected True or False")
        require_one_of("granularity", self.granularity, GRANULARITIES)
        require_one_of("observer", self.observer, OBSERVERS)
        if not (isinstance(self.percentile, Real) and 50 <= self.percentile <= 100):
            raise ValueError(
                f"percentile is {self.percentile!r}; expected a number from 50 to 100"
            )
        require_one_of("scale_dtype", self.scale_dtype, SCALE_DTYPES)
        require_one_of("signed_range", self.signed_range, SIGNED_RANGES)
        require_one_of("format", self.format, FORMATS)
        if self.signed_range != "narrow":
            self._require(f"signed_range {self.signed_range!r}", symmetric=[True])
            self._require(f"signed_range {self.signed_range!r}", format=["integer"])
        if self.format != "integer":
            width = len(VALUES[self.format]).bit_length() - 1
            self._require(f"format {self.format!r}", bits=[width], symmetric=[True])
        if self.scale_dtype in ("e8m0", "e4m3"):
            self._require(f"scale_dtype {self.scale_dtype!r}", format=FORMATS[1:4])

    def _require(self, what: str, **allowed: Sequence) -> None:
        for name, values in allowed.items():
            if (value := getattr(self, name)) not in values:
                listed = " or ".join(map(repr, values))
                raise ValueError(f"{name} is {value!r}; {what} goes with {listed}")

    @classmethod
    def preset(cls, name: str, **changes: Any) -> "Scheme":
        """Return the scheme of a format of today; `PRESETS` has its source, too.

        Raises:
            ValueError: there is none of this name; the message lists them.

        >>> Scheme.preset("Q8_0", observer="mse").scale_dtype
        'float16'
        """
        require_one_of("preset", name, PRESETS)
        return cls(**(PRESETS[name][0] | changes))


class QParams(NamedTuple):
    """What it takes to go from floats to integers and back.

    Attributes:
        scale: float32, the step between two levels; shape () per tensor, (channels, 1,
            ..., 1) per channel, and per group the tensor's own shape, equal within each
            group: it always broadcasts against the tensor.
        zero_point: int32, the integer that stands for 0.0; same shape.
        qmin: the smallest integer.
        qmax: the largest integer.
        format: see Scheme. In all but "integer", the integers are the codes of levels,
            which the scale multiplies: a float's bits, a place in NF4's table.

    >>> QParams(torch.tensor(0.5), torch.tensor(0), qmin=-1, qmax=1).levels
    tensor([-0.5000,  0.0000,  0.5000])
    """

    scale: torch.Tensor
    zero_point: torch.Tensor
    qmin: int
    qmax: int
    format: str = "integer"

    @property
    def levels(self) -> torch.Tensor:
        """All the floats that can be represented; shape (..., how many)."""
        if self.format != "integer":
            levels = level_set(self.format, self.scale.device).levels
            return levels * self.scale.unsqueeze(-1)
        integers = torch.arange(self.qmin, self.qmax + 1)
        return (integers - self.zero_point.unsqueeze(-1)) * self.scale.unsqueeze(-1)


def require_scheme(scheme: object) -> None:
    """Refuse a scheme that is not a `Scheme`, such as a number of bits.

    Raises:
        TypeError: it is not.

    >>> require_scheme(8)
    Traceback (most recent call last):
    TypeError: scheme is of type int; expected one such as Scheme(bits=8)
    """
    if not isinstance(scheme, Scheme):
        raise TypeError(f"scheme is {type_of(scheme)}; expected one such as Scheme(bits=8)")


def quantize(tensor: torch.Tensor, qparams: QParams) -> torch.Tensor:
    """Return the integers, int32, that stand for the floats; shape is kept.

    Values outside the range are clipped to its ends; halves round to even, as in
    `torch.round` and in ONNX's QuantizeLinear.

    Raises:
        ValueError: the tensor holds NaN, for which there is no integer, or the scale is
            not for a tensor of this shape.

    >>> qparams = QParams(torch.tensor(0.5), torch.tensor(0), qmin=-7, qmax=7)
    >>> quantize(torch.tensor([0.6, -1.0, 99.0]), qparams)
    tensor([ 1, -2,  7], dtype=torch.int32)
    """
    _check_shapes(tensor, qparams)
    if torch.isnan(tensor).any():
        raise ValueError("the tensor holds NaN, which no integer can stand for")
    if qparams.format != "integer":
        places, found = _nearest(tensor.float() / qparams.scale, qparams.format)
        return found.codes[places]
    scaled = torch.round(tensor.float() / qparams.scale) + qparams.zero_point
    return scaled.clamp(qparams.qmin, qparams.qmax).to(torch.int32)


def dequantize(integers: torch.Tensor, qparams: QParams) -> torch.Tensor:
    """Return the floats, float32, that the integers stand for; shape is kept.

    Raises:
        ValueError: the scale is not for a tensor of this shape.

    >>> qparams = QParams(torch.tensor(0.5), torch.tensor(0), qmin=-7, qmax=7)
    >>> dequantize(torch.tensor([1, -2, 7]), qparams)
    tensor([ 0.5000, -1.0000,  3.5000])
    """
    _check_shapes(integers, qparams)
    if qparams.format != "integer":
        values = VALUES[qparams.format].to(integers.device)
        return values[integers.long()] * qparams.scale
    return (integers - qparams.zero_point) * qparams.scale


def round_trip(tensor: torch.Tensor, qparams: QParams) -> torch.Tensor:
    """Return dequantize(quantize(tensor)), bit for bit, several times as fast.

    The integers stay floats on the way: int32 costs a copy there and one back. Integers
    of 16 bits are exact in float32. NaN stays NaN. The tensor is float32; that `qparams`
    were chosen for its shape, which is kept, is not checked here.

    >>> qparams = QParams(torch.tensor(0.5), torch.tensor(0), qmin=-7, qmax=7)
    >>> round_trip(torch.tensor([0.6, -1.0, 99.0]), qparams)
    tensor([ 0.5000, -1.0000,  3.5000])
    """
    scale, zero_point, qmin, qmax, form = qparams
    if form != "integer":
        places, found = _nearest(scaled := tensor / scale, form)
        return torch.where(scaled.isnan(), scaled, found.levels[places]) * scale
    rounded = torch.round(tensor / scale).add_(zero_point).clamp_(qmin, qmax)
    return rounded.sub_(zero_point).mul_(scale)


def _nearest(scaled: torch.Tensor, form: str) -> tuple[torch.Tensor, LevelSet]:
    found = level_set(form, scaled.device)
    return torch.bucketize(scaled.contiguous(), found.borders), found


def _check_shapes(tensor: torch.Tensor, qparams: QParams) -> None:
    try:
        # Broadcasting the other way round as well would return a tensor of another shape.
        qparams.scale.expand(tensor.shape)
    except RuntimeError as error:
        raise ValueError(
            f"the tensor has shape {tuple(tensor.shape)} and the scale shape "
            f"{tuple(qparams.scale.shape)}; expected qparams chosen for this tensor"
        ) from error
