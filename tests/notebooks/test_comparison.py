"""nbval's comparison finds every edit of an output, and no row of a mutation is stale."""

import re

import nbformat
import pytest
from nbval.plugin import get_sanitize_patterns

from tests.course import Edit, known
from tests.notebook_rules import FOLDER, NOTEBOOKS, ROOT, read
from tests.notebook_rules.reading import code, raw
from tests.notebooks.comparing import compared, difference, edited, said_of

EDITS = {stem: some.EDITS for stem, some in known().items()}


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


@pytest.mark.parametrize(
    ("stem", "edit"),
    [(stem, some) for stem in EDITS for some in EDITS[stem]],
    ids=lambda value: value.cell if isinstance(value, Edit) else value,
)
def test_nbval_names_what_was_edited(stored, stem, edit):
    if edit.place != "source":  # mutations.py runs those
        assert said_of(edit) in stored[stem][edit.cell]


@pytest.mark.parametrize("stem", EDITS)
def test_nothing_but_the_edited_outputs_differs(stored, stem):
    edits = {some.cell for some in EDITS[stem] if some.place != "source"}
    assert {cell for cell, said in stored[stem].items() if said} == edits


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
