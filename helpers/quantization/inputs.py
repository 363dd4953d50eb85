"""A model's inputs in whatever form it takes them: a tensor, several, or by name.

Save, Load, Ship 0.2.0: helpers/quantization/inputs.py · repairs: CHANGELOG.md
"""

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from helpers.arguments import type_of

# One input, a tuple of positional ones, or a mapping of keyword ones.
Inputs = torch.Tensor | Sequence[object] | Mapping[str, object]


def run(model: nn.Module, inputs: Inputs) -> object:
    """Call the model with its inputs: a tensor, a tuple of arguments, or a mapping.

    >>> run(nn.Bilinear(2, 3, 1), (torch.ones(5, 2), torch.ones(5, 3))).shape
    torch.Size([5, 1])
    >>> run(nn.Flatten(), {"input": torch.ones(5, 2, 3)}).shape
    torch.Size([5, 6])
    """
    if isinstance(inputs, Mapping):
        return model(**inputs)
    if isinstance(inputs, torch.Tensor):
        return model(inputs)
    return model(*inputs)


def row_count(inputs: Inputs, name: str = "inputs") -> int:
    """Return how many rows (images, sentences) the inputs hold: their axis 0.

    Errors call them by their name.

    Raises:
        TypeError: there is no tensor with an axis among them.
        ValueError: their tensors do not have equally many rows.

    >>> row_count((torch.ones(5, 2), None, torch.ones(5)))
    5
    """
    lengths = {len(tensor) for tensor in _tensors(inputs) if tensor.dim()}
    if not lengths:
        raise TypeError(
            f"{name} are {type_of(inputs)} without a tensor of rows; expected a tensor "
            "(torch.as_tensor makes one), a tuple of the model's arguments, or a mapping "
            "of their names"
        )
    if len(lengths) > 1:
        raise ValueError(
            f"{name} have {', '.join(map(str, sorted(lengths)))} rows; expected as many in "
            "each tensor (axis 0)"
        )
    return lengths.pop()


def rows(inputs: Inputs, start: int, stop: int) -> Inputs:
    """Return the inputs with rows `start` to `stop` of each tensor; the rest is kept.

    >>> rows({"x": torch.arange(5), "scale": 2.0}, 1, 3)
    {'x': tensor([1, 2]), 'scale': 2.0}
    """
    if isinstance(inputs, torch.Tensor):
        return inputs[start:stop]
    if isinstance(inputs, Mapping):
        return {name: _cut(value, start, stop) for name, value in inputs.items()}
    return tuple(_cut(value, start, stop) for value in inputs)


def split(inputs: Inputs, count: int) -> list[Inputs]:
    """Return the inputs in parts of `count` rows; the last may be shorter.

    >>> [len(part) for part in split(torch.ones(5, 2), 2)]
    [2, 2, 1]
    """
    total = row_count(inputs)
    return [rows(inputs, at, at + count) for at in range(0, total, count)]


def _tensors(inputs: Inputs) -> list[torch.Tensor]:
    if isinstance(inputs, torch.Tensor):
        return [inputs]
    if not isinstance(inputs, Mapping | Sequence):
        return []
    values = inputs.values() if isinstance(inputs, Mapping) else inputs
    return [value for value in values if isinstance(value, torch.Tensor)]


def _cut(value: object, start: int, stop: int) -> object:
    if isinstance(value, torch.Tensor) and value.dim():
        return value[start:stop]
    return value
