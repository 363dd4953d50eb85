"""A notebook for those who learn and one for those who teach."""

import copy
import re

from nbformat import NotebookNode

from helpers.classroom.setup.guess_first import without_outputs


def for_learners(notebook: NotebookNode) -> NotebookNode:
    """Return a copy without solutions and without outputs, so that nothing is spoiled."""
    return without_outputs(for_readers(notebook))


def for_readers(notebook: NotebookNode) -> NotebookNode:
    """Return a copy without the cells tagged `solution`, code or text, and their outputs.

    Everything else is the same, the stubs of the exercises too; of a link that leaves the
    folder, the text is kept.
    """
    reader = _without_links_outside(notebook)
    reader.cells = [cell for cell in reader.cells if not is_solution(cell)]
    return reader


def for_teachers(notebook: NotebookNode) -> NotebookNode:
    """Return a copy with outputs and unfolded solutions; links as in `for_readers`."""
    teacher = _without_links_outside(notebook)
    for cell in filter(is_solution, teacher.cells):
        cell.metadata.pop("jupyter", None)
    return teacher


def _without_links_outside(notebook: NotebookNode) -> NotebookNode:
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = re.sub(r"\[([^]]*)\]\(\.\./[^)]*\)", r"\1", cell.source)
    return notebook


def is_solution(cell: NotebookNode) -> bool:
    """Say whether the cell is tagged `solution`."""
    return "solution" in cell.metadata.get("tags", [])
