"""What a learner has seen, guessed and pinned in the trade-off explorer."""

from helpers.classroom.explorers.evaluation import Evaluation
from helpers.quantization import pareto_front


class Trail:
    """What a learner has seen and pinned; nothing counts before the first guess.

    Attributes:
        seen: evaluations in the order in which they were met, each once.
        pinned: the same.
        guess: (percent that was guessed, the evaluation that it was guessed for), or None
            while the learner has not guessed.
    """

    def __init__(self, exact: Evaluation):
        """Begin with the float model, which is known before the first move."""
        self.seen: list[Evaluation] = [exact]
        self.pinned: list[Evaluation] = []
        self.guess: tuple[int, Evaluation] | None = None

    def reveal(self, percent: int, evaluation: Evaluation) -> None:
        """Take the first guess; later ones change nothing."""
        if self.guess is None:
            self.guess = percent, evaluation
            self.see(evaluation)

    def see(self, evaluation: Evaluation) -> None:
        """Remember an evaluation, if results are shown already."""
        if self.guess and evaluation not in self.seen:
            self.seen.append(evaluation)

    def pin(self, evaluation: Evaluation) -> None:
        """Keep an evaluation for the table, if results are shown already."""
        if self.guess and evaluation not in self.pinned:
            self.pinned.append(evaluation)

    @property
    def front(self) -> list[tuple[int, float]]:
        """The (bytes, accuracy) of those seen that no other one beats, smallest first."""
        return pareto_front([some.point for some in self.seen])
