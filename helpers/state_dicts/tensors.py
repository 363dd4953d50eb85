"""What a state dict must be: told from a whole checkpoint, and from what is none at all.

Save, Load, Ship 0.2.0: helpers/state_dicts/tensors.py · repairs: CHANGELOG.md
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from helpers.arguments import type_of

StateDict = Mapping[str, Any]


def tensors_of(source: nn.Module | StateDict, argument: str) -> StateDict:
    """Return the state dict that the source has or is, or raise an error that helps.

    Entries that are no tensors are let through where torch puts them: anywhere in a
    module's own state dict (known by its `_metadata`), elsewhere under the names of extra
    state and packed parameters. A checkpoint with its epoch and optimizer has neither.

    Raises:
        TypeError: the source is neither a module nor a dict of tensors by name.
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
        if not _belongs(key, value, source):
            raise TypeError(
                f"{entry} is {type_of(value)}; expected a tensor. {_advice(source)}"
            )
        if not isinstance(key, str):
            raise TypeError(f"{argument} has the key {key!r}; expected names as strings")
        if nn.parameter.is_lazy(value):
            raise ValueError(f"{entry} has no shape yet: run one batch through the model")
    return source


def _belongs(key: object, value: object, source: Mapping) -> bool:
    if isinstance(value, Tensor | torch.ScriptObject) or hasattr(source, "_metadata"):
        return True
    parts = key.split(".") if isinstance(key, str) else []
    return parts[-1:] == ["_extra_state"] or "_packed_params" in parts


def _advice(source: Mapping) -> str:
    """Say which entry of a checkpoint to pass."""

    def fits(value: object) -> bool:
        if not isinstance(value, Mapping) or not value:
            return isinstance(value, nn.Module)
        return all(_belongs(key, entry, value) for key, entry in value.items())

    inside = [f"checkpoint[{key!r}]" for key, value in source.items() if fits(value)]
    if inside:
        return f"This looks like a whole checkpoint: pass {' or '.join(inside)}"
    return "Pass a dict that holds nothing else"
