"""Copies without outputs: written once, brought up to date, a learner's work is left."""

import json
import re
import shutil

import nbformat
import pytest

from helpers.classroom.setup import guess_first
from tests.notebook_rules import FOLDER, NOTEBOOKS, ROOT, read

FIRST, OTHER = "00_start_here.ipynb", "01_state_dicts.ipynb"


@pytest.fixture
def notebooks(tmp_path):
    """A folder with two of the course's notebooks and their copies."""
    for name in (FIRST, OTHER):
        shutil.copy(FOLDER / name, tmp_path)
    assert guess_first.write(tmp_path) == []
    return tmp_path


def change(path, id, source):
    """Give a cell another source, as the course or a learner would."""
    notebook = json.loads(path.read_text("utf-8"))
    next(cell for cell in notebook["cells"] if cell["id"] == id)["source"] = source
    path.write_text(json.dumps(notebook), "utf-8")


def source(path, id):
    return next(cell.source for cell in read(path).cells if cell.id == id)


def test_a_copy_has_every_cell_and_no_output(notebooks):
    for name in (FIRST, OTHER):
        whole, copied = read(notebooks / name), read(notebooks / "guess_first" / name)
        nbformat.validate(copied)
        assert [c.id for c in copied.cells] == [c.id for c in whole.cells]
        for had, has in zip(whole.cells, copied.cells, strict=True):
            assert had.metadata == has.metadata
            if had.cell_type == "code":
                assert (has.source, has.outputs) == (had.source, [])
                assert has.execution_count is None


def test_every_link_and_picture_of_a_copy_is_there(tmp_path):
    place = tmp_path / "notebooks"
    shutil.copytree(ROOT / "pictures", place / "pictures")
    shutil.copy(ROOT / "README.md", tmp_path)
    for path in NOTEBOOKS:
        shutil.copy(path, place)
    change(place / FIRST, "map", "![x](pictures/explorer.png) [y](../README.md)")
    guess_first.write(place)
    links = []
    for copied in sorted((place / "guess_first").glob("*.ipynb")):
        text = "\n".join(c.source for c in read(copied).cells if c.cell_type == "markdown")
        text = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)
        for link in re.findall(r"\]\(([^)#]+)", text):
            links.append(link)
            assert link.startswith("https://") or (copied.parent / link).exists(), link
    assert {"../../README.md", "../pictures/explorer.png", OTHER} <= set(links)


def test_an_untouched_copy_follows_the_course(notebooks):
    change(notebooks / FIRST, "data", "Something new.")
    assert guess_first.write(notebooks) == []
    assert source(notebooks / "guess_first" / FIRST, "data") == "Something new."


def test_a_learners_work_is_left_and_said_to_be_older_once_the_course_is_newer(notebooks):
    mine = notebooks / "guess_first" / FIRST
    change(mine, "exercise-1", "answer = 8")
    kept = mine.read_bytes()
    assert guess_first.write(notebooks) == []
    change(notebooks / FIRST, "data", "Something new.")
    assert guess_first.write(notebooks) == guess_first.write(notebooks) == [FIRST]
    assert mine.read_bytes() == kept
    mine.rename(mine.with_name("mine.ipynb"))
    assert guess_first.write(notebooks) == []
    assert source(mine, "data") == "Something new."
    assert mine.with_name("mine.ipynb").read_bytes() == kept


@pytest.mark.parametrize("damage", [None, "", "{", "[1]", "3"])
def test_a_file_that_we_do_not_know_to_have_written_is_left(notebooks, damage):
    record = notebooks / "guess_first" / guess_first.RECORD
    record.unlink() if damage is None else record.write_text(damage)
    change(notebooks / "guess_first" / FIRST, "data", "My own.")
    assert guess_first.write(notebooks) == [FIRST]
    assert source(notebooks / "guess_first" / FIRST, "data") == "My own."


def test_only_what_was_left_is_said(notebooks, monkeypatch):
    monkeypatch.setattr(guess_first.write, "__defaults__", (notebooks,))
    assert guess_first.prepare() == ""
    change(notebooks / "guess_first" / FIRST, "data", "My own.")
    change(notebooks / FIRST, "data", "Something new.")
    assert f"notebooks/guess_first, in {FIRST}: the course's" in guess_first.prepare()


def test_a_folder_that_cannot_be_written_is_said_and_stops_nothing(tmp_path, monkeypatch):
    (tmp_path / "guess_first").write_text("a file in its place")
    monkeypatch.setattr(guess_first.write, "__defaults__", (tmp_path,))
    assert guess_first.prepare().startswith("There are no copies without outputs: ")


def test_a_learners_own_notebooks_are_not_copied(notebooks):
    for name in ("Untitled.ipynb", "00_start_here-Copy1.ipynb"):
        (notebooks / name).write_text("")
    assert guess_first.write(notebooks) == []
    copies = {path.name for path in (notebooks / "guess_first").glob("*.ipynb")}
    assert copies == {FIRST, OTHER}


def test_a_saved_widget_stays_out_of_the_copy(notebooks):
    path = notebooks / FIRST
    notebook = json.loads(path.read_text("utf-8"))
    notebook["metadata"]["widgets"] = {"state": "large"}
    path.write_text(json.dumps(notebook), "utf-8")
    guess_first.write(notebooks)
    assert "widgets" not in read(notebooks / "guess_first" / FIRST).metadata


def test_a_damaged_notebook_is_said_and_stops_nothing(notebooks, monkeypatch):
    monkeypatch.setattr(guess_first.write, "__defaults__", (notebooks,))
    (notebooks / FIRST).write_text("{")
    assert guess_first.prepare().startswith("There are no copies without outputs: ")
