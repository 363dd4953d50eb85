"""Run a model over all rows, and hold its answers against the labels.

Save, Load, Ship 0.2.0: helpers/quantization/scoring.py · repairs: CHANGELOG.md
"""

import copy
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from helpers.quantization.inputs import Inputs, row_count, run, split
from helpers.quantization.layers import LayerWeight
from helpers.quantization.metrics import Metric, choose_metric

CHUNK = 180  # rows at once: what they leave behind fits a processor's cache
FEW = 16  # rows on which the folded model has to answer as the model itself does
MOST_LABELS = 4096  # at once: a model may return a number for each of 50,000 words


@torch.no_grad()
def judge(
    model: nn.Module,
    inputs: Inputs,
    labels: Any,
    metric: Metric | str | None = None,
    weights: Iterable[LayerWeight] = (),
) -> tuple[Metric, torch.Tensor, torch.Tensor | None]:
    """Run all rows, some at a time; return metric, scores and, if any, their classes.

    Args:
        model: in eval mode; no row's outputs depend on other rows.
        inputs: a tensor (N, ...), a tuple of arguments or a mapping of their names.
        labels: a tensor of N rows, or whatever a metric of your own takes. For "perplexity"
            they are the tokens that the outputs predict, so already shifted by one.
        metric: your own, or one of METRICS by name. None is the only one that suits, if
            it is certain: "accuracy" for whole numbers (N,) and outputs (N, classes),
            "binary" for 0, 1 and one logit a row, "r_squared" for floats.
        weights: that have to stay as they are while the model runs.

    Raises:
        ValueError: inputs and labels are not as many, or none; the metric suits neither
            labels nor outputs, or it is not certain which one would; the model writes
            over one of the weights.
        TypeError: inputs or labels are no tensors, the metric is none, or the model
            returns what METRICS cannot judge.

    >>> metric, scores, _ = judge(nn.Linear(3, 1), torch.ones(5, 3), torch.rand(5))
    >>> metric.name, scores.shape
    ('R²', torch.Size([5, 2, 1]))
    """
    pair = {"inputs": inputs, "labels": labels}
    counts = [0 if some is None else row_count(some, name) for name, some in pair.items()]
    if not counts[0] or counts[0] != counts[1]:
        raise ValueError(
            f"got {counts[0]} inputs and {counts[1]} labels; expected one label for each, "
            "and at least one"
        )
    each = labels.numel() // counts[0] if isinstance(labels, torch.Tensor) else 1
    chunk = max(1, min(CHUNK, MOST_LABELS // max(each, 1)))
    found: list[torch.Tensor] = []
    chosen: Metric | None = None
    before = {weight: weight_in(model, weight).clone() for weight in weights}
    for part, those in zip(split(inputs, chunk), split(labels, chunk), strict=True):
        outputs = run(model, part)
        chosen = chosen or choose_metric(metric, outputs, labels)
        some = chosen.classes(outputs) if chosen.classes else chosen.scores(outputs, those)
        if not isinstance(some, torch.Tensor) or not some.dim():
            raise ValueError(
                f"the scores of {chosen.name} are one number for all rows; expected a "
                "tensor with one for each, whose spread tells how certain their mean is"
            )
        found.append(some)
    assert chosen  # there are rows
    for weight, value in before.items():
        if not torch.equal(value, weight_in(model, weight)):
            raise ValueError(
                f"{weight.name} is written anew each time the model runs, so its rounded "
                "values are not used; make it a plain parameter first"
            )
    whole, classified = torch.cat(found), chosen.classes is not None
    scores = chosen.scores(whole, labels) if classified else whole
    return chosen, scores, whole.long() if classified and whole.dim() == 1 else None


def weight_in(model: nn.Module, weight: LayerWeight) -> torch.Tensor:
    """Return the weight of that name in another copy of the model.

    >>> model = nn.Sequential(nn.Linear(2, 3))
    >>> weight_in(model, LayerWeight(("0",), model[0], "weight")).shape
    torch.Size([3, 2])
    """
    return getattr(model.get_submodule(weight.layers[0]), weight.attribute).detach()


@torch.no_grad()
def require_sound_copy(
    model: nn.Module, folded: nn.Module, inputs: Inputs, weights: Iterable[LayerWeight] = ()
) -> None:
    """Refuse a folded copy that does not answer as the model, or not by its own weights.

    Raises:
        ValueError: its answers differ by more than the rounding of the outputs' dtype, or
            stay what they are whatever its weights are.

    >>> require_sound_copy(nn.Linear(2, 3), nn.Linear(2, 3), torch.ones(4, 2))
    Traceback (most recent call last):
    ValueError: folding its batch norms changed the model's answers, or it answers \
otherwise each time; expected a model that depends on its inputs alone. A norm whose \
class has a forward of its own is not folded
    """
    own = _tensors(run(copy.deepcopy(model).eval(), inputs))
    answers = [*_tensors(run(folded, inputs))]
    for one, other in zip(own, answers, strict=True):
        if not one.is_floating_point() or not one.numel():
            continue
        near = torch.finfo(one.dtype).eps ** 0.5 * one.nan_to_num(0, 0, 0).abs().max()
        if not torch.allclose(one, other, rtol=0, atol=float(near), equal_nan=True):
            raise ValueError(
                "folding its batch norms changed the model's answers, or it answers "
                "otherwise each time; expected a model that depends on its inputs alone. A "
                "norm whose class has a forward of its own is not folded"
            )
    changed, weights = copy.deepcopy(folded), list(weights)
    for weight in weights:
        weight_in(changed, weight).fill_(math.nan)
    try:
        others = [*_tensors(run(changed, inputs))] if weights else []
    except Exception:  # of a model that looks at its values: it has seen them
        return
    if weights and all(map(torch.equal, answers, others)):
        raise ValueError(
            "a copy of the model answers the same whatever its weights are: it does not "
            "run them, makes them anew each time it runs, or holds functions that go on "
            "using the original"
        )


def _tensors(outputs: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors in whatever a model returns."""
    if isinstance(outputs, torch.Tensor):
        yield outputs
    elif isinstance(outputs, Mapping | tuple | list):
        values = outputs.values() if isinstance(outputs, Mapping) else outputs
        for value in values:
            yield from _tensors(value)
    elif hasattr(outputs, "logits"):
        yield from _tensors(outputs.logits)
