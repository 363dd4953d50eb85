"""How tensors get back what they are and the bytes that they hold.

Save, Load, Ship 0.2.0: helpers/state_dicts/tensors_back.py · repairs: CHANGELOG.md
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, UntypedStorage
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from helpers.state_dicts.differences import same_bytes
from helpers.state_dicts.held_memory import memory_of, places_of, swap_memory
from helpers.state_dicts.kinds import is_empty_shell, raw_bytes


def tensor_back(tensor: Tensor) -> Callable[[], None]:
    """Return what gives a tensor, later, its memory, class, attributes and gradient again.

    >>> from torch import nn
    >>> weight = nn.Parameter(torch.ones(2))
    >>> back = tensor_back(weight)
    >>> weight.data = torch.zeros(3)
    >>> back()
    >>> weight.tolist()
    [1.0, 1.0]
    """
    kind, alias, attributes = type(tensor), tensor.data, dict(vars(tensor))
    requires_grad = tensor.requires_grad
    gradient = tensor.grad if tensor.is_leaf else None

    def back() -> None:
        if is_traceable_wrapper_subclass(alias):
            # Assigning to .data does nothing here. The alias must outlive the swap.
            if not _same_memory(tensor, alias):
                torch.utils.swap_tensors(tensor, alias.detach())
        else:
            if type(tensor) is not kind:  # a lazy parameter that got a shape
                tensor.__class__ = kind
            if tensor.is_meta != alias.is_meta:  # .data refuses the other kind of memory
                swap_memory(tensor, alias.detach())
            tensor.data = alias
        vars(tensor).clear()
        vars(tensor).update(attributes)
        if tensor.requires_grad != requires_grad:
            tensor.requires_grad_(requires_grad)
        if tensor.is_leaf and tensor.grad is not gradient:
            tensor.grad = gradient

    return back


def _same_memory(a: Tensor, b: Tensor) -> bool:
    outer = [(type(t), t.shape, t.dtype, t.device) for t in (a, b)]
    return outer[0] == outer[1] and places_of(a) == places_of(b)


def memory_back(
    values: list[tuple[str, Any]],
) -> Iterator[tuple[str, Callable[[], None]]]:
    """Copy the bytes that values hold, each once; yield what puts them back later.

    >>> weight = torch.ones(2)
    >>> [(name, back)] = memory_back([("weight", weight), ("tied", weight.view(2, 1))])
    >>> _ = weight.zero_()
    >>> back()
    >>> weight
    tensor([1., 1.])
    """
    ranges: dict[UntypedStorage, list[tuple[int, int, str]]] = {}
    for name, value in values:
        for tensor in memory_of(value):
            if not is_empty_shell(tensor):
                raw = raw_bytes(tensor)
                start = int(raw.storage_offset())
                place = start, start + len(raw), name
                ranges.setdefault(tensor.untyped_storage(), []).append(place)
    for storage, places in ranges.items():
        merged: list[tuple[int, int, str]] = []
        for start, stop, name in sorted(places):
            if merged and start <= merged[-1][1]:
                first, end, name = merged.pop()
                start, stop = first, max(stop, end)
            merged.append((start, stop, name))
        for start, stop, name in merged:
            raw = torch.empty(0, dtype=torch.uint8, device=storage.device)
            raw.set_(storage, start, (stop - start,), (1,))
            yield name, partial(_write_back, raw, raw.clone(), storage.nbytes())


def _write_back(raw: Tensor, before: Tensor, size: int) -> None:
    if raw.untyped_storage().nbytes() != size:
        raw.untyped_storage().resize_(size)
    if not same_bytes(raw, before):  # what was not written may be read-only memory
        raw.copy_(before)
