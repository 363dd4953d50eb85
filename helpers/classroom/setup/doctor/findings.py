"""What a check returns, and the table of all: as text, and in a notebook."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Finding(NamedTuple):
    """One row of the table; `status` is 'OK', 'warning' or 'problem'."""

    subject: str
    found: str
    status: str = "OK"
    cure: str = ""


@dataclass(frozen=True, repr=False)
class Report:
    """Findings that show as a table in a notebook and as plain text elsewhere."""

    findings: Sequence[Finding]

    @property
    def summary(self) -> str:
        """One line that says whether the course will run."""
        count = [finding.status for finding in self.findings].count
        start = "Not ready" if count("problem") else "Ready"
        return f"{start} (problems: {count('problem')}, warnings: {count('warning')})."

    def __repr__(self) -> str:
        """Return the findings as aligned lines, each cure below its finding."""
        width = max(len(finding.subject) for finding in self.findings)
        lines = []
        for subject, found, status, cure in self.findings:
            start = f"{status:<8} {subject:<{width}}  "
            lines.append(start + found)
            if cure:
                lines.append(" " * len(start) + cure)
        return "\n".join([*lines, self.summary])

    def _repr_html_(self) -> str:
        def row(cells: Iterable[str], tag: str = "td") -> str:
            start = f'<{tag} style="text-align: left">'
            inner = "".join(f"{start}{html.escape(cell)}</{tag}>" for cell in cells)
            return f"<tr>{inner}</tr>"

        head = row(("Subject", "Found", "Status", "Cure"), "th")
        body = "".join(map(row, self.findings))
        caption = f"<caption>{self.summary}</caption>"
        return f"<table>{caption}<thead>{head}</thead><tbody>{body}</tbody></table>"
