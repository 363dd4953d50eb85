"""Which layers of a model are quantized: Conv2d and Linear, batch norms folded in.

Save, Load, Ship 0.2.0: helpers/quantization/layers.py · repairs: CHANGELOG.md
"""

import copy
from collections.abc import Iterable

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from helpers.arguments import require_module


def fold_batch_norm(model: nn.Module) -> nn.Module:
    """Return a copy in eval mode with each batch norm folded into its convolution.

    An engine does this before it quantizes: y = a * conv(x) + b is one convolution with
    weights a * w. Only pairs that follow each other in a Sequential are folded; an
    Identity takes the place of the norm. The original is not touched.

    Raises:
        TypeError: the model is not a module.

    >>> fold_batch_norm(nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4)))
    Sequential(
      (0): Conv2d(1, 4, kernel_size=(3, 3), stride=(1, 1))
      (1): Identity()
    )
    """
    require_module(model)
    folded = copy.deepcopy(model).eval()
    for sequence in folded.modules():
        if not isinstance(sequence, nn.Sequential):
            continue
        for i in range(len(sequence) - 1):
            convolution, norm = sequence[i], sequence[i + 1]
            if not isinstance(convolution, nn.Conv2d):
                continue
            # Without running statistics a norm takes each batch's, in eval mode as well.
            if isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None:
                sequence[i] = fuse_conv_bn_eval(convolution, norm)
                sequence[i + 1] = nn.Identity().eval()
    return folded


def quantizable_layers(model: nn.Module) -> dict[str, nn.Conv2d | nn.Linear]:
    """Return the layers whose weights are quantized, by name: Conv2d and Linear.

    >>> list(quantizable_layers(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))))
    ['0', '2']
    """
    modules = model.named_modules()
    return {name: m for name, m in modules if isinstance(m, nn.Conv2d | nn.Linear)}


def select_layers(
    model: nn.Module, keep_float: Iterable[str]
) -> dict[str, nn.Conv2d | nn.Linear]:
    """Return the quantizable layers by name, without those named in `keep_float`.

    Raises:
        ValueError: a name in keep_float is not a layer's.

    >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> list(select_layers(model, keep_float=("2",)))
    ['0']
    """
    if isinstance(keep_float, str):  # it would be taken for the names of its letters
        raise ValueError(
            f"keep_float is {keep_float!r}; expected a tuple of names: ({keep_float!r},)"
        )
    layers, kept = quantizable_layers(model), set(keep_float)
    if unknown := sorted(kept - set(layers)):
        raise ValueError(
            f"keep_float names {unknown[0]!r}, which is not a layer; "
            f"there are {', '.join(layers)}"
        )
    return {name: layer for name, layer in layers.items() if name not in kept}
