"""`make notebooks`: what is written, with which line ends, and what counts as a failure."""

import sys

import nbformat
import pytest

from tests import make_notebooks


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder in the place of the notebooks."""
    monkeypatch.setattr(make_notebooks, "NOTEBOOKS", tmp_path)
    return tmp_path


def write(path, source):
    """Write a notebook of one cell, as an author would leave it."""
    cell = nbformat.v4.new_code_cell(source, id="only")
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    return path


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["make_notebooks.py", *arguments])
    return make_notebooks.main()


def test_a_second_run_changes_nothing_and_lines_end_as_on_linux(folder, monkeypatch):
    path = write(folder / "small.ipynb", "print(1 + 1)")
    assert make_notebooks.make(path) == (True, "small.ipynb: rewritten")
    written = path.read_bytes()
    assert b'"2\\n"' in written and b"\r" not in written
    assert make_notebooks.make(path) == (True, "small.ipynb: unchanged")
    # What an editor on Windows makes of it counts as a change, and is taken back.
    path.write_bytes(written.replace(b"\n", b"\r\n"))
    assert make_notebooks.make(path) == (True, "small.ipynb: rewritten")
    assert path.read_bytes() == written


def test_a_cell_that_raises_leaves_the_file_and_gives_exit_code_1(
    folder, monkeypatch, capsys
):
    path = write(folder / "broken.ipynb", "1 / 0")
    before = path.read_bytes()
    assert run(monkeypatch) == 1
    said = capsys.readouterr().out
    assert said.startswith("broken.ipynb: FAILED, left as it was\n")
    assert "ZeroDivisionError" in said and "division by zero" in said
    assert path.read_bytes() == before


def test_the_word_failed_in_a_name_is_no_failure(folder, monkeypatch, capsys):
    write(folder / "why_it_FAILED.ipynb", "1 + 1")
    assert run(monkeypatch, "notebooks/why_it_FAILED.ipynb") == 0
    assert capsys.readouterr().out == "why_it_FAILED.ipynb: rewritten\n"


def times(path):
    return [cell.outputs[0].text for cell in nbformat.read(path, as_version=4).cells]


def test_the_outputs_of_this_machine_are_kept_or_renewed_together(folder):
    path = folder / "timed.ipynb"
    ignored = {"tags": ["nbval-ignore-output"]}
    sources = {"one": "import time\nprint(time.time_ns())", "two": "print(time.time_ns())"}
    cells = [
        nbformat.v4.new_code_cell(source, id=id, metadata=ignored)
        for id, source in sources.items()
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    make_notebooks.make(path)
    first = times(path)
    assert make_notebooks.make(path) == (True, "timed.ipynb: unchanged")
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1].source = "print(2 * time.time_ns())"
    nbformat.write(notebook, path)
    make_notebooks.make(path)
    second = times(path)
    assert second[0] != first[0]
    assert second[1] != first[1]
    make_notebooks.make(path, fresh=True)
    third = times(path)
    assert third[0] != second[0]
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[0].outputs = []
    nbformat.write(notebook, path)
    make_notebooks.make(path)
    assert times(path)[1] != third[1]
