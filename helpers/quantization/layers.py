"""Which weights of a model are quantized: those of PyTorch's own layers, each once.

Save, Load, Ship 0.2.0: helpers/quantization/layers.py · repairs: CHANGELOG.md
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize

from helpers.arguments import require_module
from helpers.quantization.schemes import Scheme, require_scheme

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
KINDS = (nn.Linear, *CONVOLUTIONS, *TRANSPOSED, nn.Embedding, nn.MultiheadAttention)


def quantizable_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Return the layers whose weights are quantized, by name.

    These are PyTorch's own Linear, Conv1d to 3d, ConvTranspose1d to 3d, Embedding and
    MultiheadAttention (the weight of its inputs; its output is a Linear of its own). A
    subclass with a `forward` of its own is not among them: what it does with its weight
    cannot be known. `coverage` lists the others, too.

    >>> list(quantizable_layers(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))))
    ['0', '2']
    """
    require_module(model)
    return {name: layer for name, layer in model.named_modules() if is_quantizable(layer)}


def is_quantizable(layer: nn.Module) -> bool:
    """Say whether a layer computes as one of the kinds that are quantized.

    >>> is_quantizable(nn.Linear(2, 2)), is_quantizable(nn.LSTM(2, 2))
    (True, False)
    """
    return "forward" not in vars(layer) and any(
        isinstance(layer, kind) and type(layer).forward is kind.forward for kind in KINDS
    )


@dataclass(frozen=True)
class LayerWeight:
    """One weight that is quantized, and the layers that use it.

    Attributes:
        layers: the names of these layers; more than one where the weight is tied.
        layer: the first of them.
        attribute: how it calls the weight, such as "weight" or "in_proj_weight".

    >>> (weight,) = layer_weights(nn.Sequential(nn.ConvTranspose1d(4, 6, 3)))
    >>> weight.name, weight.to_channels(weight.parameter).shape
    ('0.weight', torch.Size([6, 4, 3]))
    """

    layers: tuple[str, ...]
    layer: nn.Module
    attribute: str

    @property
    def name(self) -> str:
        """The parameter's name in the model, such as "0.weight"."""
        return ".".join(filter(None, (self.layers[0], self.attribute)))

    @property
    def parameter(self) -> nn.Parameter:
        """The weight itself."""
        return getattr(self.layer, self.attribute)

    def to_channels(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the weight with its output channels along axis 0.

        They are there already but in a transposed convolution, whose weight has shape
        (in, out / groups, ...): it becomes (out, in / groups, ...).
        """
        if not isinstance(self.layer, TRANSPOSED):
            return weight
        groups = self.layer.groups
        return weight.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)

    # The swap is its own inverse: (groups, out / groups, in / groups) and back.
    from_channels = to_channels


def layer_weights(
    model: nn.Module, keep_float: Iterable[str] = (), only: Iterable[str] | None = None
) -> list[LayerWeight]:
    """Return the weights to quantize, a tied one once, without those in `keep_float`.

    A weight that several layers share stays in float where one of them is named. With
    `only`, other layers are left alone.

    Raises:
        ValueError: a name is not a layer's; a weight cannot be replaced by
            rounded values: it is computed at each run, has no values yet, or is no plain
            float tensor. The message says what to do.

    >>> model = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 9, bias=False))
    >>> model[1].weight = model[0].weight
    >>> [weight.layers for weight in layer_weights(model)], layer_weights(model, ("1",))
    ([('0', '1')], [])
    """
    kept, layers = kept_layers(model, keep_float), quantizable_layers(model)
    named = {*layers} if only is None else kept_layers(model, only, "weights")
    found: dict[tuple, LayerWeight] = {}
    for name, layer in layers.items():
        for attribute in weight_names(layer):
            if name in named - kept and (reason := refusal(name, layer, attribute)):
                raise ValueError(reason)
            weight = layer._parameters.get(attribute)
            if weight is None or nn.parameter.is_lazy(weight):
                continue  # of a layer that is left alone
            key: tuple = (id(weight),)
            if not refusal(name, layer, attribute) and weight.numel():
                key = (weight.data_ptr(), weight.shape, weight.stride())
            known = found.setdefault(key, LayerWeight((), layer, attribute))
            if isinstance(layer, TRANSPOSED) != isinstance(known.layer, TRANSPOSED):
                raise ValueError(
                    f"{known.layers[0]} and {name} share one weight, whose output channels "
                    "lie along another axis in each; give one of them a clone of it"
                )
            names = (*known.layers, name)
            found[key] = LayerWeight(names, known.layer, known.attribute)
    users = ((weight, set(weight.layers)) for weight in found.values())
    return [weight for weight, names in users if names & named and not names & kept]


def weight_schemes(
    model: nn.Module, weights: Scheme | Mapping[str, Scheme], keep_float: Iterable[str] = ()
) -> list[tuple[LayerWeight, Scheme]]:
    """Return `layer_weights` with the scheme of each; weights: see `quantize_model`.

    Raises:
        TypeError: what should be a scheme is none.
        ValueError: see `layer_weights`; or layers that share a weight have two schemes.

    >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> [(each.name, own.bits) for each, own in weight_schemes(model, {"2": Scheme(4)})]
    [('2.weight', 4)]
    """
    if not isinstance(weights, Mapping):
        require_scheme(weights)
        return [(each, weights) for each in layer_weights(model, keep_float)]
    found = []
    for scheme in weights.values():
        require_scheme(scheme)
    for each in layer_weights(model, keep_float, weights):
        named = [name for name in each.layers if name in weights]
        if len({weights[name] for name in named}) > 1:
            names = " and ".join(named)
            raise ValueError(f"{names} share one weight; give them the same scheme")
        found.append((each, weights[named[0]]))
    return found


def weight_names(layer: nn.Module) -> tuple[str, ...]:
    """Return how a quantizable layer calls its weights.

    >>> weight_names(nn.Linear(2, 2)), weight_names(nn.MultiheadAttention(4, 2))
    (('weight',), ('in_proj_weight',))
    """
    if not isinstance(layer, nn.MultiheadAttention):
        return ("weight",)
    if layer.in_proj_weight is not None:
        return ("in_proj_weight",)
    return ("q_proj_weight", "k_proj_weight", "v_proj_weight")


def refusal(name: str, layer: nn.Module, attribute: str) -> str:
    """Say why a weight cannot be quantized, and what to do; "" where it can.

    >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))
    >>> refusal("0", layer, "weight").partition(",")[0]
    '0 computes its weight at each run'
    """
    if attribute not in layer._parameters:
        return (
            f"{name} computes its {attribute} at each run, so values written to it would "
            f"be lost; {_cure(name, layer, attribute)} first"
        )
    weight: Any = layer._parameters[attribute]
    if nn.parameter.is_lazy(weight):
        return f"{name} is lazy and has no {attribute} yet; run the model once first"
    if weight.is_meta:
        return f"{name}.{attribute} is on the meta device, without values; load them first"
    if type(weight) not in (nn.Parameter, torch.Tensor) or not weight.is_floating_point():
        held = f"{type(weight).__name__} of {str(weight.dtype).removeprefix('torch.')}"
        return (
            f"{name}.{attribute} is a {held}, not a plain float tensor; quantize the model "
            f"that it was made from, or name {name!r} in keep_float"
        )
    if isinstance(layer, nn.Embedding) and layer.max_norm is not None:
        return (
            f"{name} rewrites its rows at each run (max_norm); run the model over all of "
            "them, and set max_norm to None first"
        )
    return ""


def _cure(name: str, layer: nn.Module, attribute: str) -> str:
    tools, quoted = "torch.nn.utils", f"(model.get_submodule({name!r}), {attribute!r})"
    if parametrize.is_parametrized(layer, attribute):
        return f"call {tools}.parametrize.remove_parametrizations{quoted}"
    if f"{attribute}_mask" in layer._buffers:
        return f"call {tools}.prune.remove{quoted}"
    if f"{attribute}_g" in layer._parameters:
        return f"call {tools}.remove_weight_norm{quoted}"
    if f"{attribute}_orig" in layer._parameters:
        return f"call {tools}.remove_spectral_norm{quoted}"
    return f"make {attribute} a Parameter of the layer"


def kept_layers(
    model: nn.Module, keep_float: Iterable[str], argument: str = "keep_float"
) -> set[str]:
    """Return the names of the layers to keep in float (or of `argument`), as a set.

    Raises:
        ValueError: one of them is not a layer's.

    >>> kept_layers(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), ["0"])
    {'0'}
    """
    if isinstance(keep_float, str):  # it would be taken for the names of its letters
        raise ValueError(
            f"keep_float is {keep_float!r}; expected a tuple of names: ({keep_float!r},)"
        )
    kept = set(keep_float)
    layers = quantizable_layers(model) if kept else {}
    if unknown := sorted(kept - set(layers)):
        raise ValueError(
            f"{argument} names {unknown[0]!r}, which is not a layer; "
            f"there are {', '.join(layers)}"
        )
    return kept
