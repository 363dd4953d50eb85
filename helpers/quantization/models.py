"""Quantization of a whole model, simulated: what it does to accuracy and to bytes."""

import copy
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import pandas as pd
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from helpers.arguments import require_module
from helpers.quantization.forward_hooks import watching
from helpers.quantization.schemes import (
    QParams,
    Scheme,
    choose_qparams,
    fake_quantize,
    require_scheme,
    round_trip,
)
from helpers.training import accuracy

SCALE_BYTES = 4  # a float32
# Symmetric schemes need none. With more than 8 bits it would take 2; that is neglected.
ZERO_POINT_BYTES = 1


def fold_batch_norm(model: nn.Module) -> nn.Module:
    """Return a copy in eval mode with each batch norm folded into its convolution.

    An engine does this before it quantizes: y = a * conv(x) + b is one convolution with
    weights a * w. Only pairs that follow each other in a Sequential are folded; the norm's
    place is taken by an Identity. The original is not touched.

    Raises:
        TypeError: the model is no module.
    """
    require_module(model)
    folded = copy.deepcopy(model).eval()
    for sequence in folded.modules():
        if not isinstance(sequence, nn.Sequential):
            continue
        for i in range(len(sequence) - 1):
            convolution, norm = sequence[i], sequence[i + 1]
            pair = isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
            # Without running statistics a norm takes each batch's, in eval mode as well.
            if pair and norm.running_mean is not None:
                sequence[i] = fuse_conv_bn_eval(convolution, norm)
                sequence[i + 1] = nn.Identity().eval()
    return folded


def quantizable_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Return the layers whose weights are quantized, by name: Conv2d and Linear."""
    kinds = (nn.Conv2d, nn.Linear)
    return {name: m for name, m in model.named_modules() if isinstance(m, kinds)}


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
    """
    quantized = fold_batch_norm(model)
    layers = _chosen_layers(quantized, keep_float)
    if activations is not None:
        # Calibrated on the float model, as engines do, so before the weights change.
        ranges = calibration
        if not isinstance(ranges, Mapping):
            ranges = calibrate(quantized, activations, calibration)
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
                with _naming(f"weights of {name}"):
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
    """
    if inputs is None or len(inputs) == 0:
        raise ValueError("activations need calibration: pass inputs, such as 64 images")
    if scheme.granularity != "tensor":
        raise ValueError(
            f"activations are quantized per tensor; got granularity={scheme.granularity!r}"
        )
    ranges: dict[str, QParams] = {}

    def look(name: str, layer: nn.Module, given: tuple, output: torch.Tensor) -> None:
        if name in ranges:
            raise ValueError(
                f"{name} runs more than once, and one range cannot serve all its inputs; "
                "give each place in the model a layer of its own"
            )
        with _naming(f"input of {name}"):
            ranges[name] = choose_qparams(given[0], scheme)

    with torch.no_grad(), watching(quantizable_layers(model), look):
        model(inputs)
    return ranges


def packed_bytes(
    model: nn.Module, scheme: Scheme | None, keep_float: Iterable[str] = ()
) -> int:
    """Return the bytes that the folded model needs with its weights packed.

    Counted are the weights at their bit width (each layer rounded up to whole bytes), a
    float32 scale for each tensor, channel or group, a zero point of one byte beside it
    where the scheme is asymmetric, and whatever stays in float32, biases included. Not
    counted are names and headers of a file.

    Raises:
        TypeError: the model is no module, or the scheme no `Scheme`.
        ValueError: a name in keep_float is not a layer's.
    """
    folded = fold_batch_norm(model)
    total = sum(tensor.nbytes for tensor in folded.state_dict().values())
    if scheme is None:
        return total
    require_scheme(scheme)
    for layer in _chosen_layers(folded, keep_float).values():
        extra = SCALE_BYTES + (0 if scheme.symmetric else ZERO_POINT_BYTES)
        packed = math.ceil(layer.weight.numel() * scheme.bits / 8)
        total += packed + _count_scales(layer.weight, scheme) * extra - layer.weight.nbytes
    return total


def sqnr_db(reference: torch.Tensor, approximation: torch.Tensor) -> float:
    """Return the signal-to-quantization-noise ratio in decibels; infinite if equal.

    10 log10 of the mean square of the reference over that of the difference: minus
    infinity where nothing but noise is left, NaN where a tensor holds NaN. A uniform
    quantizer gains 6.02 dB with each bit (W. R. Bennett, "Spectra of Quantized
    Signals", Bell System Technical Journal 27, 1948).

    Raises:
        ValueError: the shapes differ.
    """
    if reference.shape != approximation.shape:
        raise ValueError(
            f"reference has shape {tuple(reference.shape)}, "
            f"approximation {tuple(approximation.shape)}; expected the same"
        )
    signal = reference.double().square().sum().item()
    noise = (reference.double() - approximation.double()).square().sum().item()
    if noise == 0:
        return math.inf
    ratio = signal / noise  # 0 also where the noise is infinite
    return 10 * math.log10(ratio) if ratio else -math.inf


def worst_channel(
    reference: torch.Tensor, approximation: torch.Tensor
) -> tuple[int, float]:
    """Return the output channel (axis 0) with the lowest SQNR, and that SQNR in dB.

    Raises:
        ValueError: the shapes differ.
    """
    pairs = zip(reference, approximation, strict=True)
    found = [sqnr_db(one, other) for one, other in pairs]
    lowest = min(found)
    return found.index(lowest), lowest


def layer_sensitivity(
    model: nn.Module, scheme: Scheme, images: torch.Tensor, labels: torch.Tensor
) -> pd.DataFrame:
    """Quantize one layer's weights at a time; return what each costs.

    Args:
        model: see quantize_model.
        scheme: of the weights.
        images: shape (N, ...), at least one.
        labels: int64, shape (N,).

    Returns:
        One row a layer, the worst first: layer, parameters (weights only), accuracy
        (0 to 1, of the model with only this layer quantized), sqnr_db (of its weights).

    Raises:
        ValueError: there are no images, or not one label for each.
    """
    layers = quantizable_layers(fold_batch_norm(model))
    rows = []
    for name, layer in layers.items():
        others = [other for other in layers if other != name]
        one = quantize_model(model, scheme, keep_float=others)
        noise = sqnr_db(layer.weight, quantizable_layers(one)[name].weight)
        right = accuracy(one, images, labels)
        rows.append((name, layer.weight.numel(), right, noise))
    table = pd.DataFrame(rows, columns=["layer", "parameters", "accuracy", "sqnr_db"])
    return table.sort_values(["accuracy", "sqnr_db"], ignore_index=True)


def pareto_front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the (bytes, accuracy) points that no other beats, the smallest first.

    A point is beaten by one that is no larger and more accurate, or smaller and no less
    accurate. Of equal points one is kept.
    """
    front: list[tuple[float, float]] = []
    for point in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or point[1] > front[-1][1]:
            front.append(point)
    return front


class _FakeQuantizedInput:
    """A forward pre-hook that rounds a layer's input as an integer engine would."""

    def __init__(self, qparams: QParams):
        self.qparams = qparams

    def __call__(self, layer: nn.Module, inputs: tuple[torch.Tensor]) -> tuple:
        return (round_trip(inputs[0], self.qparams),)


@contextmanager
def _naming(what: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error


def _chosen_layers(model: nn.Module, keep_float: Iterable[str]) -> dict[str, nn.Module]:
    if isinstance(keep_float, str):  # it would be taken for the names of its letters
        raise ValueError(
            f"keep_float is {keep_float!r}; expected a tuple of names: ({keep_float!r},)"
        )
    layers, kept = quantizable_layers(model), set(keep_float)
    if unknown := sorted(kept - set(layers)):
        raise ValueError(
            f"keep_float names {unknown[0]!r}, which is no layer; "
            f"there are {', '.join(layers)}"
        )
    return {name: layer for name, layer in layers.items() if name not in kept}


def _count_scales(weight: torch.Tensor, scheme: Scheme) -> int:
    if scheme.granularity == "tensor":
        return 1
    if scheme.granularity == "channel":
        return len(weight)
    return len(weight) * math.ceil(weight[0].numel() / scheme.group_size)
