"""The comparison bites: nbval collects every cell, and fails where it has to.

Two notebooks are run with their edits, a few cells each: exactly the edited ones must
fail. test_comparison.py compares all other edits, mutations.py alters the helpers.
"""

import re
import subprocess
import sys
from collections import Counter

import pytest

from tests.notebook_rules import NOTEBOOKS, ROOT, read
from tests.notebook_rules.reading import code
from tests.notebooks.comparing import Copies, edited, said_of
from tests.notebooks.test_comparison import EDITS

# What an altered source does, only a kernel can say.
EXECUTED = [stem for stem in EDITS if any(some.place == "source" for some in EDITS[stem])]


def test_every_code_cell_of_every_notebook_is_collected():
    command = [sys.executable, "-m", "pytest", "--nbval", "--collect-only", "-q"]
    command.append("notebooks")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    collected = Counter(re.findall(r"(?m)^(.+\.ipynb)::Cell \d+$", done.stdout))
    on_disk = {
        path.relative_to(ROOT).as_posix(): len(code(read(path).cells)) for path in NOTEBOOKS
    }
    assert len(NOTEBOOKS) >= 2
    assert collected == on_disk, done.stdout + done.stderr


@pytest.fixture(scope="module")
def failures(tmp_path_factory):
    """The stem of each notebook that is run -> the cells that failed and what was said."""
    copies = Copies(tmp_path_factory.mktemp("copies"))
    for stem in EXECUTED:
        copies.add(stem, stem, edited(stem))
    return copies.failures()


def test_nothing_but_the_edited_cells_fails_in_a_kernel(failures):
    assert len(EXECUTED) >= 2
    for stem in EXECUTED:
        assert set(failures[stem]) == {some.cell for some in EDITS[stem]}
        for edit in EDITS[stem]:
            said = failures[stem][edit.cell]
            assert "Cell outputs differ" in said, edit
            assert said_of(edit) in said, edit
