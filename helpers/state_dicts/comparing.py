"""Are two state dicts the same, to the last bit, and where do they differ?

Save, Load, Ship 0.2.0: helpers/state_dicts/comparing.py · repairs: CHANGELOG.md
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from helpers.state_dicts.reports import NameReport
from helpers.state_dicts.tensors import StateDict, describe_tensor, dtype_name, tensors_of


@dataclass(frozen=True, repr=False)
class Comparison(NameReport):
    """What `compare` found.

    Attributes:
        missing: names in ours and not in theirs.
        unexpected: names in theirs and not in ours.
        mismatched_shape: name -> (our shape, their shape); values are not compared.
        mismatched_dtype: name -> (our dtype, their dtype), as "float32"; values are
            compared as well, after conversion.
        different: name -> largest absolute difference. A NaN or infinity on one side
            only gives inf; 0.0 means equal values in other bits, such as 0.0 and -0.0.
        not_compared: names without values on one side or both (the meta device).
        identical: same names, shapes, dtypes and bits; order and device may differ.

    >>> found = compare(nn.Linear(3, 2), nn.Linear(3, 2, bias=False).double())
    >>> found.missing, found.mismatched_dtype
    (('bias',), {'weight': ('float32', 'float64')})
    >>> found.identical
    False
    """

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched_shape: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]
    mismatched_dtype: dict[str, tuple[str, str]]
    different: dict[str, float]
    not_compared: tuple[str, ...]
    identical: bool
    _good = "equal"
    _columns = ("name", "finding", "ours", "theirs", "note")


def compare(ours: nn.Module | StateDict, theirs: nn.Module | StateDict) -> Comparison:
    """Compare names, shapes, dtypes and every bit of every value.

    A NaN equals itself bit for bit, and 0.0 is not -0.0: what was saved and loaded must
    be identical, and one flipped bit must not hide. Differences between integers are taken
    exactly and then rounded to float64, all others in float64.

    >>> ours = {"scale": torch.tensor([1.0, 2.0])}
    >>> compare(ours, {"scale": torch.tensor([1.0, 2.5])}).different
    {'scale': 0.5}
    >>> compare(ours, {"scale": torch.tensor([1.0, 2.0])}).identical
    True
    """
    ours, theirs = tensors_of(ours, "ours"), tensors_of(theirs, "theirs")
    shapes, dtypes = {}, {}
    different: dict[str, float] = {}
    rows: list[tuple[str, ...]] = []
    for name in {**ours, **theirs}:
        a, b = ours.get(name), theirs.get(name)
        finding, note = "equal", ""
        if a is None or b is None:
            finding = "unexpected" if a is None else "missing"
        elif a.shape != b.shape:
            finding = "other shape"
            shapes[name] = tuple(a.shape), tuple(b.shape)
        else:
            if a.dtype != b.dtype:
                finding = "other dtype"
                dtypes[name] = dtype_name(a), dtype_name(b)
            if a.is_meta or b.is_meta:
                finding, note = "not compared", "no values on the meta device"
            elif (gap := largest_difference(a, b)) is not None:
                finding = "different" if a.dtype == b.dtype else finding
                different[name] = gap
                note = f"largest difference {gap:.3g}"
        rows.append((name, finding, describe_tensor(a), describe_tensor(b), note))

    def found(word: str) -> tuple[str, ...]:
        return tuple(row[0] for row in rows if row[1] == word)

    return Comparison(
        rows=tuple(rows),
        missing=found("missing"),
        unexpected=found("unexpected"),
        mismatched_shape=shapes,
        mismatched_dtype=dtypes,
        different=different,
        not_compared=found("not compared"),
        identical=len(found("equal")) == len(rows),
    )


def largest_difference(a: Tensor, b: Tensor) -> float | None:
    """Return the largest absolute difference between two tensors of one shape.

    Returns:
        None where all bits are the same or, between two dtypes, all values; 0.0 for equal
        values in other bits, such as 0.0 and -0.0.

    >>> largest_difference(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.5]))
    0.5
    >>> largest_difference(torch.tensor([0.0]), torch.tensor([-0.0]))
    0.0
    >>> largest_difference(torch.ones(2), torch.ones(2)) is None
    True
    """
    same_dtype = a.dtype == b.dtype
    a, b = (t.detach().cpu().resolve_conj().contiguous().flatten() for t in (a, b))
    if same_dtype and torch.equal(a.view(torch.uint8), b.view(torch.uint8)):
        return None
    gap_between = _whole_gap if _is_whole(a) and _is_whole(b) else _gap
    largest = 0.0
    # In pieces, so that the wide copies of a large tensor take little memory.
    for x, y in zip(a.split(2**20), b.split(2**20), strict=True):
        if len(x):
            largest = max(largest, gap_between(x, y).max().item())
    return largest if same_dtype or largest else None


def _gap(x: Tensor, y: Tensor) -> Tensor:
    wide = torch.complex128 if x.is_complex() or y.is_complex() else torch.float64
    x, y = x.to(wide), y.to(wide)
    equal = (x == y) | (x.isnan() & y.isnan())
    gap = torch.where(equal, 0.0, (x - y).abs())
    return gap.nan_to_num(nan=torch.inf, posinf=torch.inf)


def _is_whole(tensor: Tensor) -> bool:
    return not (tensor.is_floating_point() or tensor.is_complex())


def _whole_gap(x: Tensor, y: Tensor) -> Tensor:
    # 2**53 and 2**53 + 1 are one float64, and a difference of two int64 may need 65
    # bits. In halves of 32 bits nothing is lost before the one rounding of the sum.
    high_x, low_x = _halves(x)
    high_y, low_y = _halves(y)
    return ((high_x - high_y).double() * 2**32 + (low_x - low_y).double()).abs()


def _halves(integers: Tensor) -> tuple[Tensor, Tensor]:
    """Return (high, low), int64, with high * 2**32 + low == integers."""
    low_bits = 2**32 - 1
    if integers.dtype == torch.uint64:  # int64 reads its upper half as negative
        signed = integers.view(torch.int64)
        return (signed >> 32) & low_bits, signed & low_bits
    wide = integers.long()
    return wide >> 32, wide & low_bits
