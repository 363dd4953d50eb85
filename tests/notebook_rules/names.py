"""A name means one thing in a notebook, so that any cell can be run again at any time."""

import ast
import symtable
from collections import defaultdict
from pathlib import Path

from tests.notebook_rules.reading import code, syntax

ASSIGNMENTS = ast.Assign | ast.AugAssign | ast.AnnAssign


def names(notebook, path: Path) -> list[str]:
    """What a cell takes from another is given by one cell, and never changed by a taker."""
    taken, given = defaultdict(list), defaultdict(list)
    for cell in code(notebook.cells):
        takes, gives = _taken_and_given(syntax(cell))
        for name in takes:
            taken[name].append(cell.id)
        for name in gives:
            given[name].append(cell.id)
    faults = []
    for name in sorted(taken.keys() & given.keys()):
        if changing := set(taken[name]) & set(given[name]):
            faults.append(f"{min(changing)}: {name} is another each time that it runs")
        elif len(given[name]) > 1:
            faults.append(
                f"{taken[name][0]}: takes {name}, which is given by {given[name]}: run "
                "again, it would take another; use a name of its own for each"
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
