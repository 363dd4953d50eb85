"""Are two state dicts the same, to the last bit, and where do they differ?

Save, Load, Ship 0.2.0: helpers/state_dicts/comparing.py · repairs: CHANGELOG.md
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from helpers.state_dicts.differences import NotComparableError, largest_difference
from helpers.state_dicts.kinds import dtype_name, in_words, kind_of, shape_of
from helpers.state_dicts.reports import NameReport
from helpers.state_dicts.tensors import StateDict, tensors_of


@dataclass(frozen=True, repr=False)
class Comparison(NameReport):
    """What `compare` found.

    Attributes:
        missing: names in ours and not in theirs.
        unexpected: names in theirs and not in ours.
        mismatched_shape: name -> (our shape, their shape); values are not compared.
        mismatched_dtype: name -> (our dtype, their dtype), as "float32"; values are
            compared as well, after conversion.
        mismatched_kind: name -> (our kind, their kind), as "sparse CSR float32", where
            one is dense and the other sparse, or no tensor; values are not compared.
        different: name -> largest absolute difference. inf where there is none: a NaN or
            infinity on one side only, entries that are no tensors or whose numbers are at
            other places. 0.0 means equal values in other bits, such as 0.0 and -0.0.
        not_compared: names of which nobody can say whether they are the same, such as
            those without values (the meta device); the table's note says why.
        identical: same names, kinds, shapes, dtypes and bits; order and device may differ.

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
    mismatched_kind: dict[str, tuple[str, str]]
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
    shapes, dtypes, kinds = {}, {}, {}
    different: dict[str, float] = {}
    rows: list[tuple[str, ...]] = []
    for name in {**ours, **theirs}:
        a: Any = ours.get(name)
        b: Any = theirs.get(name)
        finding, note = "equal", ""
        if name not in ours or name not in theirs:
            finding = "unexpected" if name in theirs else "missing"
        elif _family(a) != _family(b):
            finding, kinds[name] = "other kind", (dtype_name(a), dtype_name(b))
        elif isinstance(a, Tensor) and shape_of(a) != shape_of(b):
            finding, shapes[name] = "other shape", (shape_of(a), shape_of(b))
        else:
            if isinstance(a, Tensor) and a.dtype != b.dtype:
                finding, dtypes[name] = "other dtype", (dtype_name(a), dtype_name(b))
            try:
                gap = largest_difference(a, b)
            except NotComparableError as why:
                finding, note = "not compared", str(why)
            else:
                if gap is not None:
                    finding = "different" if finding == "equal" else finding
                    different[name] = gap
                    note = f"largest difference {gap:.3g}"
        rows.append((name, finding, in_words(a), in_words(b), note))

    def found(word: str) -> tuple[str, ...]:
        return tuple(row[0] for row in rows if row[1] == word)

    return Comparison(
        rows=tuple(rows),
        missing=found("missing"),
        unexpected=found("unexpected"),
        mismatched_shape=shapes,
        mismatched_dtype=dtypes,
        mismatched_kind=kinds,
        different=different,
        not_compared=found("not compared"),
        identical=len(found("equal")) == len(rows),
    )


def _family(value: object) -> str:
    """Return what must be the same for values to be compared: quantized and dense may."""
    kind = kind_of(value)
    return "" if kind == "quantized" else kind
