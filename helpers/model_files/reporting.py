"""The report of an inspection: text for a terminal, HTML for a notebook, JSON.

Save, Load, Ship 0.2.0: helpers/model_files/reporting.py · repairs: CHANGELOG.md
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from html import escape

from helpers.model_files.file_findings import (
    DAMAGED,
    NOT_CHECKED,
    WHOLE,
    Findings,
    TensorEntry,
)

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
        lines = [f"{self.path.name}: {self.is_}, {_size(self.size)}"]
        for title, rows in self._parts():
            lines += (
                ["", title, *(f"  {row}" for row in rows)]
                if len(rows) > 1
                else [f"{title}: {rows[0]}"]
            )
        return "\n".join(_clean(line) for line in lines)

    # What a list of fields shows has no end; Jupyter keeps this text beside the HTML.
    __repr__ = __str__

    def _repr_html_(self) -> str:
        """Return the report for a notebook: long parts are folded."""
        head = f"{self.path.name}: {self.is_}, {_size(self.size)}"
        # A file's names are no formulas: MathJax leaves these classes alone (3, and 2).
        parts = ['<div class="mathjax_ignore tex2jax_ignore">']
        parts.append(f"<p><b>{escape(_clean(head))}</b></p>")
        for title, rows in self._parts():
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

    def _parts(self) -> Iterator[tuple[str, list[str]]]:
        """Yield titles and lines of all that is known."""
        yield "safety", [_with(self.safety, self.safety_why)]
        structure = "not judged" if self.structure == NOT_CHECKED else self.structure
        checked = _CHECKED.get(self.bytes_checked, self.bytes_checked)
        yield "structure", [f"{_with(structure, self.structure_why)}; {checked}"]
        yield "because", ["; ".join(self.evidence)]
        if self.entries:
            for title, values in (
                ("dtypes", [entry.dtype for entry in self.entries]),
                ("devices", [entry.device for entry in self.entries if entry.device]),
            ):
                counts = Counter(values).most_common(_MOST_NAMES)
                if counts:
                    yield title, [", ".join(f"{count} {name}" for name, count in counts)]
        if self.optimizer is not None:
            yield "optimizer", [_size(self.optimizer)]
        judged = defaultdict(list)
        for name, verdict in self.names.items():
            judged[verdict].append(name)
        for verdict, names in judged.items():
            more = f", and {len(names) - _MOST_NAMES} more" * (len(names) > _MOST_NAMES)
            yield f"{verdict} imports", [", ".join(names[:_MOST_NAMES]) + more]
        if shared := _shared(self.entries):
            yield "shared memory", shared
        if self.values:
            yield (
                "values",
                [f"{name} = {text}" for name, text in self.values.items()][:_MOST_LINES],
            )
        if self.entries:
            held = self.held or sum(entry.bytes for entry in self.entries)
            many = f"{len(self.entries)} tensor" + "s" * (len(self.entries) > 1)
            yield f"{many}, {_size(held)}", _tree(self.entries)
        if self.notes:
            yield "notes", list(dict.fromkeys(self.notes))[:_MOST_LINES]
        if self.opens:
            yield "open it with", self.opens


def _size(count: int) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}" if unit != "B" else f"{count} B"
        count /= 1000  # type: ignore[assignment]
    return f"{count:.3g} GB"


def _with(verdict: str, why: str) -> str:
    return f"{verdict}: {why}" if why else verdict


def _clean(text: str) -> str:
    """Return a line in which whatever is not printable is written out."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _shared(entries: list[TensorEntry]) -> list[str]:
    """Return a line for entries that are the same memory, or views of it."""
    storages = defaultdict(list)
    for entry in entries:
        if entry.storage is not None:
            storages[entry.storage].append(entry)
    lines = []
    for group in storages.values():
        if len(group) > 1:
            is_tie = len({(entry.shape, entry.offset) for entry in group}) == 1
            names = (" = " if is_tie else ", ").join(
                entry.name for entry in group[:_MOST_NAMES]
            )
            lines.append(names if is_tie else f"views of one storage: {names}")
    return lines[:_MOST_NAMES]


def _tree(entries: list[TensorEntry]) -> list[str]:
    """Return keys with shapes and bytes, as deep as there is room for."""
    for depth in range(8, 0, -1):
        groups: dict[tuple[str, ...], list[TensorEntry]] = defaultdict(list)
        for entry in entries:
            groups[tuple(entry.name.split(".")[:depth])].append(entry)
        if len(groups) <= _MOST_LINES:
            break
    rows = []
    for path, group in list(groups.items())[:_MOST_LINES]:
        name = ".".join(path)
        if len(group) == 1:
            only = group[0]
            shape = " x ".join(map(str, only.shape)) or "scalar"
            rows.append((only.name, f"{shape} {only.dtype}", _size(only.bytes)))
        else:
            total = sum(entry.bytes for entry in group)
            rows.append((f"{name}.*", f"{len(group)} tensors", _size(total)))
    wide = min(60, max(len(row[0]) for row in rows))
    lines = [f"{name:{wide}}  {what:24} {size:>8}" for name, what, size in rows]
    more = len(groups) - len(lines)
    return lines + [f"... and {more} more"] * (more > 0)
