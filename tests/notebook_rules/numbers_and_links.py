"""What the prose says is computed beside it, and where it points is there."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.notebook_rules.reading import (
    ROOT,
    code,
    prose,
    raw,
    read,
    shown,
    tags,
    without_code,
)

NUMBER = re.compile(
    r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?(?:[ \u00a0\u202f]?%)?"
)
VERSION = r"\b\d+\.\d+\.\d+\S*"
NO_FIGURES = "|".join(
    (
        r"^#.*$",  # headings
        r"^\*\d+ minutes ·.*$",
        r"\]\([^)]*\)|https?://\S+|</?[a-zA-Z][^>]*>",  # targets of links, tags
        r"\*\*\d\d\.\d+\*\*|\b0\d\.\d\b|\bexercise \d\d\.\d|\b\d\d\.[a-z]\b",  # labels
        r"\b[Nn]otebooks? \d\d(?:(?:, | and | or | to )\d\d)*|\b\d\d · ",
        r"\b(?:PyTorch|torch|Python|JupyterLab|NumPy|pandas|ONNX Runtime) \d+(?:\.\d+)+",
        r"\bCVE-\d+-\d+\b",
        VERSION,
    )
)
REGISTRIES = ("pypi.org", "pythonhosted.org", "anaconda.org", "npmjs.", "crates.io")


def numbers(notebook, path: Path) -> list[str]:
    """Every number in the prose occurs in an output that is compared, or in the code.

    Left out: single digits, headings, labels, versions, the numbers of notebooks, the map.
    """
    evidence = ""
    for cell in code(notebook.cells):
        evidence += re.sub(r"(?<=\d)_(?=\d)", "", cell.source) + "\n"
        if "nbval-ignore-output" not in tags(cell):
            evidence += shown(cell) + "\n"
    known = {figure for _, figure in _figures(re.sub(VERSION, "", evidence))}
    known |= {figure.removesuffix("%") for figure in known}
    faults = []
    for cell in prose(notebook.cells):
        text = re.sub(rf"(?m){NO_FIGURES}", " ", without_code(cell.source))
        if path.name.startswith("00"):
            text = re.sub(r"(?m)^\|.*$", "", text)
        for written, figure in _figures(text):
            if figure not in known:
                faults.append(
                    f"{cell.id}: {written!r} is in no compared output and no code cell; a "
                    "number in prose is computed by the notebook and written the same way"
                )
    return faults


def _figures(text: str) -> Iterator[tuple[str, str]]:
    """Each number with two digits or more, a point, a power or %: as written, and bare."""
    for written in NUMBER.findall(text):
        bare = re.sub(r"[,\s]", "", written)
        if len(bare) > 1:
            yield written, re.sub(r"e([+-]?)0*(?=\d)", r"e\1", bare).replace("e+", "e")


def links(notebook, path: Path) -> list[str]:
    """Links lead to files, headings and https pages that exist, and to no registry."""
    faults = []
    for cell in notebook.cells:
        for host in REGISTRIES:
            if host in f"{cell.source}\n{raw(cell)}":
                faults.append(f"{cell.id}: {host} is a package registry")
    for cell in prose(notebook.cells):
        text = without_code(cell.source)
        targets = re.findall(r"\]\(([^)\s]+)", text)
        targets += re.findall(r'\b(?:href|src)="([^"]+)"', text)
        for target in targets:
            if not target.startswith("https://"):
                faults += [f"{cell.id}: {why}" for why in _dead(target, notebook, path)]
    return faults


def _dead(target: str, notebook, path: Path) -> list[str]:
    if ":" in target or target.startswith("/"):
        return [f"link {target}; expected https:// or a relative path"]
    name, _, anchor = target.partition("#")
    file = (path.parent / name).resolve() if name else path
    if not file.is_relative_to(ROOT) or not file.exists():
        return [f"link {target}: there is no such file in the course"]
    if anchor and anchor not in _anchors(notebook if file == path else file):
        return [f"link {target}: there is no such heading"]
    return []


def _anchors(source) -> set[str]:
    """The anchors of a notebook or a file: GitHub's way to write them, and JupyterLab's."""
    if isinstance(source, Path) and source.suffix != ".ipynb":
        text = source.read_text(encoding="utf-8")
    else:
        notebook = read(source) if isinstance(source, Path) else source
        text = "\n".join(cell.source for cell in prose(notebook.cells))
    anchors = set()
    for heading in re.findall(r"(?m)^#+ +(.+)$", re.sub(r"(?s)```.*?```", "", text)):
        anchors.add(heading.replace(" ", "-"))
        anchors.add(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-"))
    return anchors
