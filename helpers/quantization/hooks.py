"""Forward hooks that leave nothing behind in the model.

Save, Load, Ship 0.2.0: helpers/quantization/hooks.py · repairs: CHANGELOG.md
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial

import torch
from torch import nn

ForwardHook = Callable[[str, nn.Module, tuple[torch.Tensor, ...], torch.Tensor], None]


@contextmanager
def forward_hooks(layers: Mapping[str, nn.Module], hook: ForwardHook) -> Iterator[None]:
    """Call a hook each time that one of the layers has run, while the block runs.

    The hooks are removed afterwards, also where the model fails: one that stayed would
    run at every later call, and would be copied with the model.

    Args:
        layers: name -> layer.
        hook: called with the name, the layer, its inputs and its output. It returns
            None: PyTorch takes anything else for the layer's new output.

    >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    >>> def show(name, layer, inputs, output):
    ...     print(name, tuple(inputs[0].shape), "->", tuple(output.shape))
    >>> with forward_hooks(dict(model.named_children()), show):
    ...     outputs = model(torch.ones(5, 4))
    0 (5, 4) -> (5, 3)
    1 (5, 3) -> (5, 3)
    """
    with ExitStack() as hooks:
        for name, layer in layers.items():
            hooks.enter_context(layer.register_forward_hook(partial(hook, name)))
        yield
