"""How a report on names shows itself: as counts, as a table, as HTML.

Save, Load, Ship 0.2.0: helpers/state_dicts/reports.py · repairs: CHANGELOG.md
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

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
