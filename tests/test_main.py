"""One door, `python -m helpers`, and the two older ones beside it."""

import subprocess
import sys

import pytest

from helpers import __main__ as door
from tests import ROOT


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True
    )


@pytest.mark.parametrize("ask", ["-h", "--help"])
def test_help_names_every_door(ask, capsys):
    assert door.main([ask]) == 0
    said, wrong = capsys.readouterr()
    assert [line.split()[0] for line in said.splitlines()[2:]] == list(door.DOORS)
    assert wrong == ""


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [([], "which door?"), (["cellar", "--help"], "there is no door 'cellar'")],
)
def test_an_unknown_door_and_none_at_all_are_exit_code_2(arguments, wrong):
    done = run("helpers", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"python -m helpers: {wrong}\n\n{door.HELP}\n"


@pytest.mark.parametrize("name", door.DOORS)
def test_each_door_has_its_own_help(name):
    done = run("helpers", name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: python -m helpers {name} ")


@pytest.mark.parametrize("name", ["doctor", "lab"])
def test_the_older_doors_open_the_same_room(name):
    old, new = run(f"helpers.{name}", "--help"), run("helpers", name, "--help")
    assert (old.returncode, old.stdout, old.stderr) == (0, new.stdout, "")


@pytest.mark.parametrize(
    ("way", "code", "words"),
    [
        (["doctor", "--cellar"], 2, "unrecognized arguments: --cellar"),
        (["lab", "--port", "99999"], 1, "--port 99999: a port is a number from 0"),
        (["handouts", "99_none.ipynb"], 2, "there is no notebook 99_none.ipynb"),
    ],
)
def test_a_doors_own_exit_code_and_words_come_through(way, code, words):
    done = run("helpers", *way)
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr and "Traceback" not in done.stderr


def test_a_door_is_given_what_follows_its_name(monkeypatch):
    given = []

    class Room:
        def main(arguments):
            given.extend(arguments)
            return "no table"

    monkeypatch.setitem(sys.modules, "room", Room)
    monkeypatch.setitem(door.DOORS, "cellar", ("room", "what is below"))
    assert door.main(["cellar", "--deep", "lab"]) == "no table"
    assert given == ["--deep", "lab"]
