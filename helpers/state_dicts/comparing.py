"""Are two state dicts the same, to the last bit, and where do they differ?

Save, Load, Ship 0.2.0: helpers/state_dicts/comparing.py · repairs: CHANGELOG.md
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor, nn

from helpers.state_dicts.differences import NotComparableError, largest_difference
from helpers.state_dicts.kinds import dtype_name, in_words, kind_of, shape_of
from helpers.state_dicts.tensors import StateDict, tensors_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class NameReport:
    """One row per name; counts as short text, and as HTML what is worth a look.

    A report is neither true nor false, so that `assert compare(a, b)` cannot pass
    whatever was found: ask for a field.

    >>> class Found(NameReport):
    ...     _good, _columns = "equal", ("name", "finding", "note")
    >>> report = Found(rows=(("weight", "equal", ""), ("bias", "missing", "")))
    >>> report
    Found(1 equal, 1 missing)
    >>> report.table().name.tolist()
    ['weight', 'bias']
    """

    rows: tuple[tuple[str, ...], ...]
    _good: ClassVar[str]
    _columns: ClassVar[tuple[str, ...]]

    def table(self) -> pd.DataFrame:
        """Return one row per name, all as text: name, finding, ..., note."""
        import pandas as pd  # here, so that loading a checkpoint does without

        return pd.DataFrame(self.rows, columns=list(self._columns))

    def __repr__(self) -> str:
        """Return the counts; the same on every machine."""
        counts = Counter({self._good: 0})
        counts.update(row[1] for row in self.rows)
        parts = ", ".join(f"{count} {finding}" for finding, count in counts.items())
        return f"{type(self).__name__}({parts})"

    def _repr_html_(self) -> str:
        table = self.table()
        rows = table[(table.finding != self._good) | (table.note != "")]
        shown = rows.to_html(index=False, max_rows=60) if len(rows) else ""
        return f"<p>{self!r}</p>{shown}"

    def __bool__(self) -> bool:
        """Refuse to be a truth value."""
        raise TypeError(f"a {type(self).__name__} is not true or false: ask for a field")


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
