"""Everything can be run again: `make again`, which the other tests leave out.

After *Run All* every cell runs once more from the top, in the same kernel, then a random
half of them, in order. Here that is done for each notebook; test_again.py does it for
three of them in `make test`, with other halves.
"""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from nbclient.exceptions import CellExecutionError

from tests.make_notebooks import client
from tests.notebook_rules import NOTEBOOKS, read
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
    tests = compared(session, path)
    places = [k for k, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    half = sorted(random.Random(seed).sample(places, len(places) // 2))
    runner = client(notebook)
    with runner.setup_kernel():
        for when, some in (("first", places), ("again", places), ("half", half)):
            for k in some:
                cell = notebook.cells[k]
                try:
                    runner.execute_cell(cell, k)
                except CellExecutionError as error:
                    yield f"{when}: {cell.id} raises {error.ename}: {error.evalue}"
                    continue
                if when == "again" and (said := difference(tests[cell.id], cell.outputs)):
                    yield f"{when}: {cell.id} differs: {said}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_can_be_run_again(path, request):
    found = list(faults(request.session, path, seed=1))
    assert not found, "\n".join(found)
