"""Which layer suffers most, and what does it gain to keep it in float?"""

import math
from dataclasses import replace
from typing import Any

from torch import nn

from helpers.classroom.charts import Chart, bars, stack
from helpers.classroom.data.digits import load_digits
from helpers.classroom.data.networks import load_reference_model
from helpers.classroom.explorers.own_inputs import rest_words, unit_of
from helpers.classroom.explorers.setting_words import ratio_words
from helpers.classroom.explorers.trade_off_charts import headline
from helpers.classroom.explorers.value_axis import ACCURACY
from helpers.classroom.panel import Panel, Ticks
from helpers.quantization import (
    Evaluation,
    Evaluator,
    Metric,
    Scheme,
    Setting,
    layer_sensitivity,
)
from helpers.quantization.inputs import Inputs


def draw(
    alone: dict[str, float],
    none: Evaluation,
    now: Evaluation,
    exact: Evaluation,
    unit: str = "images",
) -> Chart:
    """Draw what each layer costs alone, and say what the ticked ones gain together.

    Args:
        alone: layer -> the metric of the model with only this layer quantized.
        none: the evaluation with no layer in float.
        now: the evaluation with the ticked ones in float.
        exact: the evaluation of the model as it is.
        unit: what is asked about, such as images.
    """
    kept, metric = now.setting.keep_float, now.metric
    rows = [
        f"✓ {_tail(name, 17)}, in float" if name in kept else _tail(name, 28)
        for name in alone
    ]
    worst, shown = next(iter(alone)), metric.text(now.value)
    result = [
        f"{now.bytes:,} bytes, {ratio_words(now)}",
        f"in float: {_few(kept) or 'no layer'}",
    ]
    if kept:
        gain = now.value - none.value
        points = f"{100 * gain:+.1f} points" if metric.percent else f"{gain:+.4g}"
        result.append(f"{points} for {now.bytes - none.bytes:,} bytes more")
    right = metric.name == ACCURACY
    said = f"{shown} of {now.count} {unit} are right"
    leaves = f"which leaves {metric.text(alone[worst])} right"
    brief = f"{shown} right, {now.bytes:,} bytes."
    if not right:
        said = f"The {metric.name} of {now.count} {unit} is {shown}"
        leaves = f"with {metric.text(alone[worst])}; in {exact.dtype} it is "
        leaves += metric.text(exact.value)
        brief = f"{metric.name} {shown}, {now.bytes:,} bytes."
    text = (
        f"{said}: {'; '.join(result)}. "
        f"Each bar is a layer that is quantized alone, to {now.setting.weights.bits} "
        f"bits: the worst is {worst}, {leaves}."
    )
    if note := rest_words(exact):
        text += f" {note}"
    title, values, marks = _bars(alone, exact)
    below = bars(title, rows, values, **marks, text=text)
    picture = stack([headline(shown, result, metric.name), below], text)
    # In sheets, the names of layers could be too long for theirs.
    return replace(picture, brief=brief, sheets="")


def _bars(alone: dict[str, float], exact: Evaluation) -> tuple[str, dict, dict]:
    """Return title, values and their unit: what is right, or how far each is off."""
    if exact.metric.percent:
        name = "Right" if exact.metric.name == ACCURACY else exact.metric.name
        percent = [100 * value for value in alone.values()]
        marks = {"unit": "%", "digits": 1, "largest": 100}
        return f"{name} with only this one layer quantized", {"": percent}, marks
    sign = 1 if exact.metric.higher_is_better else -1
    losses = [sign * (exact.value - value) for value in alone.values()]
    # Bars begin at 0: what became better by chance, and what is no number any more.
    known = [min(max(loss, 0), 1e9) if loss == loss else 1e9 for loss in losses]
    digits = max(0, 2 - math.floor(math.log10(max(known)))) if max(known) > 0 else 0
    title = f"{exact.metric.name}: how much worse with only this one layer quantized"
    return title, {"": known}, {"digits": min(digits, 9)}


def _tail(name: str, most: int) -> str:
    # A long name's end tells more than its beginning.
    return (name if len(name) <= most else f"…{name[1 - most :]}") or "the model"


def _few(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more


def sensitivity(
    model: nn.Module | None = None,
    scheme: Scheme | None = None,
    inputs: Inputs | None = None,
    labels: Any = None,
    metric: Metric | str | None = None,
) -> Panel:
    """Return the panel: a bar for each layer, and a box to tick that keeps it in float.

    Args:
        model: the reference model where None.
        scheme: of the weights; 3 bits per tensor where None.
        inputs: to evaluate on: a tensor (N, ...), a tuple of arguments or a mapping of
            their names; the test images where None.
        labels: one for each of the N rows.
        metric: how the answers are judged; see Evaluator.

    Raises:
        ValueError: inputs come without labels, labels without inputs, or not as many; see
            Evaluator for what else it refuses.
    """
    model = load_reference_model() if model is None else model
    scheme = scheme or Scheme(bits=3)
    if inputs is None and labels is None:
        digits = load_digits()
        inputs, labels = digits.test_images, digits.test_labels
    evaluator = Evaluator(model, inputs, labels, metric=metric)
    exact, unit = evaluator.exact, unit_of(inputs, evaluator.exact.count)
    rows = layer_sensitivity(model, scheme, inputs, labels, evaluator.metric)
    alone = dict(zip(rows["layer"], rows[evaluator.metric.name], strict=True))

    def draw_now(keep_float: tuple[str, ...]) -> Chart:
        now = evaluator(Setting(scheme, keep_float=tuple(keep_float)))
        return draw(alone, evaluator(Setting(scheme)), now, exact, unit)

    ticks = Ticks("keep_float", "Keep in float, the worst first", tuple(alone))
    return Panel("Which layers suffer?", [ticks], draw_now)
