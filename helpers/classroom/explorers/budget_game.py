"""A game: fit a budget of bytes. What is best on the first rows is judged on the rest."""

import math
from functools import cached_property
from typing import Any

from torch import nn

from helpers.classroom.explorers.layer_values import Watched
from helpers.quantization import Evaluation, Metric, Scheme, packed_bytes
from helpers.quantization.inputs import Inputs, row_count, rows

PLAY = "Play: fit {:,} bytes"  # the buttons
ENTER, JUDGE = "Enter this setting", "Judge the winner"
DIGITS_BUDGET = 10_000  # bytes of the reference model: 3 bits a weight, or better ideas


def budget_of(model: nn.Module) -> int:
    """Return a budget: what 3 bits per tensor take, rounded up to two digits."""
    size = packed_bytes(model, Scheme(3))
    unit = 10 ** max(len(str(size)) - 2, 0)
    return -(-size // unit) * unit


class Halves:
    """The rows to choose on, and the others, on which what was chosen is judged.

    Attributes:
        choose_on: how many rows there are in the first half.
        count: how many rows there are in all.
        rows: what they are called: images, or rows.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: Inputs,
        labels: Any,
        calibration: Inputs | None,
        metric: Metric,
        choose_on: int | None = None,
        called: str = "images",
    ):
        """Take what an Evaluator does; nothing is evaluated before it is asked for.

        Args:
            model: see Evaluator, as for the next four.
            inputs: of N rows.
            labels: one for each.
            calibration: to calibrate with; not among the inputs.
            metric: how both halves are judged.
            choose_on: how many of the rows, the first, belong to the first half; the
                half of them, rounded up, where None.
            called: what the rows are.
        """
        self.count, self.rows = row_count(inputs), called
        self.choose_on = (self.count + 1) // 2 if choose_on is None else choose_on
        self._given = model, inputs, labels, calibration, metric

    @cached_property
    def first(self) -> Watched:
        """Evaluates on the rows to choose on."""
        return self._evaluator(0, self.choose_on)

    @cached_property
    def last(self) -> Watched:
        """Evaluates on the others."""
        return self._evaluator(self.choose_on, self.count)

    @property
    def others(self) -> int:
        """How many rows there are in the last half."""
        return self.count - self.choose_on

    @property
    def playable(self) -> bool:
        """Whether there are rows to choose on, and others to judge on."""
        return self.count > 1

    @property
    def sentence(self) -> str:
        """What is used when, while no game is played; empty where none can be."""
        if not self.playable:
            return ""
        return (
            f"All {self.count} {self.rows} count here; what chooses looks at the first "
            f"{self.choose_on} of them, and what was chosen is judged once, on the last "
            f"{self.others}."
        )

    def _evaluator(self, start: int, stop: int) -> Watched:
        model, inputs, labels, calibration, metric = self._given
        some = rows(inputs, start, stop), rows(labels, start, stop)
        return Watched(model, *some, calibration, metric)


class BudgetGame:
    """One game, from the first entry to the one judgement.

    Attributes:
        halves: of the rows.
        budget: in bytes.
        entries: evaluations on the first half, in the order of their entry.
        judged: the winner on the last half; None before the judgement.
        notes: sentences on what is used when.
    """

    def __init__(self, halves: Halves, budget: int, seen: int = 0, games: int = 0):
        """Begin without an entry.

        Args:
            halves: of the rows.
            budget: in bytes.
            seen: how many settings were seen on all rows before.
            games: how many games were judged on the last half before.
        """
        self.halves, self.budget = halves, budget
        self.entries: list[Evaluation] = []
        self.judged: Evaluation | None = None
        self._said: tuple[str, Evaluation] | None = None  # and on which setting
        self.notes = (
            f"In the game you see the first {halves.choose_on} {halves.rows} only; the "
            f"best entry is judged once, on the last {halves.others}. The budget is what 3 "
            "bits per tensor take, rounded up.",
            *_already(seen, games, halves),
        )

    @property
    def best(self) -> Evaluation | None:
        """The best entry; of equals the smaller one, then the earlier one."""

        def rank(found: Evaluation) -> tuple[float, int]:
            value = found.value if found.metric.higher_is_better else -found.value
            return -math.inf if math.isnan(value) else value, -found.bytes

        return max(self.entries, key=rank, default=None)

    def enter(self, found: Evaluation) -> None:
        """Take an entry, if it fits and the game is not over.

        Args:
            found: the setting, evaluated on the first half.
        """
        if self.judged:
            return
        if found.bytes > self.budget:
            said = f"Not entered: {found.bytes:,} bytes, {self.budget:,} fit."
        elif found in self.entries:
            said = f"This is entry {self.entries.index(found) + 1} already."
        else:
            self.entries.append(found)
            said = f"Entered as {len(self.entries)}; {self._leader}."
        self._said = said, found

    def judge(self, now: Evaluation) -> None:
        """Judge the best entry on the last half; once, and only if there is one.

        Args:
            now: what is shown meanwhile.
        """
        if not self.entries:
            self._said = "Nothing to judge: enter a setting first.", now
        elif not self.judged:
            self.judged = self.halves.last(self.best.setting)

    def sentence(self, now: Evaluation) -> str:
        """Say in a line how the game stands.

        Args:
            now: what is shown.
        """
        if news := self.news(now):
            return news
        if self.entries:
            return f"Fit {self.budget:,} bytes; {self._leader}."
        first = f"first {self.halves.choose_on} {self.halves.rows}"
        return f"Fit {self.budget:,} bytes, on the {first}."

    def news(self, now: Evaluation) -> str:
        """Say what the last press has led to, until another setting is shown."""
        if self.judged:
            others = self.halves.others
            return f"Entry {self._number}, judged on the last {others}: {self.result}."
        return self._said[0] if self._said and self._said[1] == now else ""

    @property
    def result(self) -> str:
        """The judgement: the value, and its interval."""
        text, found = self.judged.metric.text, self.judged
        low, high = map(text, found.interval)
        return f"{text(found.value)} ({low} to {high})"

    @property
    def _number(self) -> int:
        return self.entries.index(self.best) + 1

    @property
    def _leader(self) -> str:
        return f"the best so far is {self._number}"


def _already(seen: int, games: int, halves: Halves) -> list[str]:
    """Say what makes the judgement less honest."""
    said = []
    if seen:
        some = "one setting" if seen == 1 else f"{seen} settings"
        said.append(
            f"You have seen {some} on all {halves.count} {halves.rows} before, so the "
            "judgement may flatter you."
        )
    if games:
        often = "once" if games == 1 else f"{games} times"
        said.append(
            f"The last {halves.others} have judged you {often} before: "
            "whoever goes on until they please has chosen on them, too."
        )
    return said
