"""Checks with hints for every exercise of the course, and quizzes.

`check("01.1", answer)` says at once whether an answer is right, and if it is not, why it
may have gone wrong. The checks stand in one module a notebook, as plain functions that
return None where the answer is right, or the hint where it is not. `done()` and
`report()` say what has been answered so far.
"""

from helpers.classroom.exercises.checking import Result, check
from helpers.classroom.exercises.progress_report import done, report
from helpers.classroom.exercises.quizzes import Quiz, quiz

__all__ = ["Quiz", "Result", "check", "done", "quiz", "report"]
