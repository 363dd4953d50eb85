"""The code cells: short, plain, and with nothing in them that will be gone tomorrow."""

import ast
import re
from pathlib import Path

from tests.notebook_rules.reading import ROOT, code, syntax, tags

MOST_LINES = 15
DEPRECATED = (
    r"torch\.jit\.",
    r"torch\.(ao\.)?quantization\b",
    r"\bquantize_dynamic\b",
    r"\bdynamic_axes\b",
    r"torch\.cuda\.amp\b",
    r"torch\.distributed\.launch\b",
    r"\.storage\(\)",
)
DEFINITIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def cells(notebook, path: Path) -> list[str]:
    """Short cells with readable ids; imports in one place; plain Python."""
    faults = []
    ids = [cell.id for cell in notebook.cells]
    for id in ids:
        if not re.fullmatch(r"[a-z][a-z0-9-]*", id) or re.fullmatch(r"[0-9a-f-]{8,}", id):
            faults.append(f"{id}: expected a readable id, such as 'one-at-a-time'")
    faults += [f"{id}: two cells have this id" for id in set(ids) if ids.count(id) > 1]
    for cell in code(notebook.cells):
        tree = syntax(cell)
        if not tree.body:
            faults.append(f"{cell.id}: holds no Python statement; is it prose, or a magic?")
        imports = [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
        if imports and cell.id != "set-up":
            faults.append(f"{cell.id}: imports belong into the cell 'set-up'")
        lines = {k for k, text in enumerate(cell.source.splitlines(), 1) if text.strip()}
        for node in imports:
            lines -= set(range(node.lineno, node.end_lineno + 1))
        if len(lines) > MOST_LINES:
            faults.append(f"{cell.id}: {len(lines)} lines of code; at most {MOST_LINES}")
    return faults


def calls(notebook, path: Path) -> list[str]:
    """Nothing deprecated, and nothing that hides its output from nbval."""
    faults = []
    for cell in code(notebook.cells):
        for found in re.findall(r"\binteract\w*\(|\bOutput\(", cell.source):
            faults.append(f"{cell.id}: {found}...) is slow, and invisible to nbval")
        if "shows-deprecated" in tags(cell):
            continue
        for pattern in DEPRECATED:
            if found := re.search(pattern, cell.source):
                faults.append(f"{cell.id}: {found[0]} is deprecated; tag: shows-deprecated")
        for node in ast.walk(syntax(cell)):
            if not (isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load"):
                continue
            # Through 2.5 the default was False; the line is to mean the same there.
            if "weights_only" not in [keyword.arg for keyword in node.keywords]:
                faults.append(f"{cell.id}: torch.load without weights_only")
    return faults


def no_second_copy(notebook, path: Path) -> list[str]:
    """A notebook never defines what a helper already holds."""
    helpers, faults = {}, []
    for file in sorted((ROOT / "helpers").rglob("*.py")):
        if file.name.startswith("notebook_"):
            continue  # the checks of exercises bear the names of what is to be written
        for name in _public(ast.parse(file.read_text(encoding="utf-8")).body):
            helpers[name] = file.relative_to(ROOT).as_posix()
    for cell in code(notebook.cells):
        for name in _public(ast.walk(syntax(cell))):
            if name in helpers:
                faults.append(f"{cell.id}: {name} stands in {helpers[name]}; import it")
    return faults


def _public(nodes) -> list[str]:
    names = [node.name for node in nodes if isinstance(node, DEFINITIONS)]
    return [name for name in names if not name.startswith("_")]
