"""From the text of an error to what it means."""

import difflib
import re
from dataclasses import dataclass

from helpers.classroom.clinic.entries import ENTRIES, Entry


@dataclass(frozen=True)
class Diagnosis:
    """What an error message means.

    Attributes:
        id: the entry's name.
        says: the message, without what differs from case to case.
        meaning: what happened.
        fix: the line that repairs it.
        notebook: the file name of the notebook that shows it.
    """

    id: str
    says: str
    meaning: str
    fix: str
    notebook: str


def diagnose(text: str) -> list[Diagnosis]:
    """Return what a pasted error message may mean, best first; empty where unknown.

    A whole traceback may be given: the message is searched in it. Colours, line breaks
    and case do not matter.

    Raises:
        TypeError: the text is not a str.
    """
    flat = _flat(text)
    found = [entry for entry in ENTRIES if re.search(entry.sign, flat, re.IGNORECASE)]
    return [_diagnosis(entry) for entry in found]


def nearest(text: str) -> Diagnosis:
    """Return the entry whose words are most like the text, for a message not known.

    Raises:
        TypeError: the text is not a str.
    """
    words = set(_words(_flat(text)))

    def likeness(entry: Entry) -> tuple[int, float]:
        sign = " ".join(_words(entry.sign))
        ratio = difflib.SequenceMatcher(None, _flat(text).lower(), sign).ratio()
        return len(words & set(sign.split())), ratio

    return _diagnosis(max(ENTRIES, key=likeness))


def _diagnosis(entry: Entry) -> Diagnosis:
    return Diagnosis(entry.id, entry.says, entry.meaning, entry.fix, entry.notebook)


# Terminals colour the words; where the colours are lost in copying, their codes stay.
COLOUR = r"\x1b\[[\d;]*m|\[[\d;]+m"
# IPython shows numbered lines of source, and those of a library hold other messages.
SOURCE = r"(?m)^ *(-+> *)?\d+( .*)?$"


def _flat(text: str) -> str:
    if not isinstance(text, str):
        raise TypeError(
            f"text is {type(text).__name__}; expected the message as a str: str(error)"
        )
    text = re.sub(COLOUR, "", text).replace("’", "'").replace("‘", "'")
    if re.search(r"(?m)^ *-+> *\d+ ", text):
        text = re.sub(SOURCE, "", text)
    return " ".join(text.split())


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z_]{3,}", text.lower())
