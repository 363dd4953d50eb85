"""The trade-off explorer: every choice about the quantizer, and what it costs at once."""

from typing import Any

from IPython import get_ipython
from torch import nn

from helpers.classroom.data.digits import CHOOSE_ON, load_digits
from helpers.classroom.data.networks import load_reference_model
from helpers.classroom.explorers.budget_game import (
    DIGITS_BUDGET,
    ENTER,
    JUDGE,
    PLAY,
    Halves,
    budget_of,
)
from helpers.classroom.explorers.layer_values import Watched
from helpers.classroom.explorers.own_inputs import are_images, no_activations, rest_words
from helpers.classroom.explorers.trade_off_state import TradeOff
from helpers.classroom.explorers.trade_off_words import SHOW
from helpers.classroom.panel import Panel
from helpers.quantization import Metric
from helpers.quantization.inputs import Inputs

PIN, RESET = "Pin this setting", "Start again"


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
            their names; the test images where None. The game chooses on the first half of
            the rows and judges on the last, so they should stand in no order.
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
    budget = DIGITS_BUDGET if model is None else None
    called, digits, ours = "calibration", load_digits(), model is None
    if inputs is None and labels is None:
        inputs, labels, ours = digits.test_images, digits.test_labels, True
    if calibration is None and ours:
        calibration, called = digits.train_images, "digits.train_images"
    model = load_reference_model() if model is None else model
    evaluator = Watched(model, inputs, labels, calibration, metric)
    reason = no_activations(model, evaluator, inputs, calibration)
    halves = Halves(
        model,
        inputs,
        labels,
        calibration,
        evaluator.metric,
        CHOOSE_ON if inputs is digits.test_images else None,
        "images" if are_images(inputs) else "rows",
    )
    state = TradeOff(
        evaluator,
        inputs,
        halves,
        budget_of(evaluator.folded) if budget is None else budget,
        None if reason else calibration,
        called,
        [*filter(None, (rest_words(evaluator.exact), reason))],
    )
    controls = state.controls()
    start = {control.name: control.value for control in controls}

    def start_again() -> None:
        state.reset()
        panel.values, panel.disabled = start, []
        panel.offer(exhibit)

    def play() -> None:
        state.play()
        panel.disabled = [JUDGE]
        panel.offer(game)

    def enter() -> None:
        state.enter(**panel.values)
        panel.disabled = state.closed

    def judge() -> None:
        state.judge(**panel.values)
        panel.disabled = state.closed

    exhibit = {
        SHOW: lambda: state.show(**panel.values),
        PIN: lambda: state.pin(**panel.values),
        RESET: start_again,
    }
    if halves.playable:
        exhibit[PLAY.format(state.budget)] = play
    game = {ENTER: enter, JUDGE: judge, RESET: start_again}
    panel = Panel(
        "Quantization trade-offs",
        controls,
        state.draw,
        buttons=exhibit,
        beside=True,
    )
    panel.observe(lambda change: state.ahead.begin(panel.values), "frame")
    panel.observe(lambda change: state.ahead.stop(), "comm")  # the panel is closed
    if shell := get_ipython():  # the next cell may measure time
        shell.events.register("pre_run_cell", lambda info: state.ahead.stop())
    return panel
