"""Look at what goes through a model's layers, and leave nothing behind in the model."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial

import torch
from torch import nn

Look = Callable[[str, nn.Module, tuple[torch.Tensor, ...], torch.Tensor], None]


@contextmanager
def watching(layers: Mapping[str, nn.Module], look: Look) -> Iterator[None]:
    """Call `look` each time that one of the layers has run, while the block runs.

    The hooks are removed afterwards, also where the model fails: one that stayed would
    run at every later call, and would be copied with the model.

    Args:
        layers: name -> layer.
        look: called with the name, the layer, its inputs and its output. It returns
            None: PyTorch takes anything else for the layer's new output.
    """
    with ExitStack() as hooks:
        for name, layer in layers.items():
            hooks.enter_context(layer.register_forward_hook(partial(look, name)))
        yield
