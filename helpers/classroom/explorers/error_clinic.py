"""The error clinic: paste a message, read what it means and the line that repairs it."""

from collections.abc import Collection
from html import escape
from threading import Lock

import ipywidgets

from helpers.classroom.clinic import ENTRIES, Diagnosis, diagnose, nearest

EMPTY = "Paste an error message first; a whole traceback will do."
UNKNOWN = "The clinic does not know this message. The nearest that it knows is:"
# Long enough to tell messages apart, short enough for a line of output.
SHOWN_OF_A_MESSAGE = 60


class ErrorClinic(ipywidgets.GridBox):
    """A field for an error message, a button, and the answer.

    Attributes:
        heading: what is said before the diagnoses; "" before the first question.
        diagnoses: what the message may mean, best first; the nearest entry alone where
            the message is not known.
    """

    def __init__(self, notebooks: Collection[str] = ()):
        """Build the clinic without a message.

        Args:
            notebooks: names of the notebook files that are there; those become links, any
                other name is plain text.
        """
        self._notebooks = frozenset(notebooks)
        self._text = ipywidgets.Textarea(
            description="Error message, or a whole traceback",
            placeholder="RuntimeError: ...",
            rows=5,
            continuous_update=False,
            # As wide as the page's prose; the label above the field.
            layout=ipywidgets.Layout(width="99%", max_width="640px", flex_flow="column"),
            style={"description_width": "auto"},
        )
        button = ipywidgets.Button(
            description="What does it mean?", layout=ipywidgets.Layout(width="max-content")
        )
        button.on_click(lambda _: self._answer())
        # A press can overtake the text, which then gets its answer when it arrives.
        self._text.observe(lambda _: self.heading and self._answer(), "value")
        self._one_answer = Lock()  # JupyterLab delivers the two on threads of their own
        self._said = ipywidgets.HTML(layout=ipywidgets.Layout(max_width="640px"))
        self.heading, self.diagnoses = "", []
        super().__init__([self._text, button, self._said])

    def ask(self, text: str) -> list[Diagnosis]:
        """Show and return what the message may mean, as pasting it and pressing does."""
        self._text.value = text
        self._answer()
        return self.diagnoses

    def _answer(self) -> None:
        with self._one_answer:
            self._show(self._text.value)

    def _show(self, text: str) -> None:
        self.diagnoses = diagnose(text)
        if not text.strip():
            self.heading = EMPTY
        elif self.diagnoses:
            self.heading = "It may mean:" if len(self.diagnoses) > 1 else "It means:"
        else:
            self.heading, self.diagnoses = UNKNOWN, [nearest(text)]
        items = "".join(map(self._item, self.diagnoses))
        # ipywidgets puts the region in anew with each answer, and a new region is read out
        # reliably only if it is an alert. It is the answer to a press, so it may interrupt.
        self._said.value = f'<div role="alert"><p>{self.heading}</p><ol>{items}</ol></div>'

    def _item(self, found: Diagnosis) -> str:
        return (
            f"<li><strong>{escape(found.says)}</strong><br>{escape(found.meaning)}"
            '<pre tabindex="0" style="overflow-x: auto"><code>'
            f"{escape(found.fix)}</code></pre>"
            f"Notebook: {_linked(found.notebook, self._notebooks)}</li>"
        )

    def __repr__(self) -> str:
        """Return question and answer as text; the same on every machine."""
        if not self.heading:
            return "ErrorClinic: paste a message and press the button."
        asked = " ".join(self._text.value.split())
        if len(asked) > SHOWN_OF_A_MESSAGE:
            asked = f"{asked[:SHOWN_OF_A_MESSAGE]}..."
        lines = [f"ErrorClinic({asked!r}): {self.heading}"]
        for k, found in enumerate(self.diagnoses, 1):
            lines += [f"  {k}. {found.says}", f"     {found.meaning}"]
            lines += [f"     {found.fix}  ({found.notebook})"]
        return "\n".join(lines)

    def _repr_mimebundle_(self, **kwargs) -> dict:
        data = super()._repr_mimebundle_(**kwargs)
        data["text/plain"] = repr(self)
        return data


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
            f'<tr><th scope="row" style="{_CELL}">{escape(some.says)}</th>'
            f'<td style="{_CELL}">{escape(some.meaning)}<br>'
            f'<code style="white-space: pre-wrap">{escape(some.fix)}</code></td>'
            f'<td style="{_CELL}; white-space: nowrap">'
            f"{_linked(some.notebook, self._notebooks, some.notebook[:2])}</td></tr>"
            for some in ENTRIES
        )
        heads = ("The message says", "It means; the line that repairs it", "Notebook")
        head = "".join(f'<th scope="col" style="{_CELL}">{head}</th>' for head in heads)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


_CELL = "text-align: left; vertical-align: top; overflow-wrap: anywhere"


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
