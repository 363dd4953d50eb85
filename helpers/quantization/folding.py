"""Fold batch norms into the layers before them, along the flow of the data.

Save, Load, Ship 0.2.0: helpers/quantization/folding.py · repairs: CHANGELOG.md
"""

import copy
import operator
import warnings
from collections import Counter
from functools import reduce
from itertools import chain
from typing import Any

import torch
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from helpers.arguments import require_module
from helpers.quantization.data_flow import followed
from helpers.quantization.layers import (
    CONVOLUTIONS,
    TRANSPOSED,
    is_quantizable,
    refusal,
    weight_names,
)

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
    followed (its path depends on values), the parts inside it are, one by one: code
    that then calls a part's layer without its norm gets the folded layer's output, as
    methods other than `forward` do. The original is not touched. `coverage` says why a
    norm stays.

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
    parts = [*followed(_copied(folded), lambda m: is_quantizable(m) or _is_norm(m))]
    runs = [[{modules[name] for name, _ in path} for path in part] for part in parts]
    calls: Counter[nn.Module] = Counter()
    for part in parts:
        counts = [Counter(modules[name] for name, _ in path) for path in part]
        calls += reduce(operator.or_, counts)
    for part, paths in zip(parts, runs, strict=True):
        verdicts: dict[nn.Module, set] = {}
        for target, node in chain(*part):
            norm = modules[target]
            if left.get(names[norm]) is not None and node.op == "call_module":
                found = _layer_before(node, target, modules, calls)
                verdicts.setdefault(norm, set()).add(found)
        for norm, several in verdicts.items():
            layer, reason = max(several, key=lambda each: each[1])
            if len(several) > 1 or any((layer in path) != (norm in path) for path in paths):
                reason = reason or "it follows its layer with some arguments only"
            left[names[norm]] = reason
            if not reason:
                _replace(folded, layer, norm, names[norm])
    return folded, {name: reason for name, reason in left.items() if reason}


def _copied(model: nn.Module) -> nn.Module:
    """Return a deep copy, in which parameters on one memory are one, as in the model."""
    try:
        copied = copy.deepcopy(model)
    except Exception as error:
        found = (_cure(name, module) for name, module in model.named_modules())
        reason = next(filter(None, found), f"{type(error).__name__}: {error}")
        raise ValueError(f"the model cannot be copied: {reason}") from error
    firsts: dict[int, tuple[str, nn.Parameter]] = {}
    pairs = zip(model.named_modules(), copied.modules(), strict=True)
    for (path, old), new in pairs:
        if (forward := vars(old).get("forward")) and forward is vars(new).get("forward"):
            raise ValueError(
                f"{path or 'the model'} has a forward of its own, set from outside (as "
                "torch.compile does), with which a copy would run the original; delete it "
                "first: del module.forward"
            )
        for key, weight in old._parameters.items():
            if type(weight) is nn.Parameter and not weight.is_meta and weight.data_ptr():
                name = ".".join(filter(None, (path, key)))
                first, same = firsts.setdefault(weight.data_ptr(), (name, weight))
                if same.shape != weight.shape or same.stride() != weight.stride():
                    raise ValueError(
                        f"{first} and {name} are one memory in two shapes, which a copy "
                        f"would hold twice; let {name} be a clone of its own"
                    )
                new._parameters[key] = copied.get_parameter(first)
    return copied


def _cure(name: str, module: nn.Module) -> str:
    """Say how a module is made one that can be copied; "" where it is not known."""
    keys = weight_names(module) if is_quantizable(module) else ()
    if reason := next(filter(None, (refusal(name, module, key) for key in keys)), ""):
        return reason
    for mask in module._buffers:
        if (key := mask.removesuffix("_mask")) + "_orig" in module._parameters:
            call = f"torch.nn.utils.prune.remove(model.get_submodule({name!r}), {key!r})"
            return f"{name} computes its {key} at each run; call {call} first"
    return ""


def _layer_before(
    node: fx.Node, target: str, modules: dict[str, nn.Module], calls: Counter
) -> tuple[nn.Module | None, str]:
    """Return the layer to fold a norm into, or None, and the reason why not."""
    norm = modules[target]
    before = node.args[0] if node.args else None
    prefix = target.removesuffix(str(node.target))
    while isinstance(before, fx.Node) and _does_nothing(before, prefix, modules):
        before = before.args[0]
    if calls[norm] != 1:
        return None, "it runs more than once"
    if norm.running_mean is None:
        return None, "it keeps no statistics of its own"
    if _hooked(norm):
        return None, "it has hooks"
    if not isinstance(before, fx.Node) or before.op != "call_module":
        return None, "it does not follow a layer"
    name = prefix + str(before.target)
    layer = modules[name]
    norms = next((pair for kind, pair in _PAIRS.items() if isinstance(layer, kind)), ())
    if not isinstance(norm, norms):
        return None, f"it follows {type(layer).__name__}"
    if calls[layer] != 1:
        return None, f"{name}, before it, runs more than once"
    if len(before.users) != 1:
        return None, f"others read what {name} returns, too"
    if (
        not is_quantizable(layer)
        or _hooked(layer)
        or not {"weight", "bias"} <= {*layer._parameters}
    ):
        return None, f"{name}, before it, has hooks, a computed weight or its own forward"
    if isinstance(layer, nn.Linear) and layer.out_features != norm.num_features:
        return None, f"it normalizes another axis than the last of {name}, before it"
    if isinstance(layer, TRANSPOSED) and layer.groups > 1:
        return None, f"{name}, before it, is a transposed convolution in groups"
    return layer, ""


def _does_nothing(node: fx.Node, prefix: str, modules: dict[str, nn.Module]) -> bool:
    """Say whether a node is an Identity or a Dropout in eval mode, read by one other."""
    if node.op != "call_module" or len(node.users) != 1:
        return False
    layer = modules[prefix + str(node.target)]
    return type(layer) in (nn.Identity, nn.Dropout, nn.Dropout2d) and not _hooked(layer)


def _is_norm(module: nn.Module) -> bool:
    if not isinstance(module, _BatchNorm) or "forward" in vars(module):
        return False
    return type(module).forward in (_BatchNorm.forward, nn.SyncBatchNorm.forward)


def _hooked(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _replace(model: nn.Module, layer: Any, norm: Any, name: str) -> None:
    """Fuse a norm into the layer before it, and put something in its place."""
    instead = _Rows(name) if isinstance(layer, nn.Linear) else nn.Identity().eval()
    for module in model.modules():
        places = [key for key, child in module._modules.items() if child is norm]
        module._modules.update(dict.fromkeys(places, instead))
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
                f"inputs of shape (N, C); it got {tuple(inputs.shape)}. Give the norm's "
                "class a forward of its own, which calls the old one: it is not folded then"
            )
        return inputs
