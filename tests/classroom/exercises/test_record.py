"""Progress: what counts as an answer, damaged and read-only places, what is told."""

import importlib
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from types import SimpleNamespace

import pytest

from helpers.classroom.exercises import check, done, quiz, record, report
from helpers.classroom.exercises.progress_report import asked
from helpers.classroom.exercises.record import FILE, Answers
from tests.notebook_rules.reading import FOLDER, ROOT, code, read, tags

TODAY = date.today().isoformat()


@pytest.fixture
def learner(tmp_path, monkeypatch):
    """The folder of a learner, who has answered nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "00_start_here.ipynb"))
    monkeypatch.setattr(record, "PATH", tmp_path / FILE)
    monkeypatch.setattr(record, "_failures", [])
    return tmp_path


def running(monkeypatch, code):
    """Make a cell with this source the one that runs."""
    shell = SimpleNamespace(get_parent=lambda: {"content": {"code": code}})
    monkeypatch.setattr(record, "get_ipython", lambda: shell)


# What is kept.


def test_without_a_learner_nothing_is_kept_and_nothing_is_read(learner, monkeypatch):
    record.record("00.1", right=True)
    monkeypatch.delenv("JPY_SESSION_NAME")
    before = (learner / FILE).read_bytes()
    check("00.1", 8)
    quiz("00.q1").pick(0)
    assert (learner / FILE).read_bytes() == before
    assert record.read() == ({}, "")


def test_a_stub_and_a_solution_do_not_count(learner, monkeypatch):
    assert check("00.1", ...).state == "untried"
    running(monkeypatch, "# Solution 00.1\nexercises.check('00.1', 8)")
    assert check("00.1", 8).state == "right"
    assert not (learner / FILE).exists()
    running(monkeypatch, "exercises.check('00.1', 8)")
    check("00.1", 8)
    assert record.read() == ({"00.1": Answers(1, True, TODAY)}, "")


def test_every_solution_begins_with_the_words_by_which_it_is_known():
    cells = [cell for path in FOLDER.glob("*.ipynb") for cell in code(read(path).cells)]
    known = {
        cell.source.startswith("# Solution") for cell in cells if "solution" in tags(cell)
    }
    assert known == {True}
    others = [cell for cell in cells if "solution" not in tags(cell)]
    assert not any("# Solution" in cell.source for cell in others)


def test_an_exercise_once_right_stays_right_and_tries_are_counted(learner):
    for answer in (711, 8, 7):
        check("00.1", answer)
    assert record.read()[0] == {"00.1": Answers(3, True, TODAY)}


def test_of_a_quiz_the_first_answer_stays(learner):
    right = [is_right for _, is_right, _ in quiz("00.q1").choices].index(True)
    some = quiz("00.q1")
    some.pick((right + 1) % 3)
    some.pick(right)
    assert record.read()[0] == {"00.q1": Answers(1, False, TODAY)}
    some.picked = []  # try again
    some.pick(right)
    assert record.read()[0] == {"00.q1": Answers(2, False, TODAY)}


def test_a_quiz_without_an_id_is_not_kept(learner):
    type(quiz("00.q1"))("Is it?", [("yes", True, "It is."), ("no", False, "It is.")]).pick(
        0
    )
    assert not (learner / FILE).exists()


@pytest.mark.parametrize("at", ["", "guess_first"])
def test_one_file_serves_the_course_wherever_a_cell_goes(tmp_path, at):
    away = tmp_path / "away"
    away.mkdir()
    (tmp_path / at).mkdir(exist_ok=True)
    code = (
        "import os; from helpers.classroom.exercises import check, done; "
        f"check('00.1', 8); os.chdir({str(away)!r}); check('01.1', 8); print(done())"
    )
    settings = {**os.environ, "JPY_SESSION_NAME": str(tmp_path / at / "00_start.ipynb")}
    settings["PYTHONPATH"] = str(ROOT)
    command = [sys.executable, "-c", code]
    said = subprocess.check_output(command, cwd=tmp_path / at, env=settings, text=True)
    assert re.search(r"(?m)^00 +○ q1 +✓ 1$", said)
    assert re.search(r"(?m)^01 .*→ 1 ", said)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / FILE]


def test_without_a_folder_of_the_notebook_the_working_one_is_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("/not/here/00_start.ipynb", "Console 1", ""):
        monkeypatch.setenv("JPY_SESSION_NAME", name)
        assert record._folder() == tmp_path
    monkeypatch.delenv("JPY_SESSION_NAME")
    assert record._folder() == tmp_path


def _record_many(k):
    for _ in range(50):
        record.record(f"0{k}.1", right=True)


def test_notebooks_that_write_at_once_lose_nothing(learner):
    with ProcessPoolExecutor(4) as pool:
        list(pool.map(_record_many, range(4)))
    answers, note = record.read()
    assert ([some.count for some in answers.values()], note) == ([50] * 4, "")


# What goes wrong.


@pytest.mark.parametrize(
    "damage",
    [
        b'{"id": "00.1", "right": tr',
        b"\xff\xfe\x00",
        b"[1, 2]",
        b'{"id": "00.1"}',
        b'{"id": "00.1", "right": true, "date": "<b>"}',
        b'{"id": "00.1", "right": true, "date": 7}',
        b"7",
        b"[" * 200_000,
    ],
    ids=range(8),
)
def test_a_damaged_line_is_left_out_and_told(learner, damage):
    record.record("00.1", right=False)
    with (learner / FILE).open("ab") as file:
        file.write(b"\n" + damage)
    record.record("00.1", right=True)
    note = f"Left out: 1 damaged of 3 lines of {FILE}."
    assert record.read() == ({"00.1": Answers(2, True, TODAY)}, note)
    assert repr(done()).endswith(note) and note in done()._repr_html_()


def test_a_folder_that_cannot_be_written_to_is_told_once_and_in_the_reports(
    learner, capsys
):
    (learner / FILE).mkdir()  # also refuses root, whom permissions do not stop
    said = f"Progress is not kept: {FILE} cannot be written ("  # and the system's words
    assert check("00.1", 8).state == "right"
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith(said)
    check("00.1", 8)
    assert capsys.readouterr().out == ""
    report()
    assert line in capsys.readouterr().out
    (learner / FILE).rmdir()
    check("00.1", 8)
    assert record.read() == ({"00.1": Answers(1, True, TODAY)}, "")


def ask(some, monkeypatch):
    """Ask a quiz what its view asks after a pick; return what Python sends."""
    sent = []
    monkeypatch.setattr(some, "send", sent.append)
    some._handle_custom_msg({"asks": "abc"}, [])
    return sent


def test_a_quiz_tells_its_view_that_it_is_not_kept(learner, monkeypatch):
    some = quiz("00.q1")
    (learner / FILE).mkdir()
    some.pick(0)
    [answer] = ask(some, monkeypatch)
    assert answer["answered"] == "abc"
    assert answer["fault"].startswith(f"Progress is not kept: {FILE} cannot be written (")
    # One that keeps nothing has nothing to tell.
    free = type(some)("Is it?", [("yes", True, "It is."), ("no", False, "It is.")])
    assert ask(free, monkeypatch) == [{"answered": "abc", "fault": ""}]
    (learner / FILE).rmdir()
    some.picked = []
    some.pick(0)
    assert ask(some, monkeypatch) == [{"answered": "abc", "fault": ""}]


def test_git_ignores_the_file():
    assert FILE in (ROOT / ".gitignore").read_text().split()


# What is told.


def test_what_is_asked_is_what_the_modules_hold():
    for number, (quizzes, exercises) in asked().items():
        module = importlib.import_module(f"helpers.classroom.exercises.notebook_{number}")
        assert quizzes == list(getattr(module, "QUIZZES", {}))
        assert exercises == list(getattr(module, "EXERCISES", {}))
    assert {"00", "14"} <= asked().keys()


def test_the_table_marks_what_is_right_tried_and_open(learner):
    assert "✓" not in repr(done()).partition("\n")[2]
    for id, right in (("01.1", True), ("01.2", False), ("01.q1", True), ("02.q2", False)):
        record.record(id, right)
    lines = repr(done()).splitlines()
    assert "01         ✓ q1          ✓ 1   → 2   ○ 3" in lines
    assert "02         ○ q1   → q2   ○ 1   ○ 2   ○ 3" in lines
    html = re.sub(' style="[^"]*"', "", done()._repr_html_())
    assert '<th scope="row">01</th><td>✓ q1</td><td>✓ 1   → 2   ○ 3</td>' in html
    # Both quizzes have been answered; one exercise is solved.
    assert done().done == 3


def test_the_report_counts_and_says_nothing_about_a_person_or_a_place(learner, capsys):
    lines = [("01.1", True, "2026-11-03"), ("01.2", False, "2026-11-02")]
    lines += [("01.q1", False, "2026-11-01"), ("99.1", True, "2026-11-09")]
    keys = ("id", "right", "date")
    text = "\n".join(json.dumps(dict(zip(keys, line, strict=True))) for line in lines)
    (learner / FILE).write_text(text)
    report()
    said = capsys.readouterr().out
    rows = {line.split()[0]: " ".join(line.split()) for line in said.splitlines() if line}
    exercises = done().exercises
    assert rows["01"] == "01 1 of 1 0 1 of 3 2 2026-11-03"
    assert rows["all"] == f"all 1 of {done().quizzes} 0 1 of {exercises} 2 2026-11-03"
    assert rows["00"] == "00 0 of 1 0 0 of 1 0 -"
    assert str(learner) not in said and "/" not in said
