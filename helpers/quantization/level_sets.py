"""Formats whose levels are not evenly spaced: floats of eight and four bits, and NF4.

Sources: fp8 is P. Micikevicius et al., "FP8 Formats for Deep Learning", 2022; e2m1 the
Open Compute Project's "Microscaling Formats (MX) Specification" 1.0, 2023; NF4 T. Dettmers
et al., "QLoRA: Efficient Finetuning of Quantized LLMs", 2023, appendix E.

Save, Load, Ship 0.2.0: helpers/quantization/level_sets.py · repairs: CHANGELOG.md
"""

from functools import cache
from typing import NamedTuple

import torch

_EACH_BYTE = torch.arange(256, dtype=torch.uint8)
_E2M1 = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])
# fmt: off
_NF4 = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
    -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
    0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)
# fmt: on
# The value of each code. Some codes of fp8 are NaN or infinite, and no levels.
VALUES = {
    "e4m3": _EACH_BYTE.view(torch.float8_e4m3fn).float(),
    "e5m2": _EACH_BYTE.view(torch.float8_e5m2).float(),
    "e2m1": torch.cat([_E2M1, -_E2M1]),
    "nf4": torch.tensor(_NF4),
}


class LevelSet(NamedTuple):
    """The levels of a format, ascending, zero once, and the code, int32, of each.

    A value at or below `borders[i]` belongs to level i or lower, one above to a higher.

    >>> level_set("e2m1", "cpu").levels[7:]
    tensor([0.0000, 0.5000, 1.0000, 1.5000, 2.0000, 3.0000, 4.0000, 6.0000])
    """

    levels: torch.Tensor
    codes: torch.Tensor
    borders: torch.Tensor


@cache
def level_set(name: str, device: torch.device | str) -> LevelSet:
    """Return the levels of one of VALUES on a device.

    >>> level_set("e2m1", "cpu").codes
    tensor([15, 14, 13, 12, 11, 10,  9,  0,  1,  2,  3,  4,  5,  6,  7],
           dtype=torch.int32)
    """
    codes = {
        value + 0.0: code for code, value in reversed([*enumerate(VALUES[name].tolist())])
    }
    levels = torch.tensor(sorted(value for value in codes if abs(value) < torch.inf))
    ordered = torch.tensor([codes[value] for value in levels.tolist()], dtype=torch.int32)
    borders = levels.double().unfold(0, 2, 1).mean(dim=1).float()
    # Halfway, floats go to the even code, as IEEE 754 rounds; NF4 to the lower level.
    upwards = (ordered[1:] % 2 == 0) & (name != "nf4")
    borders = torch.where(upwards, borders.nextafter(borders - 1), borders)
    return LevelSet(levels.to(device), ordered.to(device), borders.to(device))
