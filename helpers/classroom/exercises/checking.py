"""What happens when a learner checks an answer."""

import importlib
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path

from helpers.classroom.exercises import record

# Code that the learner has not written: the course, the standard library, packages.
NOT_THEIRS = (
    str(Path(__file__).parents[2]),
    "<frozen",
    *{sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")},
)
NO_FUNCTION = "expected your function, without brackets behind its name."
NO_RETURN = "your function returns nothing; end it with a return."
STATES = {"untried": "Not tried yet", "right": "Right", "wrong": "Not yet"}


@dataclass(frozen=True)
class Exercise:
    """A check and the sentence that a right answer has earned.

    Attributes:
        find_fault: takes the answer; returns None where it is right, else a hint. It may
            raise `NotTried` where a function is still its stub.
        because: what the right answer shows.
        of_function: whether the answer has to be a function.
    """

    find_fault: Callable[[object], str | None]
    because: str
    of_function: bool = False


class NotTried(Exception):
    """The learner's function still does nothing; the text may say what it should do."""


def is_stub(function: Callable) -> bool:
    """Say whether a function is still the empty one that the exercise began with.

    Code that calls anything, or takes an attribute, refers to a name: that learner has
    begun, and a hint serves them better than "not tried yet".
    """
    code = getattr(function, "__code__", None)
    return code is not None and not code.co_names


def kind(thing: object) -> str:
    """Return the name of a thing's type, for a hint."""
    return type(thing).__name__


def no_answer(function: Callable, hint: str = NO_RETURN) -> str:
    """Return the hint for a function that has returned, or done, nothing.

    Raises:
        NotTried: it is still the stub; where the hint is another than the usual one, it
            is told all the same.
    """
    if is_stub(function):
        raise NotTried(*() if hint == NO_RETURN else (hint,))
    return hint


@dataclass(frozen=True)
class Result:
    """What the learner sees: state is untried, right or wrong."""

    id: str
    state: str
    text: str

    def __repr__(self) -> str:
        """Return the answer in words."""
        return f"Exercise {self.id} · {STATES[self.state]}: {self.text}"

    def _repr_mimebundle_(self, **kwargs) -> dict:
        mark = {"untried": "○", "right": "✓", "wrong": "→"}[self.state]
        head = f"{mark} Exercise {self.id} · {STATES[self.state]}:"
        return {
            "text/plain": repr(self),
            "text/html": f"<p><strong>{head}</strong> {escape(self.text)}</p>",
        }


def check(id: str, answer: object) -> Result:
    """Say whether an answer is right: not tried yet, right, or not yet with a hint.

    A learner's answer is kept as progress; the course's own solution is not. A mistake in
    the learner's own code is told in a sentence, never as a traceback from inside the
    course.

    Args:
        id: notebook and number, such as "01.1".
        answer: what the exercise asks for; `...` while it is not tried.

    Raises:
        ValueError: there is no such exercise.
    """
    result = _judged(id, find(id), answer)
    if result.state != "untried" and not record.runs_solution():
        record.record(id, right=result.state == "right")
    return result


def _judged(id: str, exercise: Exercise, answer: object) -> Result:
    if answer is ... or answer is None:
        return Result(id, "untried", "replace the ... with your answer, then run the cell.")
    if exercise.of_function and not callable(answer):
        return Result(id, "wrong", NO_FUNCTION)
    try:
        hint = exercise.find_fault(answer)
    except NotTried as nothing:
        text = "your function returns nothing yet; write its body, end with a return."
        return Result(id, "untried", str(nothing) or text)
    except (Exception, SystemExit) as error:
        return Result(id, "wrong", f"your answer raises {_name_place(error)}.")
    if hint is None:
        return Result(id, "right", exercise.because)
    return Result(id, "wrong", hint)


def _name_place(error: BaseException) -> str:
    """Return the error with the line in the learner's code where it arose, if any."""
    # torch's longest messages run over a page; their first line says what happened.
    first = next(iter(str(error).splitlines()), "")
    text = f"{type(error).__name__}: {first}".rstrip(".: ")
    place, step = "", error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        # In a notebook, the learner's functions come from a file made by the kernel.
        if not code.co_filename.startswith(NOT_THEIRS):
            place = f" (in {code.co_name}, line {step.tb_lineno})"
        step = step.tb_next
    return text + place


def find(id: str, kind: str = "EXERCISES") -> object:
    """Return the exercise, or what else a notebook's module lists, of this id.

    Raises:
        ValueError: there is none.
    """
    try:
        module = importlib.import_module(f"{__package__}.notebook_{str(id)[:2]}")
        return getattr(module, kind)[id]
    except (ModuleNotFoundError, KeyError) as error:
        # A package that is missing is another matter, and the doctor's.
        if isinstance(error, ModuleNotFoundError) and not error.name.startswith("helpers"):
            raise
        what, such = {"EXERCISES": ("exercise", "01.1"), "QUIZZES": ("quiz", "01.q1")}[kind]
        raise ValueError(f"there is no {what} {id!r}; an id looks like {such!r}") from None
