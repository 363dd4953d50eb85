"""How good a model's answers are: a number, its interval, and which way is better.

Save, Load, Ship 0.2.0: helpers/quantization/metrics.py · repairs: CHANGELOG.md
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from helpers.arguments import require_one_of, type_of
from helpers.quantization.comparison import Z_95, wilson_interval

IGNORED = -100  # the label of what does not count, as in PyTorch's cross entropy
Summary = tuple[float, tuple[float, float]]


def _mean(scores: torch.Tensor) -> Summary:
    count = len(scores)
    if scores.dtype == torch.bool and scores.dim() == 1:
        right = int(scores.sum())
        return right / count, wilson_interval(right, count)
    rows = scores.double().reshape(count, -1).mean(dim=1)
    middle = rows.mean().item()
    if count < 2 or not math.isfinite(middle):
        return middle, (-math.inf, math.inf)
    reach = Z_95 * rows.std().item() / math.sqrt(count)
    return middle, (middle - reach, middle + reach)


@dataclass(frozen=True)
class Metric:
    """One number for a model's answers: METRICS has some, one of your own is a line.

    Attributes:
        name: as tables and pictures write it.
        scores: (what the model returned, labels of these rows) -> a tensor with one score
            a row, (N, ...), or for each of whatever else is counted, such as (tokens,).
        higher_is_better: which way is better.
        percent: whether the value is a share, 0 to 1.
        summary: all scores -> (value, its 95 % interval). By default the mean of the rows
            ± 1.96 standard errors, or of booleans their share with Wilson's interval.
        classes: outputs -> the class of each row, (N,), where rows are classified; scores
            is then given the classes of all rows in place of outputs.

    >>> error = Metric("error", lambda outputs, labels: (outputs - labels).abs(), False)
    >>> error.summary(error.scores(torch.ones(4), torch.zeros(4)))
    (1.0, (1.0, 1.0))
    """

    name: str
    scores: Callable[[Any, Any], torch.Tensor]
    higher_is_better: bool = True
    percent: bool = False
    summary: Callable[[torch.Tensor], Summary] = _mean
    classes: Callable[[Any], torch.Tensor] | None = None

    def text(self, value: float) -> str:
        """Write a value: 0.975 is "97.5%" where it is a share, "0.975" elsewhere."""
        return f"{value:.1%}" if self.percent else f"{value:.4g}"


def choose_metric(metric: Metric | str | None, outputs: object, labels: Any) -> Metric:
    """Return the metric that is meant; see judge, also for what is raised.

    >>> choose_metric(None, torch.rand(5, 10), torch.arange(5)).name
    'accuracy'
    """
    if isinstance(metric, Metric) and metric not in METRICS.values():
        return metric
    if metric is not None and not isinstance(metric, Metric | str):
        raise TypeError(f"metric is {type_of(metric)}; expected a Metric or its name")
    if not isinstance(labels, torch.Tensor):
        raise TypeError(f"labels are {type_of(labels)}; expected a tensor")
    answers, named = _answers(outputs), bool(((labels == 0) | (labels == 1)).all())
    if metric is None:
        metric = _default(answers, labels, named)
    if isinstance(metric, str):
        require_one_of("metric", metric, METRICS)
        metric = METRICS[metric]
    if metric is METRICS["binary"]:
        one = all(some.numel() == len(some) for some in (answers, labels))
        _require(one and named, answers, labels, "one logit a row, and labels 0 and 1")
        if _are_shares(answers):
            raise ValueError(
                "the outputs lie between 0 and 1 like shares, and 'binary' takes logits; "
                "leave out the Sigmoid, or pass Metric('accuracy', lambda outputs, labels: "
                "(outputs.flatten() > 0.5) == labels.flatten(), percent=True)"
            )
    elif metric is not METRICS["r_squared"]:
        _require_classes(answers, labels)
    return metric


def _default(answers: torch.Tensor, labels: torch.Tensor, named: bool) -> str:
    if labels.is_floating_point():
        suits = "" if named else "r_squared"
    elif answers.dim() == 1 or answers.shape[1:] == (1,):
        suits = "binary" if named and not _are_shares(answers) else ""
    else:
        suits = "accuracy" if answers.dim() == 2 else ""
    if not suits:
        raise ValueError(
            f"for outputs of shape {tuple(answers.shape)} and labels of shape "
            f"{tuple(labels.shape)}, {str(labels.dtype)[6:]}, it is not certain what is "
            f"right; expected metric= one of {', '.join(map(repr, METRICS))}, or a Metric "
            "of your own"
        )
    return suits


def _are_shares(answers: torch.Tensor) -> bool:
    """Say whether answers may come out of a sigmoid: such a share is no logit."""
    return bool(((answers >= 0) & (answers <= 1)).all())


def _answers(outputs: Any) -> torch.Tensor:
    """Return the tensor that is judged of whatever a model returns."""
    if isinstance(outputs, torch.Tensor):
        return outputs
    named = outputs.get("logits") if isinstance(outputs, Mapping) else outputs
    first = named[0] if isinstance(named, tuple | list) and named else named
    if not isinstance(found := getattr(outputs, "logits", first), torch.Tensor):
        raise TypeError(
            f"the model returns an object {type_of(outputs)}, in which no tensor comes "
            "first or is called 'logits'; expected metric=Metric(name, scores), whose "
            "scores take it apart"
        )
    return found


def _require(fits: object, outputs: Any, labels: torch.Tensor, expected: str) -> None:
    if not fits:
        one, other = (
            ", ".join(["N", *map(str, some.shape[1:])]) for some in (outputs, labels)
        )
        raise ValueError(
            f"outputs have shape ({one}), labels ({other}) of {str(labels.dtype)[6:]}; "
            f"expected {expected}"
        )


def _require_classes(logits: torch.Tensor, labels: torch.Tensor) -> None:
    count = logits.shape[-1] if logits.dim() > 1 else 1
    _require(count > 1, logits, labels, "several logits; for one, metric='binary'")
    suits = labels.shape[1:] == logits.shape[1:-1] and not labels.is_floating_point()
    _require(suits, logits, labels, "a whole number for each, that of its class")
    named = labels.long()  # of uint8, 156 would be -100
    named = named[named != IGNORED]
    if not len(named):
        raise ValueError(f"no label counts: each is {IGNORED}")
    if named.min() < 0 or named.max() >= count:
        ends = f"{named.min()} to {named.max()}"
        raise ValueError(f"labels run from {ends}; expected 0 to {count - 1}")


def _classes(answers: torch.Tensor) -> torch.Tensor:
    """Return the class of each row; -1, which no label is, where there is NaN."""
    if answers.dim() == 1:
        return torch.where(answers.isnan(), -1, (answers > 0).long())
    return torch.where(answers.isnan().any(dim=-1), -1, answers.argmax(dim=-1))


def _log_loss(outputs: Any, labels: torch.Tensor) -> torch.Tensor:
    logits, named = _answers(outputs).flatten(0, -2), labels.flatten().long()
    wide = torch.promote_types(logits.dtype, torch.float32)
    losses = cross_entropy(logits.to(wide), named, reduction="none", ignore_index=IGNORED)
    return losses[named != IGNORED]


def _squares(outputs: Any, labels: torch.Tensor) -> torch.Tensor:
    answers, true = _answers(outputs), labels.double().reshape(len(labels), -1)
    one, other = ([n for n in some.shape if n > 1] for some in (answers, labels))
    _require(one == other, answers, labels, "the same shape")
    return torch.stack([(answers.double().reshape(true.shape) - true).square(), true], 1)


def _exp_of_mean(scores: torch.Tensor) -> Summary:
    value, (low, high) = _mean(scores)
    value, low, high = torch.tensor([value, low, high]).double().exp().tolist()
    return value, (low, high)


def _r_squared(scores: torch.Tensor) -> Summary:
    errors, true = scores.unbind(dim=1)
    spread = (true - true.mean(dim=0)).square()
    if not (whole := spread.mean(dim=0)).all():
        raise ValueError("all labels are the same; expected some spread, for R²")
    rest = errors.mean(dim=0) / whole
    # The infinitesimal jackknife: what each row adds (B. Efron, The Jackknife, the
    # Bootstrap and Other Resampling Plans, 1982).
    adds = ((errors - rest * spread) / whole).mean(dim=1)
    value, reach = 1 - rest.mean().item(), Z_95 * adds.square().mean().sqrt().item()
    reach /= math.sqrt(len(adds))
    return value, (value - reach, min(value + reach, 1.0))


# name -> metric. Units of "accuracy" and "perplexity" are rows, of outputs (N, classes), or
# tokens, of outputs (N, tokens, classes). Labels of -100 do not count.
METRICS = {
    "accuracy": Metric(
        "accuracy",
        lambda classes, labels: (classes == labels)[labels.long() != IGNORED],
        percent=True,
        classes=lambda outputs: _classes(_answers(outputs)),
    ),
    "binary": Metric(
        "accuracy",
        lambda classes, labels: classes == labels.flatten(),
        percent=True,
        classes=lambda outputs: _classes(_answers(outputs).flatten()),
    ),
    "perplexity": Metric("perplexity", _log_loss, False, summary=_exp_of_mean),
    "r_squared": Metric("R²", _squares, summary=_r_squared),
}
