"""What a notebook is made of: sections, cells, and what their outputs show."""

import ast
import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

from tests import ROOT

FOLDER = ROOT / "notebooks"
# JupyterLab keeps copies of its own, and so does `make lab` for those who guess first.
COPIES = {".ipynb_checkpoints", "guess_first"}
NOTEBOOKS = sorted(path for path in FOLDER.rglob("*.ipynb") if not COPIES & set(path.parts))


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def code(cells) -> list:
    return [cell for cell in cells if cell.cell_type == "code"]


def prose(cells) -> list:
    return [cell for cell in cells if cell.cell_type == "markdown"]


def without_code(text: str) -> str:
    """Return a markdown text without its code blocks and code spans."""
    return re.sub(r"(?s)```.*?```|`[^`]*`", "", text)


@dataclass
class Section:
    """What stands from one '## ' heading to the next."""

    heading: str
    cells: list = field(default_factory=list)

    @property
    def text(self) -> str:
        return "\n".join(cell.source for cell in prose(self.cells))

    @property
    def bullets(self) -> list[str]:
        return re.findall(r"(?m)^- (.+)$", self.text)

    @property
    def is_question(self) -> bool:
        return self.heading.endswith("?")

    @property
    def is_further(self) -> bool:
        """Whether it is optional reading."""
        return self.heading.startswith("Further: ")


def sections(notebook) -> list[Section]:
    found = [Section("")]
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and cell.source.startswith("## "):
            found.append(Section(cell.source.splitlines()[0].removeprefix("## ")))
        found[-1].cells.append(cell)
    return found[1:]


def section(notebook, heading: str) -> Section:
    """Return the section with that heading, or an empty one."""
    found = [some for some in sections(notebook) if some.heading == heading]
    return found[0] if found else Section(heading)


def syntax(cell) -> ast.Module:
    """Return the cell's syntax tree; an empty one where it is not Python."""
    try:
        return ast.parse(cell.source)
    except SyntaxError:
        return ast.Module([], [])


def plain(output) -> str:
    """Return the text/plain of an output, if it has one."""
    return output.get("data", {}).get("text/plain", "")


def raw(cell) -> str:
    """Every text in the cell's outputs, markup included."""
    parts = ("text", "data", "ename", "evalue", "traceback")
    found = [out[part] for out in cell.get("outputs", []) for part in parts if part in out]
    return "\n".join(text for some in found for text in _texts(some))


def _texts(part) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    inner = part.values() if isinstance(part, dict) else part
    for some in inner if isinstance(part, dict | list) else []:
        yield from _texts(some)


def shown(cell) -> str:
    """What a reader sees or hears of the cell's outputs, without markup."""
    return "\n".join(map(_shown, cell.get("outputs", [])))


def _shown(output) -> str:
    if output.output_type == "stream":
        return output.text
    if output.output_type == "error":
        return f"{output.ename}: {output.evalue}"
    parts = [plain(output)]
    for kind in ("text/html", "image/svg+xml"):
        marked_up = output.data.get(kind, "")
        parts += re.findall(r'(?:aria-label|alt)="([^"]*)"', marked_up)
        parts.append(re.sub(r"(?s)<style.*?</style>|<[^>]+>", " ", marked_up))
    return html.unescape("\n".join(parts))


def is_compared(cell) -> bool:
    """Whether nbval compares anything that the cell shows: it skips views and bitmaps."""
    kinds = set()
    for output in cell.outputs:
        kinds |= set(output.get("data", {output.output_type: None}))
    skipped = {"image/png", "image/jpeg", "application/vnd.jupyter.widget-view+json"}
    return "nbval-ignore-output" not in tags(cell) and bool(kinds - skipped)
