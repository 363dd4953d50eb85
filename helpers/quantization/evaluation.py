"""What one setting of the quantizer costs: the metric with its interval, bytes, noise.

Save, Load, Ship 0.2.0: helpers/quantization/evaluation.py · repairs: CHANGELOG.md
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from helpers.arguments import whole_number
from helpers.quantization.coverage import coverage
from helpers.quantization.folding import fold_batch_norm
from helpers.quantization.inputs import Inputs, row_count, rows
from helpers.quantization.layers import layer_weights
from helpers.quantization.metrics import Metric
from helpers.quantization.models import calibrate, quantize_model
from helpers.quantization.noise import sqnr_db
from helpers.quantization.packing import packed_bytes
from helpers.quantization.schemes import QParams, Scheme, require_scheme
from helpers.quantization.scoring import FEW, judge, require_sound_copy, weight_in


@dataclass(frozen=True)
class Setting:
    """What can be decided about a model that is to be quantized; see quantize_model.

    Attributes:
        weights: the scheme of the weights, or a mapping of a layer's name to its own;
            None keeps them in float.
        activations: the scheme of the activations, per tensor; None keeps them in float.
        calibration: how many rows the ranges of the activations are chosen from.
        keep_float: names of layers that stay in float.

    Raises:
        ValueError: calibration is not a whole number of 1 or more, keep_float is not a
            tuple, or the scheme of the activations is not per tensor.

    >>> Setting(Scheme(bits=4), keep_float=("head",)).calibration
    64
    """

    weights: Scheme | Mapping[str, Scheme] | None = None
    activations: Scheme | None = None
    calibration: int = 64
    keep_float: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what could not be carried out."""
        whole_number("calibration", self.calibration, least=1)
        if isinstance(self.weights, Mapping):  # what was measured stays what it was
            self.__dict__["weights"] = dict(self.weights)
        if not isinstance(self.keep_float, tuple):
            raise ValueError(
                f"keep_float is {self.keep_float!r}; expected a tuple of names"
            )
        if self.activations is not None:
            require_scheme(self.activations)
            if self.activations.granularity != "tensor":
                raise ValueError(
                    "activations are quantized per tensor; got "
                    f"granularity={self.activations.granularity!r}"
                )

    def __hash__(self) -> int:
        """Return the same number for equal settings."""
        weights: Any = self.weights
        if isinstance(weights, Mapping):
            weights = frozenset(weights.items())
        return hash((weights, self.activations, self.calibration, self.keep_float))


@dataclass(frozen=True)
class Evaluation:
    """What a setting costs, measured.

    Attributes:
        setting: what was measured.
        metric: how; the value is its.
        value: of the quantized model; 0.975 where 97.5 % are right.
        interval: the 95 % interval of the value, (low, high).
        count: how many were asked about: rows, or tokens where these have labels.
        bytes: of the packed model; see packed_bytes.
        float_bytes: of the model as it is.
        dtype: of the model as it is, such as "bfloat16".
        rest: "name (kind)" -> bytes of each layer that is never quantized; see coverage.
        sqnr: layer -> SQNR of its weights in dB; infinite where they are exact.
        changed: (number of the row, class in float, class now) for each row whose class
            is another one now; None where rows are not classified.

    >>> found = Evaluator(nn.Linear(4, 2), torch.rand(9, 4), torch.arange(9) % 2).exact
    >>> found.bytes, found.ratio, found.dtype
    (40, 1.0, 'float32')
    """

    setting: Setting
    metric: Metric
    value: float
    interval: tuple[float, float]
    count: int
    bytes: int
    float_bytes: int
    dtype: str
    rest: dict[str, int]
    sqnr: dict[str, float]
    changed: tuple[tuple[int, int, int], ...] | None

    @property
    def ratio(self) -> float:
        """How many times smaller than the model as it is."""
        return self.float_bytes / self.bytes

    @property
    def point(self) -> tuple[int, float]:
        """(bytes, value), as pareto_front takes it."""
        return self.bytes, self.value


class Evaluator:
    """Evaluates settings of one model on the same rows; nothing is measured twice.

    Attributes:
        metric: that is measured.
        layers: names of the layers that can be quantized; the first of those that share.
        exact: the evaluation of the model in float.

    >>> evaluator = Evaluator(nn.Linear(4, 3), torch.rand(64, 4), torch.arange(64) % 3)
    >>> found = evaluator(Setting(Scheme(bits=4)))
    >>> found.metric.name, found.bytes, found.float_bytes
    ('accuracy', 22, 60)
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: Inputs,
        labels: Any,
        calibration: Inputs | None = None,
        metric: Metric | str | None = None,
    ):
        """Fold the batch norms and evaluate the model as it is.

        Args:
            model: any model; it is not touched.
            inputs: a tensor (N, ...), a tuple of arguments or a mapping of their names.
            labels: one for each of the N rows; see judge.
            calibration: as inputs, where activations are to be quantized; not the rows
                to evaluate on.
            metric: one of METRICS by name, or your own; see judge.

        Raises:
            ValueError: see judge; no layer of the model can be quantized, a weight is
                computed (see quantize_model), or the folded model gives other answers.
            TypeError: see judge.
        """
        self._model = fold_batch_norm(model)
        self._weights = layer_weights(self._model)
        if not self._weights:
            raise ValueError(
                "the model has none of the layers that are quantized (see "
                "quantizable_layers), so nothing to evaluate"
            )
        self._inputs, self._labels, self._calibration = inputs, labels, calibration
        self.metric, _, self._classes = judge(self._model, inputs, labels, metric)
        require_sound_copy(model, self._model, rows(inputs, 0, FEW), self._weights)
        self._ranges: dict[tuple[Scheme, int], dict[str, QParams]] = {}
        self._found: dict[Setting, Evaluation] = {}
        self._float_bytes = packed_bytes(self._model, None)
        floats = {p.dtype for p in self._model.parameters() if p.is_floating_point()}
        self._dtype = " and ".join(sorted(str(dtype)[6:] for dtype in floats))
        layers, table = dict(self._model.named_modules()), coverage(self._model)
        self._rest = {
            f"{row.layer or 'the model itself'} ({row.kind})": row.bytes
            for row in table[~table["quantized"]].itertuples()
            if any(tensor.dim() > 1 for tensor in layers[row.layer].parameters(False))
        }
        self.layers = tuple(dict.fromkeys(weight.layers[0] for weight in self._weights))
        self.exact = self(Setting())
        if not math.isfinite(self.exact.value):
            name, value = self.metric.name, self.exact.value
            raise ValueError(f"the model's own {name} is {value}; expected a finite number")

    def __call__(self, setting: Setting) -> Evaluation:
        """Return what the setting costs.

        Raises:
            ValueError: a name in keep_float is not a layer's, there are not as many
                calibration rows as the setting asks for, or the model's forward writes
                over the rounded weights.
        """
        if setting not in self._found:
            self._found[setting] = self._evaluate(setting)
        return self._found[setting]

    def _evaluate(self, setting: Setting) -> Evaluation:
        ranges = self._activation_ranges(setting)
        model = quantize_model(
            self._model, setting.weights, setting.activations, ranges, setting.keep_float
        )
        _, scores, classes = judge(
            model, self._inputs, self._labels, self.metric, self._weights
        )
        value, interval = self.metric.summary(scores)
        changed = None
        if classes is not None and (old := self._classes) is not None:
            others = torch.nonzero(classes != old).flatten()
            columns = (some.tolist() for some in (others, old[others], classes[others]))
            changed = tuple(zip(*columns, strict=True))
        return Evaluation(
            setting=setting,
            metric=self.metric,
            value=value,
            interval=interval,
            count=len(scores),
            bytes=packed_bytes(self._model, setting.weights, setting.keep_float),
            float_bytes=self._float_bytes,
            dtype=self._dtype,
            rest=self._rest,
            sqnr={name: self._sqnr(model, name) for name in self.layers},
            changed=changed,
        )

    def _sqnr(self, model: nn.Module, layer: str) -> float:
        own = [weight for weight in self._weights if weight.layers[0] == layer]
        flat = ([weight_in(m, w).flatten() for w in own] for m in (self._model, model))
        return sqnr_db(*map(torch.cat, flat))

    def _activation_ranges(self, setting: Setting) -> dict[str, QParams] | None:
        scheme, count = setting.activations, setting.calibration
        if scheme is None:
            return None
        there = 0 if self._calibration is None else row_count(self._calibration)
        if self._calibration is None or there < count:
            raise ValueError(
                f"the setting asks for {count} calibration rows and there are {there}; "
                "pass more, or ask for fewer"
            )
        if (scheme, count) not in self._ranges:
            some = rows(self._calibration, 0, count)
            self._ranges[scheme, count] = calibrate(self._model, scheme, some)
        return self._ranges[scheme, count]
