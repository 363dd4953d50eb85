"""A name means one thing in a notebook, so that any cell can be run again at any time."""

import ast
import symtable
from collections import defaultdict
from pathlib import Path

from tests.notebook_rules.reading import code, syntax

ASSIGNMENTS = ast.Assign | ast.AugAssign | ast.AnnAssign


def names(notebook, path: Path) -> list[str]:
    """No cell changes what it takes from others, or what an earlier one takes."""
    faults = []
    cells = [(cell.id, *_taken_and_given(syntax(cell))) for cell in code(notebook.cells)]
    givers = defaultdict(list)
    for k, (_, _, given) in enumerate(cells):
        for name in given:
            givers[name].append(k)
    for k, (id, taken, given) in enumerate(cells):
        for name in sorted(taken & givers.keys()):
            first = [cells[other][0] for other in givers[name] if other < k][-1:]
            later = [cells[other][0] for other in givers[name] if other > k]
            if first and name in given:
                faults.append(f"{id}: {name} is another each time that this cell runs")
            elif first and later:
                faults.append(
                    f"{id}: {name} comes from {first[0]}, and {later[0]} makes something "
                    "else of it: run again, this cell would take that; use another name"
                )
    return faults


def _taken_and_given(tree: ast.Module) -> tuple[set[str], set[str]]:
    """Return the names that a cell reads before it assigns them, and those it assigns."""
    taken, given = set(), set()
    for statement in tree.body:
        reads, assigns = _reads_and_assigns(statement)
        # A loop or a definition assigns first; an assignment reads first.
        if not isinstance(statement, ASSIGNMENTS):
            reads -= assigns
        taken |= reads - given
        given |= assigns
    return taken, given


def _reads_and_assigns(statement: ast.stmt) -> tuple[set[str], set[str]]:
    top = symtable.symtable(ast.unparse(statement), "cell", "exec")
    reads = {some.get_name() for some in top.get_symbols() if some.is_referenced()}
    assigns = {
        some.get_name()
        for some in top.get_symbols()
        if some.is_assigned() or some.is_imported()
    }
    inner = list(top.get_children())
    while inner:
        table = inner.pop()
        inner += table.get_children()
        reads |= {some.get_name() for some in table.get_symbols() if some.is_global()}
    if isinstance(statement, ast.AugAssign):
        reads |= assigns
    return reads, assigns
