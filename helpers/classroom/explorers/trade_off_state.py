"""What the trade-off explorer has measured and shown, and what its buttons do."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from helpers.classroom.charts import Chart
from helpers.classroom.explorers.ahead import Ahead
from helpers.classroom.explorers.budget_game import ENTER, JUDGE, BudgetGame, Halves
from helpers.classroom.explorers.layer_values import LayerValues, Watched
from helpers.classroom.explorers.layer_values_drawing import layer_parts, layer_words
from helpers.classroom.explorers.own_inputs import are_images, unit_of
from helpers.classroom.explorers.trade_off_charts import trade_off_picture
from helpers.classroom.explorers.trade_off_controls import (
    controls_of,
    layers_with_sliders,
    setting_of,
)
from helpers.classroom.explorers.trade_off_words import code, in_brief, in_words, table
from helpers.classroom.explorers.trail import Trail
from helpers.quantization import Evaluation, Setting
from helpers.quantization.inputs import Inputs, row_count

CALIBRATION = (16, 32, 64, 128, 256)


class TradeOff:
    """The explorer: what was evaluated, seen, guessed, pinned and entered.

    Attributes:
        evaluator: measures the settings on all rows.
        halves: of the rows, for the game.
        ahead: measures the settings that the next move can lead to.
        trail: what the learner has seen, guessed and pinned; a game has its own.
        budget: of the game, in bytes.
        judged: how many games have ended with a judgement.
    """

    def __init__(
        self,
        evaluator: Watched,
        inputs: Inputs,
        halves: Halves,
        budget: int,
        calibration: Inputs | None = None,
        called: str = "calibration",
        notes: Sequence[str] = (),
    ):
        """Begin before the first guess.

        Args:
            evaluator: of a model on the inputs.
            inputs: of the model; those whose class changes are shown if they are images.
            halves: of the same inputs.
            budget: of the game, in bytes.
            calibration: what the evaluator has to calibrate with, 32 rows or more; None
                where activations cannot be quantized.
            called: how it is called in the code that can be copied.
            notes: sentences on what cannot be quantized.
        """
        self.evaluator, self.halves, self.judged = evaluator, halves, 0
        self._shown: set[Setting] = set()  # on all rows: nobody forgets them
        self.budget, self._called, self._notes = budget, called, notes
        self._tensor = isinstance(calibration, torch.Tensor)
        exact = evaluator.exact
        shown = exact.changed is not None and are_images(inputs)
        self._images = inputs if shown else None
        self._unit = unit_of(inputs, exact.count)
        there = 0 if calibration is None else row_count(calibration)
        self._counts = tuple(count for count in CALIBRATION if count <= there)
        # Of a model of 16 bits, 32 would be no float.
        names = exact.dtype.split(" and ")
        self.float_bits = 8 * max(getattr(torch, name).itemsize for name in names)
        self._largest = layers_with_sliders(evaluator)
        self.values = LayerValues(evaluator, inputs if calibration is None else calibration)
        self.reset()
        self.ahead = Ahead(
            self.controls(), lambda guess, **choices: self.measure(**choices)
        )

    def controls(self) -> list:
        """Return the panel's controls, on the setting to begin with."""
        guess = self.trail.axis.control()
        rows = self.halves.rows
        return controls_of(self.evaluator, guess, self._counts, rows, self.float_bits)

    def setting(self, own_bits: Sequence[int] = (), layer: str = "", **choices) -> Setting:
        """Return the setting that the controls stand on; the layer shown is none of it."""
        kept = tuple(map(self._layer, choices.pop("keep_float")))
        return setting_of(
            **choices,
            keep_float=kept,
            float_bits=self.float_bits,
            own_bits=dict(zip(self._largest, own_bits, strict=False)),
            layers=self.evaluator.layers,
        )

    def measure(self, **choices) -> Evaluation:
        """Return what the setting costs, in a game on the first half of the rows."""
        evaluator = self.halves.first if self.trail.game else self.evaluator
        return evaluator(self.setting(**choices))

    def evaluate(self, **choices) -> Evaluation:
        """Do the same, before anything that is not asked for yet."""
        self.ahead.stop()
        return self.measure(**choices)

    def draw(self, guess: int, **choices) -> Chart:
        """Draw what the setting costs, or ask for the guess."""
        now = self.evaluate(**choices)
        self.trail.see(now)
        if self.trail.guess and now != self.trail.seen[0]:
            self._shown.add(now.setting)
        layer = self._layer(choices.get("layer"))
        look = self.values.look(layer, now.setting)
        words = in_words(now, self.trail, guess)
        words += " " + layer_words(look, self.halves.rows)
        if not self.trail.game and (split := self.halves.sentence):
            words += f" {split}"
        parts = layer_parts(look, now.dtype)
        chart = trade_off_picture(now, self.trail, self._images, guess, words, parts)
        return replace(
            chart,
            table=table(self.trail),
            code=code(now, self.trail, self._called, self._tensor),
            brief=in_brief(now, self.trail),
        )

    def _layer(self, shown: str | None) -> str:
        """Return the name of the layer that is shown; the model itself has none."""
        return shown if shown in self.evaluator.layers else self.evaluator.layers[0]

    def show(self, guess: int, **choices) -> None:
        """Take the guess and show the answer from now on."""
        self.trail.reveal(guess, self.evaluate(**choices))

    def pin(self, guess: int, **choices) -> None:
        """Put the setting into the table."""
        self.trail.pin(self.evaluate(**choices))

    def play(self) -> None:
        """Begin a game, in which only the first half of the rows is shown."""
        self.ahead.stop()
        seen = len(self._shown)
        game = BudgetGame(self.halves, self.budget, seen, self.judged)
        notes = *game.notes, *self._notes
        self.trail = Trail(self.halves.first.exact, self._unit, notes, game)

    def enter(self, guess: int, **choices) -> None:
        """Enter the setting into the game."""
        if self.trail.game:
            self.trail.game.enter(self.evaluate(**choices))

    def judge(self, guess: int, **choices) -> None:
        """Judge the best entry on the last half of the rows, once."""
        now = self.evaluate(**choices)
        if (game := self.trail.game) and not game.judged:
            game.judge(now)
            self.judged += game.judged is not None

    @property
    def closed(self) -> list[str]:
        """The buttons of the game that cannot be pressed now."""
        if not (game := self.trail.game):
            return []
        if game.judged:
            return [ENTER, JUDGE]
        return [] if game.entries else [JUDGE]

    def reset(self) -> None:
        """Forget what was seen, guessed, pinned and entered."""
        self.trail = Trail(self.evaluator.exact, self._unit, self._notes)
