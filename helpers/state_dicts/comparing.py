"""Are two state dicts the same, to the last bit, and where do they differ?

Save, Load, Ship 0.2.0: helpers/state_dicts/comparing.py · repairs: CHANGELOG.md
"""

from dataclasses import dataclass

from torch import nn

from helpers.state_dicts.differences import largest_difference
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

    >>> import torch
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
