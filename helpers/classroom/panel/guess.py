"""Guess first, then see: the question that a panel asks before it shows the answer."""

from dataclasses import dataclass

from helpers.classroom.panel.controls import Range


@dataclass(frozen=True)
class Guess:
    """A slider for the learner's guess; a chart's `guess` says what is asked, and where.

    The browser does all of it, also without a kernel. Until the learner has pressed
    *Show the answer*, it leaves out of the picture what stands in `covered(...)`, and
    shows the chart's words `before` in place of its text.

    Attributes:
        slider: its label, limits, start and decimals.
        write: how a guess and the truth are written, "{}" being the number.

    Raises:
        ValueError: there is no place for the number in `write`.
    """

    slider: Range
    write: str = "{}"

    def __post_init__(self):
        """Refuse to write a guess without its number."""
        if self.write.count("{}") != 1:
            raise ValueError(f"write is {self.write!r}; expected one {{}} in it")
