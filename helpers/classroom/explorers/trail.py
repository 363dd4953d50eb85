"""What a learner has seen, guessed and pinned in the trade-off explorer."""

from collections.abc import Sequence

from helpers.classroom.explorers.budget_game import BudgetGame
from helpers.classroom.explorers.value_axis import axis_of
from helpers.quantization import Evaluation, pareto_front


class Trail:
    """What a learner has seen and pinned; nothing counts before the first guess.

    In a game nobody guesses, and all can be seen at once.

    Attributes:
        seen: evaluations in the order in which they were met, each once.
        pinned: the same.
        guess: (what was guessed, the evaluation that it was guessed for), or None
            while the learner has not guessed.
        unit: what is asked about: images, rows or tokens.
        notes: sentences on what cannot be quantized here.
        axis: where the values stand.
        game: that is played; None otherwise.
    """

    def __init__(
        self,
        exact: Evaluation,
        unit: str = "images",
        notes: Sequence[str] = (),
        game: BudgetGame | None = None,
    ):
        """Begin with the float model, which is known before the first move."""
        self.unit, self.notes, self.axis = unit, tuple(notes), axis_of(exact)
        self.game = game
        self.seen: list[Evaluation] = [exact]
        self.pinned: list[Evaluation] = []
        self.guess: tuple[int, Evaluation] | None = None

    @property
    def known(self) -> bool:
        """Whether results are shown."""
        return self.guess is not None or self.game is not None

    def reveal(self, guess: int, evaluation: Evaluation) -> None:
        """Take the first guess; later ones change nothing."""
        if self.guess is None:
            self.guess = guess, evaluation
            self.see(evaluation)

    def see(self, evaluation: Evaluation) -> None:
        """Remember an evaluation, if results are shown already."""
        if self.known and evaluation not in self.seen:
            self.seen.append(evaluation)

    def pin(self, evaluation: Evaluation) -> None:
        """Keep an evaluation for the table, if results are shown already."""
        if self.known and evaluation not in self.pinned:
            self.pinned.append(evaluation)

    @property
    def front(self) -> list[tuple[int, float]]:
        """The (bytes, value) of those seen that no other one beats, smallest first."""
        better = self.seen[0].metric.higher_is_better
        return pareto_front([some.point for some in self.seen], better)
