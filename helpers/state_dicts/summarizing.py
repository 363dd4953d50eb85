"""What is in a state dict: one row per entry.

Save, Load, Ship 0.2.0: helpers/state_dicts/summarizing.py · repairs: CHANGELOG.md
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor, UntypedStorage, nn

from helpers.state_dicts.held_memory import memory_of, storages_of
from helpers.state_dicts.kinds import (
    contents,
    dtype_name,
    is_empty_shell,
    is_freed,
    kind_of,
    pieces,
    raw_bytes,
    shape_of,
)
from helpers.state_dicts.tensors import StateDict, tensors_of

if TYPE_CHECKING:
    import pandas as pd


def summarize(model_or_state_dict: nn.Module | StateDict) -> pd.DataFrame:
    """List every entry: name, kind, shape, dtype, device, elements, bytes.

    `kind` is "parameter" or "buffer" for a module, "tensor" for a dict, which cannot
    tell, and "object" for what is no tensor: its dtype is its type. `bytes` is what the
    entry holds: elements x bytes per element, the indices of a sparse tensor as well, the
    inner tensors of a subclass, one row of what `expand` repeats, and nothing of what has
    a shape and no values, on the meta device or made by FakeTensorMode. Two columns appear
    only where they say something: `storage_bytes`, where a view keeps a larger storage
    alive, which torch.save writes in full; and `shares`, the first tensor in the same
    storage (tied weights, views). `attrs["total_bytes"]` counts every storage once.

    >>> table = summarize(nn.Linear(3, 2))
    >>> print(table[["name", "kind", "shape", "bytes"]].to_string(index=False))
      name      kind  shape  bytes
    weight parameter (2, 3)     24
      bias parameter   (2,)      8
    >>> table.attrs["total_bytes"]
    32
    """
    import pandas as pd  # here, so that loading a checkpoint does without

    tensors = tensors_of(model_or_state_dict, "model_or_state_dict")
    kinds = dict.fromkeys(tensors, "tensor")
    if isinstance(model_or_state_dict, nn.Module):
        parameters = dict(model_or_state_dict.named_parameters(remove_duplicate=False))
        kinds = {k: "parameter" if k in parameters else "buffer" for k in tensors}
    rows: list[dict[str, Any]] = []
    first_in: dict[UntypedStorage, str] = {}
    for name, value in tensors.items():
        firsts = [first_in.setdefault(storage, name) for storage in storages_of(value)]
        is_tensor = isinstance(value, Tensor)
        rows.append(
            {
                "name": name,
                "kind": kinds[name] if is_tensor else "object",
                "shape": shape_of(value) if is_tensor else "",
                "dtype": dtype_name(value),
                "device": _device_of(value) if is_tensor else "",
                "elements": value.numel() if is_tensor else 0,
                "bytes": _bytes_of(value),
                "storage_bytes": _bytes_held([value]),
                "shares": next((first for first in firsts if first != name), ""),
            }
        )
    columns = ["name", "kind", "shape", "dtype", "device", "elements", "bytes"]
    if any(row["storage_bytes"] > row["bytes"] for row in rows):
        columns.append("storage_bytes")
    if any(row["shares"] for row in rows):
        columns.append("shares")
    table = pd.DataFrame(rows, columns=columns)
    table.attrs["total_bytes"] = _bytes_held([*tensors.values()])
    return table


def _device_of(tensor: Tensor) -> str:
    are_freed = any(map(is_freed, memory_of(tensor)))
    return f"{tensor.device}, freed" if are_freed else str(tensor.device)


def _bytes_of(value: Any) -> int:
    """Return the bytes of the value itself, without the rest of a storage that it views."""
    own = 0
    for tensor in memory_of(value):
        if is_empty_shell(tensor):
            continue
        size = tensor.element_size()
        steps = [step * size for step in tensor.stride()]
        own += min(_bytes_once(tensor.shape, steps, size), len(raw_bytes(tensor)))
    return own + sum(map(_beside_storages, contents(value)))


def _bytes_once(shape: Sequence[int], steps: Sequence[int], size: int) -> int:
    """Return the bytes of elements that stand `steps` bytes apart, repeated ones once."""
    if 0 in shape:
        return 0
    different = math.prod(n for n, step in zip(shape, steps, strict=True) if step)
    reach = sum((n - 1) * abs(step) for n, step in zip(shape, steps, strict=True))
    return min(different * size, reach + size)  # windows overlap


def _bytes_held(values: list[Any]) -> int:
    """Return the bytes that all values hold together, a storage that is shared once."""
    storages = storages_of(values)
    stored = sum(s.nbytes() for s in storages if s.device.type != "meta")
    return stored + sum(map(_beside_storages, contents(values)))


def _beside_storages(value: Any) -> int:
    """Return the bytes of what has none in a storage, without those of its contents."""
    if isinstance(value, str):
        return len(value.encode(errors="surrogatepass"))
    if isinstance(value, Tensor):
        if not kind_of(value) or is_empty_shell(value) or pieces(value) is not None:
            return 0
        return value.numel() * value.element_size()  # shows nothing of what it is made of
    if isinstance(value, bytes | bytearray):
        return len(value)
    if isinstance(value, np.ndarray):
        has_objects = value.dtype.hasobject  # they are among the contents
        steps = value.strides
        return 0 if has_objects else _bytes_once(value.shape, steps, value.itemsize)
    if isinstance(value, array):
        return len(value) * value.itemsize
    return value.nbytes if isinstance(value, memoryview | np.generic) else 0
