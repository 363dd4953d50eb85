"""What a learner has answered, kept in one file for the course; nothing is sent.

Each answer is one line of JSON that is appended in one write. So notebooks that write at
the same moment do not lose each other's answers, and a damaged line costs that line alone.
Only a kernel that a Jupyter server has started for a notebook has a learner: what runs
notebooks to test or to convert them keeps nothing and reads nothing.
"""

import json
import os
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from IPython import get_ipython

from helpers.classroom.setup import guess_first

FILE = ".progress.jsonl"


def _folder() -> Path:
    """Return the folder of this kernel's notebook, or that of the original of a copy."""
    folder = Path.cwd().joinpath(os.environ.get("JPY_SESSION_NAME") or "-").parent
    if not folder.is_dir():  # the server is on another machine
        folder = Path.cwd()
    return folder.parent if folder.name == guess_first.NAME else folder


PATH = _folder() / FILE  # found once: a cell may change the working folder


@dataclass(frozen=True)
class Answers:
    """What is known of one quiz or exercise.

    Attributes:
        count: how often it was answered.
        right: of an exercise, whether any answer was right; of a quiz, the first.
        last: when, such as "2026-11-29".
    """

    count: int
    right: bool
    last: str


def has_learner() -> bool:
    """Tell whether a Jupyter server has started this kernel for a notebook."""
    return "JPY_SESSION_NAME" in os.environ


def runs_solution() -> bool:
    """Tell whether the cell that runs now is one of the course's solutions."""
    shell = get_ipython()
    request = shell.get_parent() if hasattr(shell, "get_parent") else {}
    return request.get("content", {}).get("code", "").startswith("# Solution")


def record(id: str, right: bool) -> None:
    """Keep an answer; where that cannot be, print so once, and again in the reports.

    Nobody sees what is printed when a button is pressed: `fault` tells it, too.

    Args:
        id: of the quiz or exercise.
        right: whether the answer was.
    """
    if not has_learner():
        return
    line = json.dumps({"id": id, "right": right, "date": date.today().isoformat()})
    try:
        # The line break comes first, so that a line that was torn spoils no other.
        with PATH.open("ab", buffering=0) as file:
            file.write(f"\n{line}".encode())
        _failures.clear()
    except OSError as error:
        if not _failures:
            print(_not_kept(error))
        _failures[:] = [error]


_failures: list[OSError] = []  # of the last answer


def fault() -> str:
    """Return why the last answer is not kept, or an empty text."""
    return " ".join(map(_not_kept, _failures))


def _not_kept(error: OSError) -> str:
    return f"Progress is not kept: {FILE} cannot be written ({error.strerror})."


def read() -> tuple[dict[str, Answers], str]:
    """Return id -> answers, and a note on what could not be read or kept."""
    notes = [fault()] if _failures else []
    lines = []
    try:
        if has_learner():
            lines = PATH.read_text("utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        pass
    except OSError as error:
        notes.append(f"{FILE} cannot be read ({error.strerror}).")
    lines = [line for line in lines if line.strip()]
    answers, damaged = {}, 0
    for line in lines:
        try:
            some = json.loads(line)
            id, right, last = str(some["id"]), bool(some["right"]), some["date"]
            date.fromisoformat(last)
        except (ValueError, TypeError, KeyError, RecursionError):
            damaged += 1
            continue
        before = answers.get(id, Answers(0, False, last))
        if ".q" in id and before.count:
            right = before.right
        count, last = before.count + 1, max(before.last, last)
        answers[id] = Answers(count, before.right or right, last)
    if damaged:
        notes.append(f"Left out: {damaged} damaged of {len(lines)} lines of {FILE}.")
    return answers, " ".join(notes)
