"""The comparison bites: nbval collects every cell, and fails where it has to.

Small copies of the notebooks run in one process of pytest, each with a kernel and a copy
of `helpers` of its own. In some an output or a source is altered, in some a line of a
helper. Exactly the cells that are named must fail: all others show that a copy passes.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from xml.etree import ElementTree

import nbformat
import pytest
from nbval.plugin import get_sanitize_patterns

from tests.course import Edit, Mutation, known
from tests.notebook_rules import FOLDER, NOTEBOOKS, ROOT, read
from tests.notebook_rules.reading import code, raw

CELLS = {stem: some.CELLS for stem, some in known().items()}
EDITS = {stem: some.EDITS for stem, some in known().items()}
ROUNDS = [(stem, *few) for stem, some in known().items() for few in some.ROUNDS]


def small_copy(folder, stem, mutations=()):
    """Make a folder with helpers, and return a notebook of a few cells to go there.

    A kernel finds the helpers beside its notebook before those of the project.
    """
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "helpers", folder / "helpers", ignore=ignored)
    for some in mutations:
        file = folder / f"helpers/{some.file}.py"
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace(some.old, some.new), encoding="utf-8")
    notebook = read(FOLDER / f"{stem}.ipynb")
    by_id = {cell.id: cell for cell in notebook.cells}
    notebook.cells = [by_id[id] for id in CELLS[stem].split()]
    return notebook


def alter(notebook, cell, place, old, new):
    """Replace a pattern in one place of a cell, wherever that place is."""
    cell = next(some for some in notebook.cells if some.id == cell)
    holders = [cell, *cell.outputs, *(output.get("data", {}) for output in cell.outputs)]
    holder = next(some for some in holders if place in some)
    text, count = re.subn(old, new, json.dumps(holder[place]), count=1, flags=re.DOTALL)
    assert count, f"{cell.id}: no {old!r} in {place}"
    holder[place] = nbformat.from_dict(json.loads(text))


@pytest.fixture(scope="module")
def failures(tmp_path_factory):
    """Run every copy; return, for each, the cells that failed and what nbval said."""
    base = tmp_path_factory.mktemp("copies")
    shutil.copy(FOLDER / "conftest.py", base)
    stems = {}

    def add(name, notebook, stem):
        nbformat.write(notebook, base / name / f"{name}.ipynb")
        stems[name] = stem

    for stem in CELLS:
        notebook = small_copy(base / f"edited-{stem}", stem)
        # Other versions than here: the sanitizer's file serves copies elsewhere as well.
        alter(notebook, "set-up", "text", r"\d+\.\d+\.\d+", "9.8.7")
        for some in EDITS[stem]:
            alter(notebook, *some)
        add(f"edited-{stem}", notebook, stem)
    for k, (stem, *mutations) in enumerate(ROUNDS):
        add(f"round-{k}", small_copy(base / f"round-{k}", stem, mutations), stem)

    cells = Counter()
    failed = {name: {} for name in stems}
    for case in ElementTree.parse(run_nbval(base)).iter("testcase"):
        name = case.get("classname").partition(".")[0]
        id = CELLS[stems[name]].split()[int(case.get("name").removeprefix("Cell "))]
        cells[name] += 1
        for fault in (*case.iter("failure"), *case.iter("error")):
            failed[name][id] = fault.text
    assert cells == {name: len(CELLS[stem].split()) for name, stem in stems.items()}
    return failed


def run_nbval(folder):
    """Run the notebooks in a folder with the project's settings; return the report."""
    report = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-c", ROOT / "pyproject.toml", "--nbval"]
    command += [f"--rootdir={folder}", f"--junitxml={report}", "-p", "no:cacheprovider"]
    command += ["-n", "2", "--dist", "loadscope", "--color=no", folder]
    # This test may run in a worker of pytest-xdist; the new process is nobody's worker.
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    return report


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


@pytest.mark.parametrize("stem", CELLS)
def test_nothing_but_the_edited_cells_fails(failures, stem):
    assert set(failures[f"edited-{stem}"]) == {some.cell for some in EDITS[stem]}


@pytest.mark.parametrize(
    ("stem", "edit"),
    [(stem, some) for stem in EDITS for some in EDITS[stem]],
    ids=lambda value: value.cell if isinstance(value, Edit) else value,
)
def test_nbval_names_what_was_edited(failures, stem, edit):
    said = failures[f"edited-{stem}"][edit.cell]
    assert "Cell outputs differ" in said
    told = {
        "source": "Missing output fields from running code",
        "outputs": "Unexpected output fields from running code",
        "text": "mismatch 'stdout'",
    }
    assert told.get(edit.place, f"mismatch '{edit.place}'") in said


@pytest.mark.parametrize(
    ("k", "mutation"),
    [(k, some) for k, (_, *mutations) in enumerate(ROUNDS) for some in mutations],
    ids=lambda value: f"{value.file}: {value.new}" if isinstance(value, Mutation) else None,
)
def test_a_changed_formula_is_caught(failures, k, mutation):
    file = ROOT / f"helpers/{mutation.file}.py"
    assert file.read_text(encoding="utf-8").count(mutation.old) == 1, "the row is stale"
    for cell in mutation.caught_by.split():
        said = failures[f"round-{k}"].get(cell, "passed")
        assert "Cell outputs differ" in said or "caused an exception" in said, cell


@pytest.mark.parametrize("k", range(len(ROUNDS)))
def test_each_formula_is_caught_by_cells_of_its_own(failures, k):
    named = [cell for some in ROUNDS[k][1:] for cell in some.caught_by.split()]
    assert sorted(failures[f"round-{k}"]) == sorted(named)


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
