"""From the text of an error to what it means."""

import math
import re
from collections import Counter
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


def nearest(text: str) -> Diagnosis | None:
    """Return the entry that is most like a message not known; None where none is like it.

    Raises:
        TypeError: the text is not a str.
    """
    words = _words(_flat(text))
    best = max(ENTRIES, key=lambda entry: _likeness(words, entry))
    return _diagnosis(best) if _likeness(words, best) >= LIKE else None


def _likeness(words: set[str], entry: Entry) -> float:
    """Return how much of an entry's message is among the words, from 0 to 1.

    The rest of a pasted text does not count: most of it is a traceback. A word counts the
    more, the fewer entries have it.
    """
    own = _words(entry.says)
    return sum(WEIGHT[word] for word in own & words) / sum(WEIGHT[word] for word in own)


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


# Words that any text has say nothing, nor does what stands for a name.
COMMON = {
    *("and", "are", "but", "doesn", "for", "from", "has", "have", "must", "name", "only"),
    *("some", "than", "that", "the", "this", "when", "will", "with"),
}
# Measured: see the tests. Half of a message is like it, a few of its words are not.
LIKE = 0.5


def _words(text: str) -> set[str]:
    text = text.lower().replace("in <module>", "")  # a line of every traceback
    return set(re.findall(r"[a-z_]{3,}", text)) - COMMON


_ENTRIES_WITH = Counter(word for entry in ENTRIES for word in _words(entry.says))
WEIGHT = {word: math.log(1 + len(ENTRIES) / n) for word, n in _ENTRIES_WITH.items()}
