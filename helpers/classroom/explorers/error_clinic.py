"""The error clinic: paste a message, read what it means and the line that repairs it."""

import re
from collections.abc import Collection
from html import escape

from helpers.classroom.charts import Chart, Item
from helpers.classroom.clinic import ENTRIES, Diagnosis, diagnose, nearest
from helpers.classroom.panel import Panel, Text

ASK = "What does it mean?"
READY = "Paste a message and press the button."
EMPTY = "Paste an error message first; a whole traceback will do."
UNKNOWN = "The clinic does not know this message."
NEAREST = f"{UNKNOWN} The nearest that it knows is:"
ALL = ("All messages that it knows", "notebooks/14_cheat_sheet.ipynb")
# Long enough to tell messages apart, short enough for a line of output.
SHOWN_OF_A_MESSAGE = 60


class ErrorClinic:
    """A field for an error message, a button, and the answer.

    Attributes:
        heading: what is said before the diagnoses; "" before the first question.
        diagnoses: what the message may mean, best first; the nearest entry alone where
            the message is not known, and none where nothing is like it.
        panel: shows them.
    """

    def __init__(self, notebooks: Collection[str] = ()):
        """Build the clinic without a message.

        Args:
            notebooks: names of the notebook files that are there; those become links, any
                other name is plain text.
        """
        self._notebooks = frozenset(notebooks)
        self._asked, self.heading, self.diagnoses = "", "", []
        field = Text(
            "message",
            "Error message, or a whole traceback",
            lines=5,
            placeholder="RuntimeError: ...",
            monospace=True,
            most=100_000,
        )
        self.panel = Panel("Error clinic", [field], self._draw, buttons={ASK: self._answer})

    def ask(self, text: str) -> list[Diagnosis]:
        """Show and return what the message may mean, as pasting it and pressing does."""
        self.panel.values = {"message": text}
        self.panel.press(ASK)
        return self.diagnoses

    def _answer(self) -> None:
        self._asked = text = self.panel.values["message"]
        self.diagnoses = diagnose(text)
        if not text.strip():
            self.heading = EMPTY
        elif self.diagnoses:
            self.heading = "It may mean:" if len(self.diagnoses) > 1 else "It means:"
        else:
            near = nearest(text)
            self.heading = NEAREST if near else UNKNOWN
            self.diagnoses = [near] if near else []

    def _draw(self, message: str) -> Chart:
        # An answer beside another text would be taken for that one's.
        if not self.heading or message != self._asked:
            return Chart("", READY)
        items = tuple(
            Item(found.says, found.meaning, found.fix, self._link(found.notebook))
            for found in self.diagnoses
        )
        is_unknown = self.heading.startswith(UNKNOWN)
        return Chart("", self.heading, items=items, links=(ALL,) if is_unknown else ())

    def _link(self, notebook: str) -> tuple[str, str]:
        path = f"notebooks/{notebook}" if notebook in self._notebooks else ""
        return f"Notebook {notebook.removesuffix('.ipynb')}", path

    def __repr__(self) -> str:
        """Return question and answer as text; the same on every machine."""
        if not self.heading:
            return "ErrorClinic: paste a message and press the button."
        asked = " ".join(self._asked.split())
        if len(asked) > SHOWN_OF_A_MESSAGE:
            asked = f"{asked[:SHOWN_OF_A_MESSAGE]}..."
        lines = [f"ErrorClinic({asked!r}): {self.heading}"]
        for k, found in enumerate(self.diagnoses, 1):
            lines += [f"  {k}. {found.says}", f"     {found.meaning}"]
            lines += [f"     {found.fix}  ({found.notebook})"]
        return "\n".join(lines)

    def _repr_mimebundle_(self, **kwargs) -> tuple[dict, dict]:
        data, metadata = self.panel._repr_mimebundle_(**kwargs)
        del data["image/svg+xml"]  # its answers are words
        data["text/plain"] = repr(self)
        return data, metadata


class MessageTable:
    """Every message that the clinic knows, as a table for paper."""

    def __init__(self, notebooks: Collection[str] = ()):
        """Keep which notebooks are there, as for the clinic."""
        self._notebooks = frozenset(notebooks)

    def __repr__(self) -> str:
        """Return one block of lines for each message."""
        return "\n".join(
            f"{some.says}\n    {some.meaning}\n    {some.fix}  ({some.notebook})"
            for some in ENTRIES
        )

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><th scope="row" style="{_CELL}">{_breakable(some.says)}</th>'
            f'<td style="{_CELL}">{escape(some.meaning)}<br>'
            f'<code style="{_CODE}">{_breakable(some.fix)}</code></td>'
            f'<td style="{_CELL}; {_NARROW}">'
            f"{_linked(some.notebook, self._notebooks, some.notebook[:2])}</td></tr>"
            for some in ENTRIES
        )
        heads = ("The message says", "It means; the line that repairs it")
        head = "".join(f'<th scope="col" style="{_CELL}">{head}</th>' for head in heads)
        head += f'<th scope="col" style="{_CELL}; {_NARROW}">Notebook</th>'
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


_CELL = "text-align: left; vertical-align: top"
_NARROW = "min-width: 5em; white-space: nowrap"
_CODE = "overflow-wrap: normal; white-space: pre-wrap; word-break: normal"


def _breakable(text: str) -> str:
    # Between the parts of a name or of a call, and never inside a word.
    return "<wbr>".join(map(escape, re.split(r"(?<=[.,(\[])(?=\S)", text)))


def _linked(notebook: str, there: Collection[str], name: str = "") -> str:
    stem = escape(notebook.removesuffix(".ipynb"))
    if notebook not in there:
        return stem
    # A window of its own: the page with the message stays.
    return (
        f'<a href="{escape(notebook)}" target="_blank" rel="noopener" '
        f'style="text-decoration: underline">{escape(name) or stem}</a>'
    )


def error_clinic(notebooks: Collection[str] = ()) -> ErrorClinic:
    """Return the error clinic; as a cell's last line it is shown.

    Args:
        notebooks: names of the notebook files that are there, which become links.
    """
    return ErrorClinic(notebooks)
