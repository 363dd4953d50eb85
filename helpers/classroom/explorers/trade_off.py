"""The trade-off explorer: every choice about the quantizer, and what it costs at once."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from IPython import get_ipython
from torch import nn

from helpers.classroom.charts import Chart
from helpers.classroom.data.digits import load_digits
from helpers.classroom.data.networks import load_reference_model
from helpers.classroom.explorers.ahead import Ahead
from helpers.classroom.explorers.own_inputs import (
    are_images,
    no_activations,
    rest_words,
    unit_of,
)
from helpers.classroom.explorers.trade_off_charts import trade_off_picture
from helpers.classroom.explorers.trade_off_words import (
    SHOW,
    code,
    in_brief,
    in_words,
    table,
)
from helpers.classroom.explorers.trail import Trail
from helpers.classroom.panel import Check, Choice, Panel, Stops, Ticks
from helpers.quantization import (
    GRANULARITIES,
    OBSERVERS,
    Evaluation,
    Evaluator,
    Metric,
    Scheme,
    Setting,
)
from helpers.quantization.inputs import Inputs, row_count

FLOAT = 32  # bits that stand for "not quantized", in a model of float32
INTEGERS = (2, 3, 4, 5, 6, 7, 8, 16)
BITS = (*INTEGERS, FLOAT)
CALIBRATION = (16, 32, 64, 128, 256)
WEIGHTS, BOTH, ACTIVATIONS = "Weights", "Both", "Activations"
PIN, RESET = "Pin this setting", "Start again"


def setting_of(
    weight_bits: int,
    granularity: str,
    symmetric: bool,
    observer: str,
    keep_float: tuple[str, ...],
    activation_bits: int | None = None,
    calibration: int = 64,
    float_bits: int = FLOAT,
) -> Setting:
    """Return the setting that the controls stand on."""
    weights = activations = None
    if weight_bits != float_bits:
        weights = Scheme(weight_bits, symmetric, granularity, observer=observer)
    if activation_bits not in (None, float_bits):
        activations = Scheme(activation_bits, symmetric, observer=observer)
    return Setting(weights, activations, calibration, tuple(keep_float))


class TradeOff:
    """The explorer: what was evaluated, seen, guessed and pinned, and its panel.

    Attributes:
        evaluator: measures the settings.
        ahead: measures those that the next move can lead to.
        trail: what the learner has seen, guessed and pinned.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        inputs: Inputs,
        calibration: int,
        called: str = "calibration",
        tensor: bool = True,
        notes: Sequence[str] = (),
    ):
        """Begin before the first guess.

        Args:
            evaluator: of a model on the inputs.
            inputs: of the model; those whose class changes are shown if they are images.
            calibration: how many rows the evaluator has to calibrate with, 32 or more; 0
                where activations cannot be quantized.
            called: how these are called in the code that can be copied.
            tensor: whether these are one tensor.
            notes: sentences on what cannot be quantized.
        """
        self.evaluator, self._called, self._tensor = evaluator, called, tensor
        exact, self._notes = evaluator.exact, notes
        shown = exact.changed is not None and are_images(inputs)
        self._images = inputs if shown else None
        self._unit = unit_of(inputs, exact.count)
        self._counts = tuple(count for count in CALIBRATION if count <= calibration)
        # Of a model of 16 bits, 32 would be no float.
        names = exact.dtype.split(" and ")
        self.float_bits = 8 * max(getattr(torch, name).itemsize for name in names)
        self.reset()
        self.ahead = Ahead(
            self.controls(), lambda guess, **choices: evaluator(self.setting(**choices))
        )

    def controls(self) -> list:
        """Return the panel's controls, on the setting to begin with."""
        bits = (*(k for k in INTEGERS if k < self.float_bits), self.float_bits)
        first = [
            self.trail.axis.control(),
            Stops("weight_bits", "Weight bits", bits, 3, WEIGHTS),
            Choice("granularity", "One scale per", GRANULARITIES, "tensor", WEIGHTS),
        ]
        activations, both = [], WEIGHTS
        if self._counts:
            both, counts = BOTH, self._counts
            name = f"Calibration {'images' if self._unit == 'images' else 'rows'}"
            most, start = bits[-1], min(64, counts[-1])
            activations = [
                Stops("activation_bits", "Activation bits", bits, most, ACTIVATIONS),
                Stops("calibration", name, counts, start, ACTIVATIONS),
            ]
        return [
            *first,
            *activations,
            Choice("observer", "Range by", OBSERVERS, "minmax", both),
            Check("symmetric", "Symmetric", True, both),
            Ticks("keep_float", "Layers that stay in float", self.evaluator.layers),
        ]

    def setting(self, **choices) -> Setting:
        """Return the setting that the controls stand on."""
        return setting_of(**choices, float_bits=self.float_bits)

    def evaluate(self, **choices) -> Evaluation:
        """Return what the setting costs, before anything that is not asked for yet."""
        self.ahead.stop()
        return self.evaluator(self.setting(**choices))

    def draw(self, guess: int, **choices) -> Chart:
        """Draw what the setting costs, or ask for the guess."""
        now = self.evaluate(**choices)
        self.trail.see(now)
        words = in_words(now, self.trail, guess)
        chart = trade_off_picture(now, self.trail, self._images, guess, words)
        return replace(
            chart,
            table=table(self.trail),
            code=code(now, self.trail, self._called, self._tensor),
            brief=in_brief(now, self.trail),
        )

    def show(self, guess: int, **choices) -> None:
        """Take the guess and show the answer from now on."""
        self.trail.reveal(guess, self.evaluate(**choices))

    def pin(self, guess: int, **choices) -> None:
        """Put the setting into the table."""
        self.trail.pin(self.evaluate(**choices))

    def reset(self) -> None:
        """Forget what was seen, guessed and pinned."""
        self.trail = Trail(self.evaluator.exact, self._unit, self._notes)


def trade_off(
    model: nn.Module | None = None,
    inputs: Inputs | None = None,
    labels: Any = None,
    calibration: Inputs | None = None,
    metric: Metric | str | None = None,
) -> Panel:
    """Return the panel; it asks for a guess before it shows the first result.

    Args:
        model: the reference model where None.
        inputs: to evaluate on: a tensor (N, ...), a tuple of arguments or a mapping of
            their names; the test images where None.
        labels: one for each of the N rows.
        calibration: as inputs, from which the ranges of the activations are chosen: at
            least 32 rows; the slider goes as far as there are, up to 256. Where None, the
            training images for the test images; else activations stay in float.
        metric: how the answers are judged; see Evaluator.

    Raises:
        ValueError: inputs come without labels, labels without inputs, or not as many;
            those for the calibration have another shape, or fewer than 32 rows; see
            Evaluator for what else it refuses.
    """
    called, digits, ours = "calibration", load_digits(), model is None
    if inputs is None and labels is None:
        inputs, labels, ours = digits.test_images, digits.test_labels, True
    if calibration is None and ours:
        calibration, called = digits.train_images, "digits.train_images"
    model = load_reference_model() if model is None else model
    evaluator = Evaluator(model, inputs, labels, calibration, metric)
    reason = no_activations(model, evaluator, inputs, calibration)
    count = 0 if reason else row_count(calibration)
    notes = (rest_words(evaluator.exact), reason)
    tensor = isinstance(calibration, torch.Tensor)
    state = TradeOff(evaluator, inputs, count, called, tensor, [*filter(None, notes)])
    controls = state.controls()
    start = {control.name: control.value for control in controls}

    def start_again() -> None:
        state.reset()
        panel.values = start

    panel = Panel(
        "Quantization trade-offs",
        controls,
        state.draw,
        buttons={
            SHOW: lambda: state.show(**panel.values),
            PIN: lambda: state.pin(**panel.values),
            RESET: start_again,
        },
        beside=True,
    )
    panel.observe(lambda change: state.ahead.begin(panel.values), "frame")
    panel.observe(lambda change: state.ahead.stop(), "comm")  # the panel is closed
    if shell := get_ipython():  # the next cell may measure time
        shell.events.register("pre_run_cell", lambda info: state.ahead.stop())
    return panel
