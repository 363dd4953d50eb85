"""A clip threshold: what it does to the error of weights, and where the least error is."""

from functools import lru_cache
from typing import NamedTuple

import torch

from helpers.quantization import QParams, Scheme, choose_qparams, round_trip

SHARES = tuple(range(20, 101, 2))  # of the largest weight, in percent
MOST = 2**18  # weights that all of SHARES are tried on


class Split(NamedTuple):
    """The mean squared error, in two parts.

    Attributes:
        rounding: the part of the weights between the outermost levels.
        clipping: the part of those beyond.
    """

    rounding: float
    clipping: float

    @property
    def whole(self) -> float:
        """The mean squared error of all weights."""
        return self.rounding + self.clipping


def split_error(weight: torch.Tensor, qparams: QParams) -> Split:
    """Return how much of the mean squared error is rounding, and how much clipping."""
    after = round_trip(weight, qparams)
    errors = (weight.double() - after.double()).square()
    # The largest weight itself may exceed its own level by a float's last digit.
    beyond = weight.abs() > ends(qparams) * (1 + 1e-6)
    return Split(*((errors * some).mean().item() for some in (~beyond, beyond)))


def ends(qparams: QParams) -> torch.Tensor:
    """Return where weights are clipped, with a symmetric scheme; shape of the scale."""
    return qparams.scale * qparams.qmax


def clipped_at(weight: torch.Tensor, share: float, bits: int, granularity: str) -> QParams:
    """Return scale and zero point for a threshold set by hand.

    Args:
        weight: what is to be quantized.
        share: where to clip, as a share of the largest weight; per channel or group, of
            the largest in each.
        bits: see Scheme.
        granularity: see Scheme.
    """
    qparams = choose_qparams(weight, Scheme(bits=bits, granularity=granularity))
    return qparams._replace(scale=qparams.scale * share)


def stride(weight: torch.Tensor) -> int:
    """Return 1, or k where only every k-th channel has room in MOST weights."""
    return -(-weight.numel() // MOST)


@lru_cache(maxsize=64)  # a drag asks for the same one again and again
def landscape(weight: torch.Tensor, bits: int, granularity: str) -> list[Split]:
    """Return the error for each of SHARES; of a large weight, for every k-th channel."""
    full, k = clipped_at(weight, 1, bits, granularity), stride(weight)
    if granularity != "tensor":
        full = full._replace(scale=full.scale[::k], zero_point=full.zero_point[::k])
    return [
        split_error(weight[::k], full._replace(scale=full.scale * (share / 100)))
        for share in SHARES
    ]
