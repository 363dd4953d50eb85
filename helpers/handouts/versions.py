"""A notebook for those who learn and one for those who teach."""

import copy

from nbformat import NotebookNode


def for_learners(notebook: NotebookNode) -> NotebookNode:
    """Return a copy without the cells tagged `solution`, code or text, and their outputs.

    Everything else is the same, the stubs of the exercises too.
    """
    learner = copy.deepcopy(notebook)
    learner.cells = [cell for cell in learner.cells if not is_solution(cell)]
    return learner


def for_teachers(notebook: NotebookNode) -> NotebookNode:
    """Return a copy whose solutions are unfolded."""
    teacher = copy.deepcopy(notebook)
    for cell in filter(is_solution, teacher.cells):
        cell.metadata.pop("jupyter", None)
    return teacher


def is_solution(cell: NotebookNode) -> bool:
    """Say whether the cell is tagged `solution`."""
    return "solution" in cell.metadata.get("tags", [])
