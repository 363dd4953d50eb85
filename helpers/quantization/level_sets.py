"""Formats whose levels are not evenly spaced: floats of eight and four bits, and NF4.

Sources: fp8 is P. Micikevicius et al., "FP8 Formats for Deep Learning", 2022; e2m1 the
Open Compute Project's "Microscaling Formats (MX) Specification", version 1.0, 2023; NF4
T. Dettmers et al., "QLoRA: Efficient Finetuning of Quantized LLMs", 2023, appendix E.

Save, Load, Ship 0.2.0: helpers/quantization/level_sets.py · repairs: CHANGELOG.md
"""

import math
from functools import cache

import torch


def _float8(dtype: torch.dtype) -> tuple[float, ...]:
    return tuple(torch.arange(256, dtype=torch.uint8).view(dtype).float().tolist())


_E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
# The value of each code; a code of fp8 that is NaN or infinite stands for no level.
CODES: dict[str, tuple[float, ...]] = {
    "e4m3": _float8(torch.float8_e4m3fn),
    "e5m2": _float8(torch.float8_e5m2),
    "e2m1": _E2M1 + tuple(-value for value in _E2M1),
    "nf4": (
        *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453),
        *(-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0),
        *(0.07958029955625534, 0.16093020141124725, 0.24611230194568634),
        *(0.33791524171829224, 0.44070982933044434, 0.5626170039176941),
        *(0.7229568362236023, 1.0),
    ),
}


@cache
def level_set(name: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return (levels, codes, borders) of a format.

    Returns:
        levels: the finite ones, ascending, zero once.
        codes: int32, the code of each level; zero's is the positive one.
        borders: between neighbours. A value at or below a border belongs to the lower
            level, one above it to the upper.

    >>> levels, codes, borders = level_set("e2m1")
    >>> levels.tolist()[7:], codes.tolist()[7:]
    ([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0], [0, 1, 2, 3, 4, 5, 6, 7])
    """
    found = {value + 0.0: code for code, value in reversed([*enumerate(CODES[name])])}
    ordered = sorted(value for value in found if math.isfinite(value))
    levels = torch.tensor(ordered)
    codes = torch.tensor([found[value] for value in ordered], dtype=torch.int32)
    borders = levels[:-1].double().add(levels[1:].double()).div(2).float()
    # Halfway, floats go to the even code, as IEEE 754 rounds; NF4 to the lower level.
    below = torch.nextafter(borders, torch.tensor(-torch.inf))
    up = (codes[1:] % 2 == 0) & (name != "nf4")
    return levels, codes, torch.where(up, below, borders)


def nearest(scaled: torch.Tensor, name: str) -> torch.Tensor:
    """Return which level is nearest to each value, counted from the lowest; shape is kept.

    Values beyond the ends go to the ends.

    >>> levels = level_set("e2m1")[0]
    >>> levels[nearest(torch.tensor([0.3, 2.5, -99.0]), "e2m1")]
    tensor([ 0.5000,  2.0000, -6.0000])
    """
    borders = level_set(name)[2].to(scaled.device)
    return torch.bucketize(scaled.contiguous(), borders)


def codes_of(scaled: torch.Tensor, name: str) -> torch.Tensor:
    """Return the code, int32, of the level nearest to each value; shape is kept.

    >>> codes_of(torch.tensor([0.3, -0.3]), "e2m1")
    tensor([1, 9], dtype=torch.int32)
    """
    return level_set(name)[1].to(scaled.device)[nearest(scaled, name)]


def values_of(codes: torch.Tensor, name: str) -> torch.Tensor:
    """Return the value, float32, of each code; shape is kept.

    >>> values_of(torch.tensor([1, 9]), "e2m1")
    tensor([ 0.5000, -0.5000])
    """
    return torch.tensor(CODES[name], device=codes.device)[codes.long()]


def rounded(scaled: torch.Tensor, name: str) -> torch.Tensor:
    """Return the level nearest to each value; NaN stays NaN, shape is kept.

    >>> rounded(torch.tensor([0.3, 5.1]), "e2m1")
    tensor([0.5000, 6.0000])
    """
    levels = level_set(name)[0].to(scaled.device)[nearest(scaled, name)]
    return torch.where(scaled.isnan(), scaled, levels)


def top(name: str) -> float:
    """Return the largest level.

    >>> top("e4m3"), top("e5m2"), top("e2m1"), top("nf4")
    (448.0, 57344.0, 6.0, 1.0)
    """
    return max(filter(math.isfinite, CODES[name]))
