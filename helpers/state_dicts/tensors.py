"""What a state dict must be, and its tensors in words.

Save, Load, Ship 0.2.0: helpers/state_dicts/tensors.py · repairs: CHANGELOG.md
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from helpers.arguments import type_of

StateDict = Mapping[str, Tensor]


def tensors_of(source: nn.Module | StateDict, argument: str) -> StateDict:
    """Return the state dict that the source has or is, or raise an error that helps.

    Raises:
        TypeError: the source is neither a module nor a dict of dense tensors by name.
        ValueError: a lazy layer has no shape yet.

    >>> list(tensors_of(nn.Linear(2, 1), "model"))
    ['weight', 'bias']
    >>> tensors_of({0: torch.ones(1)}, "source")
    Traceback (most recent call last):
    TypeError: source has the key 0; expected names as strings
    """
    if isinstance(source, nn.Module):
        source = source.state_dict()
    if not isinstance(source, Mapping):
        raise TypeError(
            f"{argument} is {type_of(source)}; expected a module or a state dict. "
            "Read a file first: torch.load(path, weights_only=True)"
        )
    for key, value in source.items():
        entry = f"{argument}[{key!r}]"
        if not isinstance(value, Tensor):
            raise TypeError(
                f"{entry} is {type_of(value)}; expected a tensor. {_advice(source)}"
            )
        if not isinstance(key, str):
            raise TypeError(f"{argument} has the key {key!r}; expected names as strings")
        if value.layout is not torch.strided or value.is_quantized:
            raise TypeError(
                f"{entry} is sparse or quantized; expected dense tensors. "
                "Convert it first: .to_dense() or .dequantize()"
            )
        if nn.parameter.is_lazy(value):
            raise ValueError(f"{entry} has no shape yet: run one batch through the model")
    return source


def _advice(source: Mapping) -> str:
    """Say which entry of a checkpoint to pass."""

    def fits(value: object) -> bool:
        inner = value.values() if isinstance(value, Mapping) and value else [None]
        return isinstance(value, nn.Module) or all(isinstance(v, Tensor) for v in inner)

    inside = [f"checkpoint[{key!r}]" for key, value in source.items() if fits(value)]
    if inside:
        return f"This looks like a whole checkpoint: pass {' or '.join(inside)}"
    return "Pass a dict that holds nothing else"


def dtype_name(tensor: Tensor) -> str:
    """Return the dtype's short name.

    >>> dtype_name(torch.zeros(2))
    'float32'
    """
    return str(tensor.dtype).removeprefix("torch.")


def describe_tensor(tensor: Tensor | None) -> str:
    """Return dtype and shape as text; "" for None.

    >>> describe_tensor(torch.zeros(2, 3))
    'float32 (2, 3)'
    """
    return "" if tensor is None else f"{dtype_name(tensor)} {tuple(tensor.shape)}"
