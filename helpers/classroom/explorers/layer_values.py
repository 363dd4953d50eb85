"""One layer's weights and inputs: how they are spread, and where a setting clips them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import nn

from helpers.quantization import (
    Evaluator,
    QParams,
    Scheme,
    Setting,
    choose_qparams,
    quantizable_layers,
)
from helpers.quantization.hooks import forward_hooks
from helpers.quantization.inputs import Inputs, row_count, rows, run
from helpers.quantization.layers import LayerWeight
from helpers.quantization.level_sets import level_set

ROWS = 64  # whose inputs are looked at
MOST = 50_000  # values of a layer's inputs, evenly taken from all
BINS = 50


class Watched(Evaluator):
    """An Evaluator that shows what it rounds, and between which ends."""

    @property
    def folded(self) -> nn.Module:
        """The model in float, its batch norms folded; not to be changed."""
        return self._model

    @property
    def weights(self) -> list[LayerWeight]:
        """What is quantized of it."""
        return self._weights

    def input_ranges(self, setting: Setting) -> Mapping[str, QParams]:
        """Return the calibrated range of each layer's input; none if these are float."""
        return self._activation_ranges(setting) or {}

    def bytes_of(self, layer: str) -> int:
        """Return how many bytes a layer's weights have in float."""
        own = [some for some in self.weights if some.layers[0] == layer]
        return sum(some.parameter.nbytes for some in own)


def scheme_of(setting: Setting, layer: str) -> Scheme | None:
    """Return the scheme of a layer's weights in a setting; None if they are float."""
    if layer in setting.keep_float:
        return None
    if isinstance(setting.weights, Mapping):
        return setting.weights.get(layer)
    return setting.weights


@dataclass(frozen=True)
class Spread:
    """How values are spread, and where they are clipped.

    Attributes:
        counts: how many lie in each of BINS equal parts between the ends; of inputs,
            without the zeros.
        low: the least value.
        high: the largest.
        size: how many values there are.
        zeros: which share of them is zero.
        clip: the outermost levels (low, high); None where the values stay in float.
        clipped: which share of the values lies more than half a step beyond its own
            outermost levels; nearer ones are rounded to them, as between two levels.
    """

    counts: tuple[float, ...]
    low: float
    high: float
    size: int
    zeros: float
    clip: tuple[float, float] | None = None
    clipped: float = 0.0


@dataclass(frozen=True)
class Look:
    """What there is to see of one layer in one setting.

    Attributes:
        layer: its name.
        scheme: of its weights; None if they are float.
        activation_bits: of its inputs; None if they are float.
        weights: how they are spread, and where they are clipped.
        inputs: the same, or a sentence on why there is nothing to see.
        rows: how many rows the inputs come from.
    """

    layer: str
    scheme: Scheme | None
    activation_bits: int | None
    weights: Spread
    inputs: Spread | str
    rows: int


class LayerValues:
    """The weights and the inputs of a model's layers; each is looked at once."""

    def __init__(self, evaluator: Watched, inputs: Inputs):
        """Take the model; it runs when inputs are first asked for.

        Args:
            evaluator: of the model.
            inputs: of the model, such as those to calibrate with; the first are used.
        """
        self._evaluator, self._inputs = evaluator, inputs
        self._rows = min(ROWS, row_count(inputs))
        self._plain: dict[tuple[str, str], Spread] = {}
        self._clips: dict[tuple[str, Scheme | None], Spread] = {}

    def look(self, layer: str, setting: Setting) -> Look:
        """Return what there is to see of a layer in a setting."""
        inputs = self.inputs(layer, setting)
        clipped = not isinstance(inputs, str) and inputs.clip
        return Look(
            layer,
            scheme_of(setting, layer),
            setting.activations.bits if clipped else None,
            self.weights(layer, setting),
            inputs,
            self._rows,
        )

    def weights(self, layer: str, setting: Setting) -> Spread:
        """Return how a layer's weights are spread, and where the setting clips them."""
        key = layer, scheme_of(setting, layer)
        if key not in self._clips:
            values = [
                some.to_channels(some.parameter.detach()).float()
                for some in self._evaluator.weights
                if some.layers[0] == layer
            ]
            found = self._plain.get((layer, "weights"))
            if found is None:
                whole = torch.cat([each.flatten() for each in values])
                found = self._spread("weights", layer, whole, 0.0)
            if key[1] is not None:
                chosen = [choose_qparams(each, key[1]) for each in values]
                found = _clipped(found, values, chosen)
            self._clips[key] = found
        return self._clips[key]

    def inputs(self, layer: str, setting: Setting) -> Spread | str:
        """Return the same of what reaches a layer, or why there is nothing to see."""
        held = self._collected.get(layer)
        if held is None:
            return "its inputs are not seen: its code is not run, or inside PyTorch's"
        if not held.is_floating_point():
            return "its inputs are whole numbers, and stay so"
        if not len(held):
            return "its inputs hold no numbers"
        found = self._plain.get((layer, "inputs"))
        if found is None:
            zeros = (held == 0).float().mean().item()
            found = self._spread("inputs", layer, held[held != 0], zeros)
        qparams = self._evaluator.input_ranges(setting).get(layer)
        if qparams is None or layer in setting.keep_float:
            return found
        return _clipped(found, [held], [qparams])

    def _spread(self, kind: str, layer: str, values: torch.Tensor, zeros: float) -> Spread:
        values = values[values.isfinite()]
        size = len(values)
        values = values if size else torch.zeros(1)
        low, high = values.min().item(), values.max().item()
        counts = [float(size)]
        if high > low:
            counts = torch.histc(values, BINS, low, high).tolist()
        found = Spread(tuple(counts), low, high, size, zeros)
        self._plain[layer, kind] = found
        return found

    @cached_property
    def _collected(self) -> dict[str, torch.Tensor]:
        """Name of a layer -> values of its inputs, flat; of whole numbers, none."""
        found: dict[str, torch.Tensor] = {}

        def keep(name: str, layer: nn.Module, inputs: tuple, output: object) -> None:
            if name in found or not inputs:
                return
            flat = inputs[0].detach().flatten()
            flat = flat if flat.is_floating_point() else flat[:0]
            step = max(1, len(flat) // MOST)
            found[name] = flat[::step].clone()
            if flat.is_floating_point():
                found[name] = found[name].float()

        model = self._evaluator.folded
        with torch.no_grad(), forward_hooks(quantizable_layers(model), keep):
            run(model, rows(self._inputs, 0, ROWS))
        return found


def _outermost(qparams: QParams) -> tuple[tuple, tuple]:
    """Return the outermost levels and half of the steps there, divided by the scale."""
    _, zero, qmin, qmax, form = qparams
    if form == "integer":
        return (qmin - zero, qmax - zero), (0.5, 0.5)
    levels = level_set(form, qparams.scale.device).levels
    steps = levels.diff()
    return (levels[0], levels[-1]), (steps[0] / 2, steps[-1] / 2)


def _clipped(found: Spread, values: list[torch.Tensor], chosen: list[QParams]) -> Spread:
    """Add what is clipped, and where: the outermost of all channels' or groups' levels."""
    count = total = 0
    ends = []
    for each, qparams in zip(values, chosen, strict=True):
        (low, high), (below, above) = _outermost(qparams)
        units = each / qparams.scale
        # A float's last digits must not decide on what lies exactly half a step beyond.
        slack = (high - low) * 2.0**-22
        outside = (units < low - below - slack) | (units > high + above + slack)
        count += outside.sum().item()
        total += each.numel()
        ends += [low * qparams.scale, high * qparams.scale]
    clip = min(end.min().item() for end in ends), max(end.max().item() for end in ends)
    return replace(found, clip=clip, clipped=count / total)
