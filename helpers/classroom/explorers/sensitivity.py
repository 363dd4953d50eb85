"""Which layer suffers most, and what does it gain to keep it in float?"""

from dataclasses import replace

import torch
from torch import nn

from helpers.classroom.charts import Chart, bars, stack
from helpers.classroom.data.digits import load_digits
from helpers.classroom.data.networks import load_reference_model
from helpers.classroom.explorers.evaluation import Evaluation, Evaluator, Setting
from helpers.classroom.explorers.setting_words import ratio_words
from helpers.classroom.explorers.trade_off_charts import headline
from helpers.classroom.panel import Panel, Ticks
from helpers.quantization import Scheme, layer_sensitivity


def draw(alone: dict[str, float], none: Evaluation, now: Evaluation) -> Chart:
    """Draw what each layer costs alone, and say what the ticked ones gain together.

    Args:
        alone: layer -> accuracy, 0 to 1, of the model with only this layer quantized.
        none: the evaluation with no layer in float.
        now: the evaluation with the ticked ones in float.
    """
    kept = now.setting.keep_float
    rows = [f"✓ {name}, in float" if name in kept else name for name in alone]
    percent = {"": [100 * right for right in alone.values()]}
    worst = next(iter(alone))
    result = [
        f"{now.bytes:,} bytes, {ratio_words(now)}",
        f"in float: {_few(kept) or 'no layer'}",
    ]
    if kept:
        gain = 100 * (now.accuracy - none.accuracy)
        result.append(f"{gain:+.1f} points for {now.bytes - none.bytes:,} bytes more")
    text = (
        f"{now.accuracy:.1%} of {now.count} images are right: {'; '.join(result)}. "
        f"Each bar is a layer that is quantized alone, to {now.setting.weights.bits} "
        f"bits: the worst is {worst}, which leaves {alone[worst]:.1%} right."
    )
    title = "Right with only this one layer quantized"
    below = bars(title, rows, percent, unit="%", digits=1, largest=100, text=text)
    brief = f"{now.accuracy:.1%} right, {now.bytes:,} bytes."
    picture = stack([headline(f"{now.accuracy:.1%}", result), below], text)
    # In sheets, the names of layers could be too long for theirs.
    return replace(picture, brief=brief, sheets="")


def _few(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more


def sensitivity(
    model: nn.Module | None = None,
    scheme: Scheme | None = None,
    images: torch.Tensor | None = None,
    labels: torch.Tensor | None = None,
) -> Panel:
    """Return the panel: a bar for each layer, and a box to tick that keeps it in float.

    Args:
        model: the reference model where None.
        scheme: of the weights; 3 bits per tensor where None.
        images: to evaluate on; the test images where None.
        labels: int64, one for each image.

    Raises:
        ValueError: images come without labels, labels without images, or not as many, or
            no layer of the model can be quantized.
    """
    model = load_reference_model() if model is None else model
    scheme = scheme or Scheme(bits=3)
    if images is None and labels is None:
        digits = load_digits()
        images, labels = digits.test_images, digits.test_labels
    evaluator = Evaluator(model, images, labels)
    rows = layer_sensitivity(model, scheme, images, labels)
    alone = dict(zip(rows["layer"], rows["accuracy"], strict=True))

    def draw_now(keep_float: tuple[str, ...]) -> Chart:
        now = evaluator(Setting(scheme, keep_float=tuple(keep_float)))
        return draw(alone, evaluator(Setting(scheme)), now)

    ticks = Ticks("keep_float", "Keep in float, the worst first", tuple(alone))
    return Panel("Which layers suffer?", [ticks], draw_now)
