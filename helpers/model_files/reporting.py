"""The report of an inspection: text for a terminal, HTML for a notebook, JSON.

Save, Load, Ship 0.2.0: helpers/model_files/reporting.py · repairs: CHANGELOG.md
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from html import escape

from helpers.model_files.verdicts import DAMAGED, NOT_CHECKED, WHOLE, Findings, TensorEntry

_MOST_LINES, _MOST_NAMES = 40, 8
_CHECKED = {WHOLE: "every byte is as it was written", DAMAGED: "bytes were changed"}


@dataclass
class FileReport(Findings):
    """What `inspect_file` finds, to be printed, shown in a notebook, or kept as JSON.

    >>> from pathlib import Path
    >>> print(FileReport(Path("a.bin"), is_="a text file"))  # doctest: +ELLIPSIS
    a.bin: a text file, 0 B
    ...
    """

    def __str__(self) -> str:
        """Return the report as text; nothing in it can steer a terminal."""
        lines = [self._head()]
        for title, rows in self._parts().items():
            more = ["", title, *(f"  {row}" for row in rows)]
            lines += more if len(rows) > 1 else [f"{title}: {rows[0]}"]
        return "\n".join(_clean(line) for line in lines)

    # What a list of fields shows has no end; Jupyter keeps this text beside the HTML.
    __repr__ = __str__

    def _repr_html_(self) -> str:
        """Return the report for a notebook: long parts are folded."""
        # A file's names are no formulas: MathJax leaves these classes alone (3, and 2).
        parts = ['<div class="mathjax_ignore tex2jax_ignore">']
        parts.append(f"<p><b>{escape(_clean(self._head()))}</b></p>")
        for title, rows in self._parts().items():
            shown = "\n".join(escape(_clean(row)) for row in rows)
            is_open = " open" if len(rows) < 15 else ""
            # JupyterLab shows <pre> alone in the font of its prose.
            parts.append(
                f"<details{is_open}><summary><b>{title}</b></summary>"
                f"<pre><code>{shown}</code></pre></details>"
                if len(rows) > 1
                else f"<div><b>{title}</b>: {shown}</div>"
            )
        return "".join(parts) + "</div>"

    def to_json(self) -> str:
        """Return everything that was found as JSON."""
        return json.dumps({**asdict(self), "path": str(self.path)}, indent=1)

    def _head(self) -> str:
        return f"{self.path.name}: {self.is_}, {_size(self.size)}"

    def _parts(self) -> dict[str, list[str]]:
        """Return titles and lines of all that is known."""
        structure = "not judged" if self.structure == NOT_CHECKED else self.structure
        structure = f"{structure}: {self.structure_why}".removesuffix(": ")
        checked = _CHECKED.get(self.bytes_checked, self.bytes_checked)
        judged = defaultdict(list)
        for name, verdict in self.names.items():
            judged[f"{verdict} imports"].append(name)
        for title, names in judged.items():
            more = f", and {len(names) - _MOST_NAMES} more" * (len(names) > _MOST_NAMES)
            judged[title] = [", ".join(names[:_MOST_NAMES]) + more]
        values = [f"{name} = {text}" for name, text in self.values.items()]
        many = f"{len(self.entries)} tensor" + "s" * (len(self.entries) > 1)
        held = self.held or sum(entry.bytes for entry in self.entries)
        parts = {
            "safety": [f"{self.safety}: {self.safety_why}".removesuffix(": ")],
            "structure": [f"{structure}; {checked}"],
            "because": ["; ".join(self.evidence)],
            "dtypes": _counted(entry.dtype for entry in self.entries),
            "devices": _counted(entry.device for entry in self.entries if entry.device),
            "optimizer": [] if self.optimizer is None else [_size(self.optimizer)],
            **judged,
            "shared memory": _shared(self.entries),
            "values": values[:_MOST_LINES],
            f"{many}, {_size(held)}": _tree(self.entries),
            "notes": list(dict.fromkeys(self.notes))[:_MOST_LINES],
            "open it with": self.opens,
        }
        return {title: rows for title, rows in parts.items() if rows}


def _size(count: int) -> str:
    count = min(count, 10**30)  # what is larger is a lie, and no float
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}" if unit != "B" else f"{count} B"
        count /= 1000  # type: ignore[assignment]
    return f"{count:.3g} GB"


def _counted(words: Iterable[str]) -> list[str]:
    counts = Counter(words).most_common(_MOST_NAMES)
    return [", ".join(f"{count} {word}" for word, count in counts)] if counts else []


def _clean(text: str) -> str:
    """Return a line in which whatever is not printable is written out."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _shared(entries: list[TensorEntry]) -> list[str]:
    """Return a line for entries that are the same memory, or views of it."""
    counts = Counter(entry.storage for entry in entries)
    storages = defaultdict[str, dict](lambda: defaultdict(list))
    for entry in entries:
        if entry.storage is not None and counts[entry.storage] > 1:
            storages[entry.storage][entry.place].append(entry.name)
    lines: list[str] = []
    for places in storages.values():
        ties = [names[:_MOST_NAMES] for names in places.values() if len(names) > 1]
        lines += map(" = ".join, ties[:_MOST_NAMES])
        if len(places) > 1:
            views = [names[0] for names in places.values()][:_MOST_NAMES]
            lines.append(f"views of one storage: {', '.join(views)}")
    return lines[:_MOST_NAMES]


def _tree(entries: list[TensorEntry]) -> list[str]:
    """Return keys with shapes and bytes, as deep as there is room for."""
    for depth in range(8, 0, -1):
        groups = defaultdict(list)
        for entry in entries:
            groups[".".join(entry.name.split(".")[:depth])].append(entry)
        if len(groups) <= _MOST_LINES:
            break
    rows = []
    for name, group in list(groups.items())[:_MOST_LINES]:
        what, total = f"{len(group)} tensors", sum(entry.bytes for entry in group)
        if len(group) == 1:
            what = f"{' x '.join(map(str, group[0].shape)) or 'scalar'} {group[0].dtype}"
        row = (group[0].name if len(group) == 1 else f"{name}.*", what, _size(total))
        rows.append(row)
    wide = min(60, max((len(name) for name, *_ in rows), default=0))
    lines = [f"{name:{wide}}  {what:24} {size:>8}" for name, what, size in rows]
    more = len(groups) - len(lines)
    return lines + [f"... and {more} more"] * (more > 0)
