"""The trade-off explorer: every choice about the quantizer, and what it costs at once."""

from dataclasses import replace

import torch
from IPython import get_ipython
from torch import nn

from helpers.classroom.charts import Chart
from helpers.classroom.data.digits import load_digits
from helpers.classroom.data.networks import load_reference_model
from helpers.classroom.explorers.ahead import Ahead
from helpers.classroom.explorers.evaluation import Evaluation, Evaluator, Setting
from helpers.classroom.explorers.trade_off_charts import trade_off_picture
from helpers.classroom.explorers.trade_off_words import (
    SHOW,
    code,
    in_brief,
    in_words,
    table,
)
from helpers.classroom.explorers.trail import Trail
from helpers.classroom.panel import Check, Choice, Panel, Range, Stops, Ticks
from helpers.quantization import GRANULARITIES, OBSERVERS, Scheme

BITS = (2, 3, 4, 5, 6, 7, 8, 16, 32)
FLOAT = 32  # bits that stand for "not quantized"
CALIBRATION = (16, 32, 64, 128, 256)
LEAST = CALIBRATION[1]  # a slider needs two stops
WEIGHTS, BOTH, ACTIVATIONS = "Weights", "Both", "Activations"
PIN, RESET = "Pin this setting", "Start again"


def setting_of(
    weight_bits: int,
    activation_bits: int,
    granularity: str,
    symmetric: bool,
    observer: str,
    calibration: int,
    keep_float: tuple[str, ...],
) -> Setting:
    """Return the setting that the controls stand on."""
    weights = activations = None
    if weight_bits != FLOAT:
        weights = Scheme(weight_bits, symmetric, granularity, observer=observer)
    if activation_bits != FLOAT:
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
        images: torch.Tensor,
        calibration: int,
        called: str = "calibration",
    ):
        """Begin before the first guess.

        Args:
            evaluator: of a model on the images.
            images: shape (N, 1, rows, columns).
            calibration: how many images the evaluator has to calibrate with, 32 or more.
            called: how these are called in the code that can be copied.
        """
        self.evaluator, self._images, self._called = evaluator, images, called
        self._counts = tuple(count for count in CALIBRATION if count <= calibration)
        self.trail = Trail(evaluator.exact)
        self.ahead = Ahead(
            self.controls(), lambda guess, **choices: evaluator(setting_of(**choices))
        )

    def controls(self) -> list:
        """Return the panel's controls, on the setting to begin with."""
        return [
            Range("guess", "My guess in %", 0, 100, 90),
            Stops("weight_bits", "Weight bits", BITS, 3, WEIGHTS),
            Choice("granularity", "One scale per", GRANULARITIES, "tensor", WEIGHTS),
            Stops("activation_bits", "Activation bits", BITS, FLOAT, ACTIVATIONS),
            Stops(
                "calibration",
                "Calibration images",
                self._counts,
                min(64, self._counts[-1]),
                ACTIVATIONS,
            ),
            Choice("observer", "Range by", OBSERVERS, "minmax", BOTH),
            Check("symmetric", "Symmetric", True, BOTH),
            Ticks("keep_float", "Layers that stay in float", self.evaluator.layers),
        ]

    def evaluate(self, **choices) -> Evaluation:
        """Return what the setting costs, before anything that is not asked for yet."""
        self.ahead.stop()
        return self.evaluator(setting_of(**choices))

    def draw(self, guess: int, **choices) -> Chart:
        """Draw what the setting costs, or ask for the guess."""
        now = self.evaluate(**choices)
        self.trail.see(now)
        words = in_words(now, self.trail, guess)
        chart = trade_off_picture(now, self.trail, self._images, guess, words)
        return replace(
            chart,
            table=table(self.trail),
            code=code(now, self.trail, self._called),
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
        self.trail = Trail(self.evaluator.exact)


def trade_off(
    model: nn.Module | None = None,
    images: torch.Tensor | None = None,
    labels: torch.Tensor | None = None,
    calibration: torch.Tensor | None = None,
) -> Panel:
    """Return the panel; it asks for a guess before it shows the first result.

    Args:
        model: the reference model where None.
        images: shape (N, 1, rows, columns), to evaluate on; the test images where None.
        labels: int64, one for each image.
        calibration: images of the same shape, from which the ranges of the activations
            are chosen: at least 32; the slider goes as far as there are, up to 256. The
            training images where None.

    Raises:
        ValueError: images come without labels, labels without images, or not as many; the
            images or those for the calibration have another shape, or there are fewer
            than 32 of these; the model has no layer to quantize.
    """
    digits = load_digits()
    if images is None and labels is None:
        images, labels = digits.test_images, digits.test_labels
    called = "calibration"
    if calibration is None:
        calibration, called = digits.train_images, "digits.train_images"
    model = load_reference_model() if model is None else model
    evaluator = Evaluator(model, images, labels, calibration)
    if images.dim() != 4:
        raise ValueError(
            f"images have shape {tuple(images.shape)}; expected (N, 1, rows, columns), "
            "since those that change their class are shown"
        )
    # Otherwise the panel would fail later, when a slider asks for it.
    if len(calibration) < LEAST or calibration.shape[1:] != images.shape[1:]:
        shape = ", ".join(map(str, images.shape[1:]))
        raise ValueError(
            f"calibration has shape {tuple(calibration.shape)}; expected (N, {shape}) as "
            f"the images have, with N at least {LEAST}"
        )
    state = TradeOff(evaluator, images, len(calibration), called)
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
