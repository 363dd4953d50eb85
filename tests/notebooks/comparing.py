"""nbval's comparison: of small copies that are run, and of outputs without a kernel."""

import copy
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pytest
from nbval.plugin import IPyNbCell, IPyNbFile, coalesce_streams

from tests.course import Edit, known
from tests.notebook_rules import FOLDER, ROOT, read

CELLS = {stem: some.CELLS.split() for stem, some in known().items()}


def compared(session: pytest.Session, path: Path) -> dict[str, IPyNbCell]:
    """Return the id of each code cell -> nbval's test of it, without a kernel."""
    file = IPyNbFile.from_parent(session, path=path)
    file.setup_sanitize_files()
    return {some.cell.id: some for some in file.collect()}


def difference(test: IPyNbCell, outputs: list) -> str:
    """Return what nbval says if a cell's stored outputs are not these; "" if they are."""
    stored, new = (
        coalesce_streams(nbformat.from_dict(copy.deepcopy(some)))
        for some in (test.cell.outputs, outputs)
    )
    same = not test.options["check"] or test.compare_outputs(new, stored)
    return "" if same else "\n".join(test.comparison_traceback)


def alter(notebook: nbformat.NotebookNode, cell: str, place: str, old: str, new: str):
    """Replace a pattern in one place of a cell, wherever that place is."""
    cell = next(some for some in notebook.cells if some.id == cell)
    holders = [cell, *cell.outputs, *(output.get("data", {}) for output in cell.outputs)]
    holder = next(some for some in holders if place in some)
    text, count = re.subn(old, new, json.dumps(holder[place]), count=1, flags=re.DOTALL)
    assert count, f"{cell.id}: no {old!r} in {place}"
    holder[place] = nbformat.from_dict(json.loads(text))


SAID = {
    "source": "Missing output fields from running code",
    "outputs": "Unexpected output fields from running code",
    "text": "mismatch 'stdout'",
}


def said_of(edit: Edit) -> str:
    """Return a part of what nbval says where that place was edited."""
    return SAID.get(edit.place, f"mismatch '{edit.place}'")


def edited(stem: str) -> nbformat.NotebookNode:
    """Return a notebook with all its edits, and with other versions than here."""
    notebook = read(FOLDER / f"{stem}.ipynb")
    # The sanitizer's file serves copies elsewhere as well.
    alter(notebook, "set-up", "text", r"\d+\.\d+\.\d+", "9.8.7")
    for some in known()[stem].EDITS:
        alter(notebook, *some)
    return notebook


class Copies:
    """A folder of small copies of notebooks, each with helpers of its own."""

    def __init__(self, folder: Path):
        self.folder, self.stems = folder, {}
        shutil.copy(ROOT / "conftest.py", folder)

    def add(self, name: str, stem: str, notebook: nbformat.NotebookNode, mutations=()):
        """Write the few cells of a notebook, and beside it helpers with altered lines.

        A kernel finds the helpers beside its notebook before those of the project.
        """
        place = self.folder / name
        # What is compiled comes along: Python compiles again what is newer.
        shutil.copytree(ROOT / "helpers", place / "helpers")
        for some in mutations:
            file = place / f"helpers/{some.file}.py"
            text = file.read_text(encoding="utf-8")
            file.write_text(text.replace(some.old, some.new), encoding="utf-8")
        by_id = {cell.id: cell for cell in notebook.cells}
        notebook.cells = [by_id[id] for id in CELLS[stem]]
        nbformat.write(notebook, place / f"{name}.ipynb")
        self.stems[name] = stem

    def failures(self) -> dict[str, dict[str, str]]:
        """Run all; return each copy's name -> its cells that failed -> what is said."""
        cells, failed = Counter(), {name: {} for name in self.stems}
        for case in ElementTree.parse(self._run()).iter("testcase"):
            name = case.get("classname").partition(".")[0]
            number = int(case.get("name").removeprefix("Cell "))
            cells[name] += 1
            for fault in (*case.iter("failure"), *case.iter("error")):
                failed[name][CELLS[self.stems[name]][number]] = fault.text
        assert cells == {name: len(CELLS[stem]) for name, stem in self.stems.items()}
        return failed

    def _run(self) -> Path:
        report = self.folder / "report.xml"
        command = [sys.executable, "-m", "pytest", "-c", ROOT / "pyproject.toml", "--nbval"]
        command += [f"--rootdir={self.folder}", f"--junitxml={report}", "--color=no"]
        # A kernel often waits, so that two cores have work for three.
        command += ["-p", "no:cacheprovider", "-n", "3", "--dist", "loadscope", self.folder]
        # This may run in a worker of pytest-xdist; the new process is nobody's worker.
        env = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
        assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
        return report
