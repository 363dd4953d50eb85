"""What is done of what the course asks: a table for the learner, counts for a teacher."""

import ast
from html import escape
from itertools import chain
from pathlib import Path

from helpers.classroom.exercises import record
from helpers.classroom.exercises.record import Answers

SIGNS = {True: "✓", False: "→", None: "○"}
LEGEND = "✓ right (a quiz: at once) · → tried · ○ not yet"
HEADS = ("Notebook", "Quizzes", "Exercises")
COUNTS = (
    "notebook",
    "quizzes answered",
    "right at once",
    "exercises solved",
    "tries",
    "last",
)


def done() -> "Progress":
    """Return which quizzes and exercises are done: as a cell's last line it is shown."""
    return Progress(*record.read())


def report() -> None:
    """Print a summary to hand to a teacher; it names no person and no folder."""
    print(done().summary())


def asked() -> dict[str, tuple[list[str], list[str]]]:
    """Return the number of each notebook -> the ids of its quizzes, and of its exercises.

    Read, not imported: some of the modules bring packages that take seconds.
    """
    ids = {}
    for path in sorted(Path(__file__).parent.glob("notebook_*.py")):
        found = {"QUIZZES": [], "EXERCISES": []}
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            name = ast.unparse(node.targets[0]) if isinstance(node, ast.Assign) else ""
            if name in found:
                found[name] = [key.value for key in node.value.keys]
        ids[path.stem.removeprefix("notebook_")] = tuple(found.values())
    return ids


class Progress:
    """The answers beside the questions.

    Attributes:
        quizzes, exercises: how many the course has.
        done: how many quizzes have been answered, and exercises solved.
    """

    def __init__(self, answers: dict[str, Answers], note: str):
        """Take what `record.read` returns."""
        self._answers, self._note, self._asked = answers, note, asked()
        quizzes, exercises = self._all()
        self.quizzes, self.exercises = len(quizzes), len(exercises)
        solved = sum(some.right for some in self._known(exercises))
        self.done = len(self._known(quizzes)) + solved

    def summary(self) -> str:
        """Return counts for each notebook and all: quizzes answered, exercises solved."""
        groups = {**self._asked, "all": self._all()}
        rows = [(number, *self._counts(*ids)) for number, ids in groups.items()]
        return self._text("Save, Load, Ship: what is done", [COUNTS, *rows])

    def __repr__(self) -> str:
        """Return a line for each notebook."""
        return self._text(LEGEND, [HEADS, *self._marks()])

    def _repr_html_(self) -> str:
        # JupyterLab would set it flush right; the spaces hold signs and numbers together.
        style = 'style="text-align: left; white-space: pre-wrap"'
        heads = "".join(f'<th scope="col" {style}>{head}</th>' for head in HEADS)
        rows = "".join(
            f'<tr><th scope="row" {style}>{number}</th>'
            f"<td {style}>{quizzes}</td><td {style}>{exercises}</td></tr>"
            for number, quizzes, exercises in self._marks()
        )
        return (
            f"<p>{LEGEND}</p><table><thead><tr>{heads}</tr></thead>"
            f"<tbody>{rows}</tbody></table><p>{escape(self._note)}</p>"
        )

    def _all(self) -> list[list[str]]:
        return [list(chain(*ids)) for ids in zip(*self._asked.values(), strict=True)]

    def _known(self, ids: list[str]) -> list[Answers]:
        return [self._answers[id] for id in ids if id in self._answers]

    def _marks(self) -> list[tuple[str, ...]]:
        def marked(ids):
            signs = [SIGNS[getattr(self._answers.get(id), "right", None)] for id in ids]
            # "01.q1" is q1 in the row of its notebook.
            return "   ".join(f"{s} {id[3:]}" for s, id in zip(signs, ids, strict=True))

        return [(number, *map(marked, ids)) for number, ids in self._asked.items()]

    def _counts(self, quizzes: list[str], exercises: list[str]) -> tuple[str, ...]:
        answered, tried = self._known(quizzes), self._known(exercises)
        return (
            f"{len(answered)} of {len(quizzes)}",
            f"{sum(some.right for some in answered)}",
            f"{sum(some.right for some in tried)} of {len(exercises)}",
            f"{sum(some.count for some in tried)}",
            max((some.last for some in answered + tried), default="-"),
        )

    def _text(self, title: str, rows: list[tuple[str, ...]]) -> str:
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "   ".join(f"{a:<{n}}" for a, n in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        return "\n".join([title, "", *lines, self._note]).rstrip()
