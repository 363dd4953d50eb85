"""What a picture asks a learner to guess, and where a guess stands in it."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Asked:
    """A question whose answer is a number, with a place in the picture for each guess.

    Attributes:
        question: with all that it depends on, since a guess belongs to its question.
        truth: the answer, in the unit of the guess.
        before: the words while the answer is covered; they do not give it away.
        along: the axis on which guesses lie, "x" or "y".
        values: two different values on that axis (their logarithms, where `log`) ...
        places: ... and where these lie in the picture.
        across: from where to where a guess's line runs, on the other axis.
        log: whether equal steps along the axis are equal factors.
    """

    question: str
    truth: float
    before: str
    along: str
    values: tuple[float, float]
    places: tuple[float, float]
    across: tuple[float, float]
    log: bool = False


def covered(parts: Sequence[str], asked: bool = True) -> list[str]:
    """Mark what gives the answer away: a panel leaves it out until the learner guesses."""
    return ['<g class="covered">', *parts, "</g>"] if asked and parts else list(parts)
