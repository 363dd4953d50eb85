"""Quantization of a whole model, simulated: computed in float32 with rounded values.

Save, Load, Ship 0.2.0: helpers/quantization/models.py · repairs: CHANGELOG.md
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

from helpers.quantization.hooks import forward_hooks
from helpers.quantization.layers import fold_batch_norm, quantizable_layers, select_layers
from helpers.quantization.observers import choose_qparams, fake_quantize
from helpers.quantization.schemes import QParams, Scheme, round_trip


def quantize_model(
    model: nn.Module,
    weights: Scheme | None = None,
    activations: Scheme | None = None,
    calibration: torch.Tensor | Mapping[str, QParams] | None = None,
    keep_float: Iterable[str] = (),
) -> nn.Module:
    """Return a copy that computes with fake-quantized weights and activations.

    The copy is in eval mode, its batch norms are folded in, and it computes in float32
    with the values that an integer engine would have. Biases stay float32: engines keep
    them in 32 bits. The original is not touched.

    Args:
        model: any model whose batch norms follow their convolutions in a Sequential.
        weights: the scheme of the weights; None keeps them in float32.
        activations: the scheme of each layer's input, per tensor; None keeps them.
        calibration: inputs of the model, (N, ...), from which the ranges of the
            activations are chosen, or what `calibrate` chose from them; needed with
            activations.
        keep_float: names of layers that stay in float32, weights and inputs.

    Raises:
        ValueError: a name in keep_float is not a layer's; weights hold NaN, infinity or
            a value beyond 1e38; activations are asked for without calibration inputs, or
            not per tensor, or the inputs do not reach each layer once.

    >>> model, inputs = nn.Sequential(nn.Linear(4, 3), nn.ReLU()), torch.rand(64, 4)
    >>> small = quantize_model(model, Scheme(bits=2), Scheme(bits=8), calibration=inputs)
    >>> len(small[0].weight.unique()) <= 3  # of 2 bits: -scale, 0 and scale
    True
    """
    quantized = fold_batch_norm(model)
    layers = select_layers(quantized, keep_float)
    if activations is not None:
        # Calibrated on the float model, as engines do, so before the weights change.
        ranges = calibration
        if not isinstance(ranges, Mapping):
            ranges = calibrate(quantized, activations, ranges)
        for name, layer in layers.items():
            if name not in ranges:
                raise ValueError(
                    f"calibration never reached {name}, so its input has no range; "
                    "name it in keep_float"
                )
            layer.register_forward_pre_hook(_FakeQuantizedInput(ranges[name]))
    if weights is not None:
        with torch.no_grad():
            for name, layer in layers.items():
                with _error_prefix(f"weights of {name}"):
                    layer.weight.copy_(fake_quantize(layer.weight, weights))
    return quantized


def calibrate(
    model: nn.Module, scheme: Scheme, inputs: torch.Tensor | None
) -> dict[str, QParams]:
    """Choose scale and zero point for the input of every layer.

    Args:
        model: in eval mode, with its batch norms folded (see fold_batch_norm).
        scheme: of the activations, per tensor.
        inputs: of the model, (N, ...), such as 64 images.

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
    if inputs is None or len(inputs) == 0:
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
        with _error_prefix(f"input of {name}"):
            ranges[name] = choose_qparams(inputs[0], scheme)

    with torch.no_grad(), forward_hooks(quantizable_layers(model), choose_range):
        model(inputs)
    return ranges


class _FakeQuantizedInput:
    """A forward pre-hook that rounds a layer's input as an integer engine would."""

    def __init__(self, qparams: QParams):
        self.qparams = qparams

    def __call__(self, layer: nn.Module, inputs: tuple[torch.Tensor]) -> tuple:
        return (round_trip(inputs[0], self.qparams),)


@contextmanager
def _error_prefix(what: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error
