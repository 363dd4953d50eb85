"""Which memory values hold.

Save, Load, Ship 0.2.0: helpers/state_dicts/held_memory.py · repairs: CHANGELOG.md
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, UntypedStorage

from helpers.state_dicts.kinds import contents, has_memory


def memory_of(value: Any) -> Iterator[Tensor]:
    """Yield the tensors, each with memory of its own, that hold what the value holds.

    >>> [t.numel() for t in memory_of([torch.ones(3), torch.eye(2).to_sparse()])]
    [3, 4, 2]
    """
    return filter(has_memory, contents(value))


def storages_of(value: Any) -> dict[UntypedStorage, None]:
    """Return every storage that the value keeps alive, once, in order.

    >>> [storage.nbytes() for storage in storages_of(torch.ones(2).expand(3, 2))]
    [8]
    """
    return dict.fromkeys(t.untyped_storage() for t in memory_of(value))


def places_of(value: Any) -> tuple:
    """Return what is equal for two tensors that are the same elements of the same memory.

    >>> weight = torch.ones(2)
    >>> places_of(weight) == places_of(weight.detach()), places_of(weight[:1]) == ()
    (True, False)
    """
    return tuple(
        (t.untyped_storage(), t.storage_offset(), t.shape, t.stride())
        for t in memory_of(value)
    )


def swap_memory(a: Tensor, b: Tensor) -> None:
    """Exchange memory, device and all else of two tensors, but who is who in Python.

    As `torch.utils.swap_tensors`, which refuses where something refers weakly to one of
    the two, as an LSTM does to its weights; but class and attributes stay where they are.

    >>> shell = torch.nn.Parameter(torch.empty(2, device="meta"))
    >>> swap_memory(shell, torch.ones(2, requires_grad=True))
    >>> shell
    Parameter containing:
    tensor([1., 1.], requires_grad=True)
    """
    torch._C._swap_tensor_impl(a, b)
