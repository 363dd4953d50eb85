"""The outputs are the contract: the same everywhere, and compared."""

import ast
import importlib
import re
from pathlib import Path

from tests.make_notebooks import normalise
from tests.notebook_rules.reading import (
    ROOT,
    code,
    is_compared,
    raw,
    sections,
    shown,
    syntax,
    tags,
)

TAGS = {
    "exercise",
    "solution",
    "raises-exception",
    "nbval-ignore-output",
    "shows-warning",
    "shows-deprecated",
}
LEAST_COMPARED = 0.7  # of the cells that have an output

ABSOLUTE = (
    r"(?<![\w.:/])/(?:home|root|tmp|Users|private|var|usr|opt|mnt|work)/|"
    rf"\b[A-Z]:\\|\bfile://|{re.escape(str(ROOT))}"
)
PASSING = {
    ABSOLUTE: "an absolute path",
    r"save-load-ship-[\w-]{8}": "the name of a temporary folder",
    r"\b0x[0-9a-fA-F]{6,}": "a memory address",
    r"\{'[^'{}]*'(?:, '[^'{}]*')+\}": "a set, printed in another order in every run,",
}


def portable(notebook, path: Path) -> list[str]:
    """Nothing in the file belongs to one machine or to one run, and nothing warns."""
    faults = []
    for cell in notebook.cells:
        if found := re.search(ABSOLUTE, cell.source):
            faults.append(f"{cell.id}: an absolute path in the source: {found[0]!r}")
        for pattern, what in PASSING.items():
            if found := re.search(pattern, raw(cell)):
                faults.append(f"{cell.id}: {what} in the output: {found[0]!r}")
    for cell in code(notebook.cells):
        if "shows-warning" in tags(cell):
            continue
        if any(output.get("name") == "stderr" for output in cell.outputs):
            faults.append(f"{cell.id}: writes to stderr; fix it, or tag: shows-warning")
        if found := re.search(r"\b\w*Warning\b|\bTraceback\b", shown(cell)):
            faults.append(f"{cell.id}: {found[0]!r} in the output")
    return faults


def execution(notebook, path: Path) -> list[str]:
    """Every cell was run, in order, and raises where it says so and nowhere else."""
    faults = []
    counts = [cell.execution_count for cell in code(notebook.cells)]
    if counts != list(range(1, len(counts) + 1)):
        faults.append(f"execution counts {counts}; expected 1 to {len(counts)}")
    for cell in notebook.cells:
        for tag in set(tags(cell)) - TAGS:
            faults.append(f"{cell.id}: unknown tag {tag!r}; known are {sorted(TAGS)}")
    for cell in code(notebook.cells):
        raised = any(output.output_type == "error" for output in cell.outputs)
        if raised != ("raises-exception" in tags(cell)):
            lacks = "the tag raises-exception" if raised else "the error it is tagged for"
            faults.append(f"{cell.id}: lacks {lacks}")
        if re.search(r"NBVAL_|PYTEST_VALIDATE", cell.source):
            faults.append(f"{cell.id}: a comment steers nbval; use a tag, it is checked")
    return faults


def comparison(notebook, path: Path) -> list[str]:
    """Most outputs are compared, and each that is not is followed by an assertion."""
    faults = []
    known = importlib.import_module(f"tests.course.notebook_{path.name[:2]}")
    ignored, warned = known.IGNORED, getattr(known, "SHOWN", {})
    cells = code(notebook.cells)
    with_output = [cell for cell in cells if cell.outputs]
    share = sum(map(is_compared, with_output)) / max(len(with_output), 1)
    if share < LEAST_COMPARED:
        faults.append(f"{share:.0%} of the outputs are compared; at least 70 % are due")
    for cell, after in zip(cells, [*cells[1:], None], strict=True):
        if "nbval-ignore-output" in tags(cell):
            if not ignored.get(cell.id):
                faults.append(f"{cell.id}: ignored, and there is no reason in IGNORED")
            if after is None or not _asserts_and_prints(after):
                faults.append(f"{cell.id}: ignored; the next cell has to assert and print")
        if {"shows-warning", "shows-deprecated"} & set(tags(cell)) and not warned.get(
            cell.id
        ):
            faults.append(f"{cell.id}: tagged 'shows-', and there is no reason in SHOWN")
    return faults


def _asserts_and_prints(cell) -> bool:
    asserts = any(isinstance(node, ast.Assert) for node in ast.walk(syntax(cell)))
    prints = any(output.get("name") == "stdout" for output in cell.outputs)
    return asserts and prints and is_compared(cell)


def figures(notebook, path: Path) -> list[str]:
    """Every section compares a measured figure or an error, not just "ok"."""
    faults = []
    for some in sections(notebook):
        cells = code(some.cells)
        if not cells or some.heading in ("Set-up", "Exercises"):
            continue
        compared = [cell for cell in cells if is_compared(cell) and not _is_quiz(cell)]
        said = re.sub(r"\bClaim \d\d\.[a-z]", "", "\n".join(map(shown, compared)))
        raises = any("raises-exception" in tags(cell) for cell in compared)
        if not raises and not re.search(r"(?<![\w.])\d", said):
            faults.append(f"{some.heading!r}: compares neither a figure nor an error")
    return faults


def _is_quiz(cell) -> bool:
    return shown(cell).startswith("Quiz:")


def normalised(notebook, path: Path) -> list[str]:
    """The notebook is in the one form that `make notebooks` writes."""
    faults = []
    once = normalise(notebook)
    if once.metadata != notebook.metadata:
        extra = sorted(set(notebook.metadata) - set(once.metadata))
        faults.append(f"the notebook's metadata is not the usual one; too much: {extra}")
    for cell, same in zip(notebook.cells, once.cells, strict=True):
        if cell != same:
            faults.append(f"{cell.id}: is not normalised; run `make notebooks`")
    return faults
