"""Fold batch norms into the layers before them, along the flow of the data.

Save, Load, Ship 0.2.0: helpers/quantization/folding.py · repairs: CHANGELOG.md
"""

import copy
import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from helpers.arguments import require_module
from helpers.quantization.layers import (
    CONVOLUTIONS,
    TRANSPOSED,
    is_quantizable,
    quantizable_layers,
    refusal,
    weight_names,
)

_ONE_AT_A_TIME = threading.Lock()
UNSEEN = "its place in the flow of the data could not be found"
_PAIRS = {
    kind: (norm, nn.SyncBatchNorm)
    for kinds in (CONVOLUTIONS, TRANSPOSED)
    for kind, norm in zip(
        kinds, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d), strict=True
    )
} | {nn.Linear: (nn.BatchNorm1d,)}


def fold_batch_norm(model: nn.Module) -> nn.Module:
    """Return a copy in eval mode with each batch norm folded into the layer before it.

    An engine does this before it quantizes: y = a * conv(x) + b is one convolution with
    weights a * w. Who follows whom is found by following the data (torch.fx), however the
    model is written: the layer and the norm run once each, and nothing but the norm reads
    the layer's output. An Identity takes the place of the norm. Where the model cannot be
    followed (its path depends on values), the parts inside it are, one by one. The
    original is not touched. `coverage` says why a norm stays.

    Raises:
        TypeError: the model is not a module.
        ValueError: it cannot be copied.

    Warns:
        UserWarning: there are norms that the data could not be followed to.

    >>> fold_batch_norm(nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4)))
    Sequential(
      (0): Conv2d(1, 4, kernel_size=(3, 3), stride=(1, 1))
      (1): Identity()
    )
    """
    folded, left = fold(model)
    if lost := [name for name, reason in left.items() if reason == UNSEEN]:
        warnings.warn(
            "the data could not be followed to these batch norms, so they were not folded, "
            f"as an engine might do: {', '.join(lost)}",
            stacklevel=2,
        )
    return folded


def fold(model: nn.Module) -> tuple[nn.Module, dict[str, str]]:
    """Return the folded copy, and for each norm that stays the reason, by name.

    >>> fold(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.BatchNorm2d(4)))[1]
    {'2': 'it follows ReLU'}
    """
    require_module(model)
    folded = _copied(model).eval()
    left = {
        name: UNSEEN if _is_norm(module) else "it is not a batch norm of PyTorch's own"
        for name, module in folded.named_modules()
        if "BatchNorm" in type(module).__name__ or isinstance(module, _BatchNorm)
    }
    if UNSEEN not in left.values():
        return folded, left
    names = {module: name for name, module in folded.named_modules()}
    modules = dict(folded.named_modules(remove_duplicate=False))
    # A forward that is traced may store things in the model: so another copy's is.
    nodes = [node for graph in _graphs(_copied(folded), "") for node in graph]
    calls = Counter(modules[target] for target, _ in nodes)
    for target, node in nodes:
        norm = modules[target]
        if left.get(names[norm]) is None or node.op != "call_module":
            continue
        layer, left[names[norm]] = _layer_before(node, target, modules, calls)
        if layer is not None:
            _fuse(layer, norm)
            flat = isinstance(layer, nn.Linear)
            instead = _Rows(names[norm]) if flat else nn.Identity().eval()
            for module in folded.modules():
                places = [key for key, child in module._modules.items() if child is norm]
                module._modules |= dict.fromkeys(places, instead)
    return folded, {name: reason for name, reason in left.items() if reason}


def _copied(model: nn.Module) -> nn.Module:
    """Return a deep copy, in which parameters on one memory are one, as in the model."""
    try:
        copied = copy.deepcopy(model)
    except Exception as error:
        layers = quantizable_layers(model).items()
        found = (refusal(name, m, key) for name, m in layers for key in weight_names(m))
        reason = next(filter(None, found), f"{type(error).__name__}: {error}")
        raise ValueError(f"the model cannot be copied: {reason}") from error
    firsts: dict[tuple, nn.Parameter | None] = {}
    for old, new in zip(model.modules(), copied.modules(), strict=True):
        for name, weight in old._parameters.items():
            if type(weight) is nn.Parameter and not weight.is_meta and weight.numel():
                place = (weight.data_ptr(), weight.shape, weight.stride())
                new._parameters[name] = firsts.setdefault(place, new._parameters[name])
    return copied


def _graphs(module: nn.Module, prefix: str) -> Iterator[list[tuple[str, fx.Node]]]:
    """Yield for each part that can be followed its calls: (module's name, node)."""
    try:
        with _ONE_AT_A_TIME:
            graph = _Tracer().trace(module)
    except Exception:  # whatever a model's own code may raise on a proxy
        for name, child in module.named_children():
            yield from _graphs(child, f"{prefix}{name}.")
        return
    found = []
    for node in graph.nodes:
        if node.op == "call_module":
            found.append((prefix + node.target, node))
        elif node.op == "get_attr":  # someone reads a layer's weight: counted as a run
            found.append((prefix + node.target.rpartition(".")[0], node))
    yield [(name.removesuffix("."), node) for name, node in found]


class _Tracer(fx.Tracer):
    """Follows one thread: torch.fx replaces the call of every module in the process."""

    def __init__(self) -> None:
        super().__init__()
        self.thread = threading.get_ident()

    def call_module(self, m: Any, forward: Any, args: Any, kwargs: Any) -> Any:
        if threading.get_ident() != self.thread:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)


def _layer_before(
    node: fx.Node, target: str, modules: dict[str, nn.Module], calls: Counter
) -> tuple[nn.Module | None, str]:
    """Return the layer to fold a norm into, or None, and the reason why not."""
    norm = modules[target]
    before = node.args[0] if node.args else None
    if calls[norm] != 1:
        return None, "it runs more than once"
    if norm.running_mean is None:
        return None, "it keeps no statistics of its own"
    if _hooked(norm):
        return None, "it has hooks"
    if not isinstance(before, fx.Node) or before.op != "call_module":
        return None, "it does not follow a layer"
    name = target.removesuffix(str(node.target)) + str(before.target)
    layer = modules[name]
    norms = next((pair for kind, pair in _PAIRS.items() if isinstance(layer, kind)), ())
    if not isinstance(norm, norms):
        return None, f"it follows {type(layer).__name__}"
    if calls[layer] != 1:
        return None, f"{name}, before it, runs more than once"
    if len(before.users) != 1:
        return None, f"others read what {name} returns, too"
    if not is_quantizable(layer) or _hooked(layer) or "weight" not in layer._parameters:
        return None, f"{name}, before it, has hooks, a computed weight or its own forward"
    if isinstance(layer, TRANSPOSED) and layer.groups > 1:
        return None, f"{name}, before it, is a transposed convolution in groups"
    return layer, ""


def _is_norm(module: nn.Module) -> bool:
    if not isinstance(module, _BatchNorm) or "forward" in vars(module):
        return False
    return type(module).forward in (_BatchNorm.forward, nn.SyncBatchNorm.forward)


def _hooked(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _fuse(layer: Any, norm: Any) -> None:
    if isinstance(layer, nn.Linear):
        fused = fuse_linear_bn_eval(layer, norm)
    else:
        fused = fuse_conv_bn_eval(layer, norm, transpose=isinstance(layer, TRANSPOSED))
    # New parameters, not new values: the old weight may be another layer's, too.
    layer.weight, layer.bias = fused.weight, fused.bias


class _Rows(nn.Identity):
    """Where a norm was that is folded into a Linear: right for inputs (N, C) alone.

    In (N, C, L) a norm's channels are the second axis and a Linear's the last.
    """

    def __init__(self, name: str):
        super().__init__()
        self.name = name
        self.eval()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the inputs; refuse those that the folding does not hold for."""
        if inputs.dim() != 2:
            raise ValueError(
                f"{self.name} was folded into the Linear before it, which is right for "
                f"inputs of shape (N, C); it got {tuple(inputs.shape)}. Transpose around "
                "the norm in a module of its own, so that they do not follow each other"
            )
        return inputs
