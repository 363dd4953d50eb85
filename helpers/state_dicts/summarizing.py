"""What is in a state dict: one row per tensor.

Save, Load, Ship 0.2.0: helpers/state_dicts/summarizing.py · repairs: CHANGELOG.md
"""

from typing import Any

import pandas as pd
from torch import UntypedStorage, nn

from helpers.state_dicts.tensors import StateDict, dtype_name, tensors_of


def summarize(model_or_state_dict: nn.Module | StateDict) -> pd.DataFrame:
    """List every tensor: name, kind, shape, dtype, device, elements, bytes.

    `kind` is "parameter" or "buffer" for a module, "tensor" for a dict, which cannot
    tell. `bytes` is elements x bytes per element. Two columns appear only where they say
    something: `storage_bytes`, where a view keeps a larger storage alive, which
    torch.save writes in full; and `shares`, the first tensor in the same storage (tied
    weights, views). `attrs["total_bytes"]` counts every storage once.

    >>> table = summarize(nn.Linear(3, 2))
    >>> print(table[["name", "kind", "shape", "bytes"]].to_string(index=False))
      name      kind  shape  bytes
    weight parameter (2, 3)     24
      bias parameter   (2,)      8
    >>> table.attrs["total_bytes"]
    32
    """
    tensors = tensors_of(model_or_state_dict, "model_or_state_dict")
    kinds = dict.fromkeys(tensors, "tensor")
    if isinstance(model_or_state_dict, nn.Module):
        parameters = dict(model_or_state_dict.named_parameters(remove_duplicate=False))
        kinds = {k: "parameter" if k in parameters else "buffer" for k in tensors}
    rows: list[dict[str, Any]] = []
    first_in: dict[UntypedStorage, str] = {}
    for name, tensor in tensors.items():
        storage = tensor.untyped_storage()
        first = first_in.setdefault(storage, name)
        rows.append(
            {
                "name": name,
                "kind": kinds[name],
                "shape": tuple(tensor.shape),
                "dtype": dtype_name(tensor),
                "device": str(tensor.device),
                "elements": tensor.numel(),
                "bytes": tensor.numel() * tensor.element_size(),
                "storage_bytes": storage.nbytes(),
                "shares": "" if first == name else first,
            }
        )
    columns = ["name", "kind", "shape", "dtype", "device", "elements", "bytes"]
    if any(row["storage_bytes"] > row["bytes"] for row in rows):
        columns.append("storage_bytes")
    if any(row["shares"] for row in rows):
        columns.append("shares")
    table = pd.DataFrame(rows, columns=columns)
    table.attrs["total_bytes"] = sum(storage.nbytes() for storage in first_in)
    return table
