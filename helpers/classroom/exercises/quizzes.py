"""A question with buttons; every choice, right or wrong, gets its explanation.

The browser knows it all and answers by itself: also while the kernel is busy, after a
restart, and in a page of the handouts. Python only hears what was picked, and says
whether that is kept.
"""

from collections.abc import Sequence
from html import escape
from pathlib import Path

import anywidget
import traitlets

from helpers.classroom.exercises import record
from helpers.classroom.exercises.checking import find


class Quiz(anywidget.AnyWidget):
    """The question and a button for each choice, below which its explanation appears.

    Attributes:
        picked: the numbers of the choices, from 0, in the order in which they were picked.
    """

    _esm = Path(__file__).with_name("quiz.js")
    _css = Path(__file__).with_name("quiz.css")
    question = traitlets.Unicode().tag(sync=True)
    choices = traitlets.List().tag(sync=True)
    picked = traitlets.List(traitlets.Int()).tag(sync=True)

    def __init__(
        self, question: str, choices: Sequence[tuple[str, bool, str]], id: str = ""
    ):
        """Show the question, with nothing picked.

        Args:
            question: one sentence.
            choices: two to six of (text, whether it is right, explanation).
            id: under which the first pick is kept as progress; without one it is not.

        Raises:
            ValueError: too few or too many choices, not exactly one right one, or a
                choice without an explanation.
        """
        if not 2 <= len(choices) <= 6:
            raise ValueError(f"got {len(choices)} choices; expected two to six")
        if sum(right for _, right, _ in choices) != 1:
            raise ValueError("expected exactly one right choice")
        for text, _, explanation in choices:
            if not explanation.strip():
                raise ValueError(f"the choice {text!r} has no explanation")
        self._id = id
        super().__init__(question=question, choices=[list(choice) for choice in choices])
        self.on_msg(lambda quiz, message, buffers: quiz._answer(message))

    def pick(self, k: int) -> str:
        """Do what pressing button k does, from 0; return what is then said about it."""
        _, right, explanation = self.choices[k]
        self.picked = [*self.picked, k]
        return f"{'Right' if right else 'Not quite'}. {explanation}"

    @traitlets.observe("picked")
    def _keep(self, change: dict) -> None:
        # The first pick is the answer; after it, the learner has been told.
        if self._id and self.picked and not change["old"]:
            record.record(self._id, right=self.choices[self.picked[0]][1])

    def _answer(self, message: dict) -> None:
        # The browser asks after each pick whether there is anybody.
        fault = record.fault() if self._id else ""
        self.send({"answered": message.get("asks"), "fault": fault})

    def __repr__(self) -> str:
        """Return the question and its choices, without the answer."""
        listed = "".join(f"\n  {'abcdef'[k]}) {c[0]}" for k, c in enumerate(self.choices))
        return f"Quiz: {self.question}{listed}"

    def _repr_mimebundle_(self, **kwargs) -> tuple[dict, dict]:
        # The view for a live page; the others for nbval, for print and for a page without
        # a kernel.
        data, metadata = super()._repr_mimebundle_(**kwargs)
        listed = "".join(f"<li>{escape(choice[0])}</li>" for choice in self.choices)
        data["text/plain"] = repr(self)
        data["text/html"] = (
            f'<p><strong>{escape(self.question)}</strong></p><ol type="a">{listed}</ol>'
        )
        return data, metadata


def quiz(id: str) -> Quiz:
    """Return a quiz of the course: as a cell's last line it is shown.

    The questions stand with the exercises of their notebook, so that the answer is not
    in front of the learner.

    Args:
        id: notebook and number, such as "00.q1".

    Raises:
        ValueError: there is no such quiz.
    """
    return Quiz(*find(id, "QUIZZES"), id=id)
