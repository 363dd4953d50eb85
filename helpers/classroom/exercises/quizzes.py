"""A question with buttons; every choice, right or wrong, gets its explanation."""

from collections.abc import Sequence
from html import escape

import ipywidgets

from helpers.classroom.exercises.checking import find


class Quiz(ipywidgets.VBox):
    """The question, a button for each choice, and a line for the explanation.

    `pick(k)` does what pressing button k does.
    """

    def __init__(self, question: str, choices: Sequence[tuple[str, bool, str]]):
        """Build the buttons.

        Args:
            question: one sentence.
            choices: two to six of (text, whether it is right, explanation).

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
        self.question, self.choices = question, tuple(choices)
        self.said = ipywidgets.HTML()
        buttons = []
        for k, (text, _, _) in enumerate(self.choices):
            button = ipywidgets.Button(
                description=f"{'abcdef'[k]}) {text}",
                layout=ipywidgets.Layout(width="auto", max_width="640px"),
            )
            button.on_click(lambda _, k=k: self.pick(k))
            buttons.append(button)
        asked = ipywidgets.HTML(f"<strong>{escape(question)}</strong>")
        # Kept as wide as the page's prose, and the buttons as wide as their words.
        layout = ipywidgets.Layout(align_items="flex-start")
        super().__init__([asked, *buttons, self.said], layout=layout)

    def pick(self, k: int) -> str:
        """Show and return what is to be said about choice k, counted from 0."""
        _, right, explanation = self.choices[k]
        head = "Right" if right else "Not quite"
        self.said.value = (
            f'<p role="status"><strong>{head}.</strong> {escape(explanation)}</p>'
        )
        return f"{head}. {explanation}"

    def __repr__(self) -> str:
        """Return the question and its choices, without the answer."""
        listed = "".join(f"\n  {'abcdef'[k]}) {c[0]}" for k, c in enumerate(self.choices))
        return f"Quiz: {self.question}{listed}"

    def _repr_mimebundle_(self, **kwargs) -> dict:
        data = super()._repr_mimebundle_(**kwargs)
        data["text/plain"] = repr(self)
        return data


def quiz(id: str) -> Quiz:
    """Return a quiz of the course: as a cell's last line it is shown.

    The questions stand with the exercises of their notebook, so that the answer is not
    in front of the learner.

    Args:
        id: notebook and number, such as "00.q1".

    Raises:
        ValueError: there is no such quiz.
    """
    return Quiz(*find(id, "QUIZZES"))
