"""Everything can be run again: `make again`, which the other tests leave out.

After *Run All* every cell runs once more from the top, in the same kernel, then a random
half of them, in order. Here that is done for each notebook; test_again.py does it for
three of them in `make test`, with other halves.
"""

import copy
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from nbclient.exceptions import CellExecutionError

from tests.make_notebooks import client
from tests.notebook_rules import NOTEBOOKS, read
from tests.notebook_rules.reading import code
from tests.notebooks.comparing import compared, difference


def faults(session: pytest.Session, path: Path, seed: int) -> Iterator[str]:
    """Run a notebook, all of it again, and half of it; say what went wrong where.

    Again from the top, all that is compared has to come out as it stands in the file. A
    half lacks cells that would have set things back, so only nothing may raise there.

    Args:
        session: pytest's, for nbval's comparison.
        path: of the notebook.
        seed: chooses the half.
    """
    notebook = read(path)
    tests, cells = compared(session, path), code(notebook.cells)
    chosen = random.Random(seed).sample(cells, len(cells) // 2)
    half = [cell for cell in cells if cell in chosen]
    runner = client(copy.deepcopy(notebook))
    with runner.setup_kernel():
        for when, some in (("first", cells), ("again", cells), ("half", half)):
            for cell in some:
                run = copy.deepcopy(cell)
                try:
                    runner.execute_cell(run, notebook.cells.index(cell))
                except CellExecutionError as error:
                    yield f"{when}: {cell.id} raises {error.ename}: {error.evalue}"
                    continue
                if when == "again" and (said := difference(tests[cell.id], run.outputs)):
                    yield f"{when}: {cell.id} differs: {said}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_can_be_run_again(path, request):
    found = list(faults(request.session, path, seed=1))
    assert not found, "\n".join(found)
