"""Quantization of a whole model, simulated: computed in float32 with rounded values.

Save, Load, Ship 0.2.0: helpers/quantization/models.py · repairs: CHANGELOG.md
"""

import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeGuard

import torch
from torch import nn

from helpers.quantization.folding import fold_batch_norm
from helpers.quantization.hooks import forward_hooks
from helpers.quantization.inputs import Inputs, row_count, rows, run
from helpers.quantization.layers import kept_layers, quantizable_layers, weight_schemes
from helpers.quantization.observers import choose_qparams, fake_quantize
from helpers.quantization.schemes import QParams, Scheme, round_trip
from helpers.quantization.scoring import FEW, require_sound_copy


def quantize_model(
    model: nn.Module,
    weights: Scheme | Mapping[str, Scheme] | None = None,
    activations: Scheme | None = None,
    calibration: Inputs | Mapping[str, QParams] | None = None,
    keep_float: Iterable[str] = (),
) -> nn.Module:
    """Return a copy that computes with fake-quantized weights and activations.

    The copy is in eval mode, its batch norms are folded in, and it computes in float32
    with the values that an integer engine would have. Biases stay float32: engines keep
    them in 32 bits. The original is not touched.

    A weight that several layers share is rounded once. A model of another dtype, such as
    bfloat16, keeps it, and its levels are rounded to it. Whether the model uses what was
    written is checked where there are inputs: here to calibrate, in `Evaluator` to judge.

    Args:
        model: any model; which of its layers are treated says `quantizable_layers`.
        weights: the scheme of the weights, or a mapping of a layer's name to its own, which
            keeps those of all other layers in float; None keeps all.
        activations: the scheme of each layer's input, per tensor; None keeps them. The
            input of an Embedding is no float and is left alone.
        calibration: inputs of the model, from which the ranges of the activations are
            chosen: a tensor (N, ...), a tuple of arguments, or a mapping of their names;
            or what `calibrate` chose from them. Needed with activations.
        keep_float: names of layers that stay in float32, weights and inputs. A weight
            that several layers share stays where one of them is named.

    Raises:
        ValueError: a name is not a layer's; a weight cannot be replaced by
            rounded values (it is computed, or already quantized: see `layer_weights`),
            or holds NaN, infinity or a value beyond 1e38; activations are asked for
            without calibration inputs, or not per tensor, or the inputs do not reach
            each layer once, or are answered otherwise after the folding, or by weights that
            are not the copy's own.

    Warns:
        UserWarning: more than a quarter of the model's weights stay in float, since they
            are in layers that are not treated.

    >>> model, inputs = nn.Sequential(nn.Linear(4, 3), nn.ReLU()), torch.rand(64, 4)
    >>> small = quantize_model(model, Scheme(bits=2), Scheme(bits=8), calibration=inputs)
    >>> len(small[0].weight.unique()) <= 3  # of 2 bits: -scale, 0 and scale
    True
    """
    quantized = fold_batch_norm(model)
    keep_float = kept_layers(quantized, keep_float)
    # Before the ranges are chosen, since it refuses what could not be rounded.
    found = [] if weights is None else weight_schemes(quantized, weights, keep_float)
    if activations is not None:
        # Calibrated on the float model, as engines do, so before the weights change.
        ranges = calibration
        if not _are_ranges(ranges):
            ranges = calibrate(quantized, activations, ranges, keep_float)
            assert calibration is not None  # or it had been refused
            some = rows(calibration, 0, FEW)
            require_sound_copy(model, quantized, some, [weight for weight, _ in found])
        for name, layer in _layers_with_inputs(quantized).items():
            if name in keep_float:
                continue
            if name not in ranges:
                raise ValueError(_unreached(name, layer))
            layer.register_forward_pre_hook(_FakeQuantizedInput(ranges[name]))
    if weights is not None:
        if not keep_float and not isinstance(weights, Mapping):  # not asked for
            _warn_of_the_rest(quantized, {id(weight.parameter) for weight, _ in found})
        with torch.no_grad():
            for weight, scheme in found:
                with _error_prefix(f"weights of {weight.layers[0]}"):
                    rounded = fake_quantize(weight.to_channels(weight.parameter), scheme)
                    weight.parameter.copy_(weight.from_channels(rounded))
                    if weight.parameter.isinf().any():
                        raise ValueError(f"a level is beyond {weight.parameter.dtype}")
    return quantized


def calibrate(
    model: nn.Module,
    scheme: Scheme,
    inputs: Inputs | None,
    keep_float: Iterable[str] = (),
) -> dict[str, QParams]:
    """Choose scale and zero point for the input of every layer.

    Args:
        model: in eval mode, with its batch norms folded (see fold_batch_norm).
        scheme: of the activations, per tensor.
        inputs: of the model, such as 64 images: a tensor (N, ...), a tuple of arguments,
            or a mapping of their names.
        keep_float: names of layers whose input is not looked at.

    Returns:
        name of the layer -> its input's scale and zero point; without layers that the
        model does not run.

    Raises:
        ValueError: there are no inputs, the scheme is not per tensor, a layer runs more
            than once, or what reaches it holds NaN, infinity or a value beyond 1e38.

    >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)).eval()
    >>> ranges = calibrate(model, Scheme(bits=8, symmetric=False), torch.rand(64, 4))
    >>> sorted(ranges), ranges["2"].zero_point.item()  # after a ReLU, zero is the least
    (['0', '2'], 0)
    """
    if inputs is None or not row_count(inputs):
        raise ValueError("activations need calibration: pass inputs, such as 64 images")
    if scheme.granularity != "tensor":
        raise ValueError(
            f"activations are quantized per tensor; got granularity={scheme.granularity!r}"
        )
    ranges: dict[str, QParams] = {}

    def choose_range(name: str, layer: nn.Module, inputs: tuple, output: object) -> None:
        if name in ranges:
            raise ValueError(
                f"{name} runs more than once, and one range cannot serve all its inputs; "
                "give each place in the model a layer of its own"
            )
        if not inputs:
            raise ValueError(
                f"{name} is called with keywords, and its input is not seen; name it in "
                "keep_float"
            )
        with _error_prefix(f"input of {name}"):
            ranges[name] = choose_qparams(inputs[0], scheme)

    kept = kept_layers(model, keep_float)
    found = _layers_with_inputs(model, nn.MultiheadAttention).items()
    layers = {name: layer for name, layer in found if name not in kept}
    with torch.no_grad(), forward_hooks(layers, choose_range):
        run(model, inputs)
    return ranges


def _layers_with_inputs(model: nn.Module, *but: type) -> dict[str, nn.Module]:
    left_out, layers = (nn.Embedding, *but), quantizable_layers(model).items()
    return {name: layer for name, layer in layers if not isinstance(layer, left_out)}


def _are_ranges(calibration: object) -> TypeGuard[Mapping[str, QParams]]:
    return isinstance(calibration, Mapping) and all(
        isinstance(value, QParams) for value in calibration.values()
    )


def _unreached(name: str, layer: nn.Module) -> str:
    if isinstance(layer, nn.MultiheadAttention):
        return (
            f"{name} multiplies inside a function of PyTorch, where its inputs cannot be "
            f"rounded; name {name!r} and '{name}.out_proj' in keep_float"
        )
    return (
        f"calibration never reached {name}, so its input has no range; "
        "name it in keep_float"
    )


def _warn_of_the_rest(model: nn.Module, treated: Collection[int]) -> None:
    """Warn where much of a model stays in float, given the ids of what does not."""
    # Vectors (biases, scales of norms) stay in float in every engine.
    found = [tensor for tensor in model.parameters() if tensor.dim() > 1]
    total = sum(tensor.nbytes for tensor in found)
    rest = sum(tensor.nbytes for tensor in found if id(tensor) not in treated)
    if 4 * rest > total:
        warnings.warn(
            f"{rest:,} of the {total:,} bytes of weights stay in float: they are not in "
            "layers that are treated; coverage(model) names them",
            stacklevel=3,
        )


class _FakeQuantizedInput:
    """A forward pre-hook that rounds a layer's input as an integer engine would."""

    def __init__(self, qparams: QParams):
        self.qparams = qparams

    def __call__(self, layer: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple:
        first, *others = inputs
        rounded = round_trip(first.float(), self.qparams)
        return (rounded.to(first.dtype), *others)


@contextmanager
def _error_prefix(what: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error
