"""The comparison bites: nbval collects every cell, and fails where it has to.

Every edit is put to nbval's comparison. Two notebooks are also run with their edits, a
few cells each: exactly the edited ones must fail. `mutations.py` alters the helpers.
"""

import re
import subprocess
import sys
from collections import Counter

import nbformat
import pytest
from nbval.plugin import get_sanitize_patterns

from tests.course import Edit, known
from tests.notebook_rules import FOLDER, NOTEBOOKS, ROOT, read
from tests.notebook_rules.reading import code, raw
from tests.notebooks.comparing import Copies, compared, difference, edited

EDITS = {stem: some.EDITS for stem, some in known().items()}
# What an altered source does, only a kernel can say.
EXECUTED = [stem for stem in EDITS if any(some.place == "source" for some in EDITS[stem])]
each_edit = pytest.mark.parametrize(
    ("stem", "edit"),
    [(stem, some) for stem in EDITS for some in EDITS[stem]],
    ids=lambda value: value.cell if isinstance(value, Edit) else value,
)
SAID = {
    "source": "Missing output fields from running code",
    "outputs": "Unexpected output fields from running code",
    "text": "mismatch 'stdout'",
}


@pytest.mark.slow
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
def stored(request, tmp_path_factory):
    """The stem of each notebook -> the id of a cell -> what differs in the edited copy."""
    folder, found = tmp_path_factory.mktemp("edited"), {}
    for stem in EDITS:
        path = folder / f"{stem}.ipynb"
        nbformat.write(edited(stem), path)
        new = {cell.id: cell.outputs for cell in code(read(FOLDER / path.name).cells)}
        tests = compared(request.session, path)
        found[stem] = {id: difference(test, new[id]) for id, test in tests.items()}
    return found


@each_edit
def test_nbval_names_what_was_edited(stored, stem, edit):
    if edit.place != "source":
        said = SAID.get(edit.place, f"mismatch '{edit.place}'")
        assert said in stored[stem][edit.cell]


@pytest.mark.parametrize("stem", EDITS)
def test_nothing_but_the_edited_outputs_differs(stored, stem):
    edits = {some.cell for some in EDITS[stem] if some.place != "source"}
    assert {cell for cell, said in stored[stem].items() if said} == edits


@pytest.fixture(scope="module")
def failures(tmp_path_factory):
    """The stem of each notebook that is run -> the cells that failed and what was said."""
    copies = Copies(tmp_path_factory.mktemp("copies"))
    for stem in EXECUTED:
        copies.add(stem, stem, edited(stem))
    return copies.failures()


@pytest.mark.slow
def test_nothing_but_the_edited_cells_fails_in_a_kernel(failures):
    assert len(EXECUTED) >= 2
    for stem in EXECUTED:
        assert set(failures[stem]) == {some.cell for some in EDITS[stem]}
        for edit in EDITS[stem]:
            said = failures[stem][edit.cell]
            assert "Cell outputs differ" in said, edit
            assert SAID.get(edit.place, f"mismatch '{edit.place}'") in said, edit


def test_the_altered_line_of_each_mutation_stands_once_in_its_file():
    for stem, some in known().items():
        for mutation in (mutation for few in some.ROUNDS for mutation in few):
            file = ROOT / f"helpers/{mutation.file}.py"
            count = file.read_text(encoding="utf-8").count(mutation.old)
            assert count == 1, f"{stem}: {mutation} is stale"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_sanitizer_rewrites_the_line_of_versions_and_nothing_else(path):
    patterns = get_sanitize_patterns((ROOT / "tests/sanitize.cfg").read_text("ascii"))
    for cell in code(read(path).cells):
        before = after = raw(cell)
        for pattern, replacement in patterns:
            after = re.sub(pattern, replacement, after)
        if cell.id == "set-up":
            without_numbers = re.sub(r"(?<= \S)(\S*) \d\S*(?= ·|\n)", r"\1", before)
            assert after.startswith("Python VERSION · torch")
            assert after == re.sub(r"Python \d\S*", "Python VERSION", without_numbers)
        else:
            assert after == before, cell.id
