"""Look at state dicts, compare them, rename their keys, load what fits.

A state dict maps names to tensors: a module's parameters and persistent buffers, without
its architecture. No function here changes the state dict it is given.

Every function raises TypeError for anything but a module or a dict of dense tensors (a
whole checkpoint, a path, a quantized tensor), and ValueError for a lazy layer that has no
shape yet. The message names the entry and says what to pass instead.
"""

import contextlib
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor, nn

from helpers.arguments import require_module
from helpers.state_dicts.keys import remap_keys, strip_prefix
from helpers.state_dicts.tensors import (
    NameReport,
    StateDict,
    dtype_of,
    largest_difference,
    tensors_of,
    words,
)

__all__ = [
    "Comparison",
    "LoadReport",
    "compare",
    "load_matching",
    "remap_keys",
    "strip_prefix",
    "summarize",
]


def summarize(model_or_state_dict: nn.Module | StateDict) -> pd.DataFrame:
    """List every tensor: name, kind, shape, dtype, device, elements, bytes.

    `kind` is "parameter" or "buffer" for a module, "tensor" for a dict, which cannot
    tell. `bytes` is elements x bytes per element. Two columns appear only where they say
    something: `storage_bytes`, where a view keeps a larger storage alive, which
    torch.save writes in full; and `shares`, the first tensor in the same storage (tied
    weights, views). `attrs["total_bytes"]` counts every storage once.
    """
    tensors = tensors_of(model_or_state_dict, "model_or_state_dict")
    kinds = dict.fromkeys(tensors, "tensor")
    if isinstance(model_or_state_dict, nn.Module):
        parameters = dict(model_or_state_dict.named_parameters(remove_duplicate=False))
        kinds = {k: "parameter" if k in parameters else "buffer" for k in tensors}
    rows, first_in = [], {}
    for name, tensor in tensors.items():
        storage = tensor.untyped_storage()
        first = first_in.setdefault(storage, name)
        rows.append(
            {
                "name": name,
                "kind": kinds[name],
                "shape": tuple(tensor.shape),
                "dtype": dtype_of(tensor),
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


@dataclass(frozen=True, repr=False)
class Comparison(NameReport):
    """What `compare` found.

    Attributes:
        missing: names in ours and not in theirs.
        unexpected: names in theirs and not in ours.
        mismatched_shape: name -> (our shape, their shape); values are not compared.
        mismatched_dtype: name -> (our dtype, their dtype), as "float32"; values are
            compared as well, after conversion.
        different: name -> largest absolute difference. A NaN or infinity on one side
            only gives inf; 0.0 means equal values in other bits, such as 0.0 and -0.0.
        not_compared: names without values on one side or both (the meta device).
        identical: same names, shapes, dtypes and bits; order and device may differ.
    """

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched_shape: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]
    mismatched_dtype: dict[str, tuple[str, str]]
    different: dict[str, float]
    not_compared: tuple[str, ...]
    identical: bool
    _good = "equal"
    _columns = ("name", "finding", "ours", "theirs", "note")


def compare(ours: nn.Module | StateDict, theirs: nn.Module | StateDict) -> Comparison:
    """Compare names, shapes, dtypes and every bit of every value.

    A NaN equals itself bit for bit, and 0.0 is not -0.0: what was saved and loaded must
    be identical, and one flipped bit must not hide. Differences between integers are taken
    exactly and then rounded to float64, all others in float64.
    """
    ours, theirs = tensors_of(ours, "ours"), tensors_of(theirs, "theirs")
    shapes, dtypes, different, rows = {}, {}, {}, []
    for name in {**ours, **theirs}:
        a, b = ours.get(name), theirs.get(name)
        finding, note = "equal", ""
        if a is None or b is None:
            finding = "unexpected" if a is None else "missing"
        elif a.shape != b.shape:
            finding = "other shape"
            shapes[name] = tuple(a.shape), tuple(b.shape)
        else:
            if a.dtype != b.dtype:
                finding = "other dtype"
                dtypes[name] = dtype_of(a), dtype_of(b)
            if a.is_meta or b.is_meta:
                finding, note = "not compared", "no values on the meta device"
            elif (gap := largest_difference(a, b)) is not None:
                finding = "different" if a.dtype == b.dtype else finding
                different[name] = gap
                note = f"largest difference {gap:.3g}"
        rows.append((name, finding, words(a), words(b), note))

    def found(word: str) -> tuple[str, ...]:
        return tuple(row[0] for row in rows if row[1] == word)

    return Comparison(
        rows=tuple(rows),
        missing=found("missing"),
        unexpected=found("unexpected"),
        mismatched_shape=shapes,
        mismatched_dtype=dtypes,
        different=different,
        not_compared=found("not compared"),
        identical=len(found("equal")) == len(rows),
    )


@dataclass(frozen=True, repr=False)
class LoadReport(NameReport):
    """What `load_matching` did.

    Attributes:
        loaded: names that were copied into the model.
        skipped: name in the file -> why it was not copied.
        not_in_file: names of the model that the file lacks; they keep their values.
        converted: loaded name -> (dtype in the file, dtype in the model).
        tied: name that the file lacks -> the loaded name that is the same tensor.
    """

    loaded: tuple[str, ...]
    skipped: dict[str, str]
    not_in_file: tuple[str, ...]
    converted: dict[str, tuple[str, str]]
    tied: dict[str, str]
    _good = "loaded"
    _columns = ("name", "finding", "note")


def load_matching(model: nn.Module, state_dict: StateDict) -> LoadReport:
    """Copy into the model, in place, every tensor whose name and shape fit.

    Dtypes are converted, as `load_state_dict` does. Tied weights stay tied. An error,
    even Ctrl-C, leaves the model as it was; a copy of what is overwritten is held for
    that. The modules' load hooks and version upgrades do not run: where a library needs
    them, use `model.load_state_dict(..., strict=False)`.
    """
    require_module(model)
    targets, source = tensors_of(model, "model"), tensors_of(state_dict, "state_dict")
    own = {t.untyped_storage() for t in (*model.parameters(), *model.buffers())}
    values, skipped, converted, first_at = {}, {}, {}, {}
    for name, value in source.items():
        if (target := targets.get(name)) is None:
            skipped[name] = "not in the model"
        elif value.shape != target.shape:
            skipped[name] = f"{words(value)} in the file, {words(target)} in the model"
        elif value.is_meta or target.is_meta:
            where = "file" if value.is_meta else "model"
            skipped[name] = f"the tensor in the {where} is on the meta device"
        elif target.untyped_storage() not in own:
            skipped[name] = "the model's state_dict() returns a copy of it"
        else:
            first = first_at.setdefault(_view(target), name)
            if first != name:
                pair = value.to(target.dtype), source[first].to(target.dtype)
                if largest_difference(*pair) is not None:
                    skipped[name] = f"same tensor as {first}, other values in the file"
                    continue
            # A value that is part of the model could be overwritten before its turn.
            values[name] = value.clone() if value.untyped_storage() in own else value
            if value.dtype != target.dtype:
                converted[name] = dtype_of(value), dtype_of(target)
    _copy_or_undo(targets, values)

    absent = [name for name in targets if name not in source]
    tied = {n: first for n in absent if (first := first_at.get(_view(targets[n])))}
    kept = tuple(name for name in absent if name not in tied)
    rows = [(name, "loaded", " to ".join(converted.get(name, ()))) for name in values]
    rows += [(name, "tied", f"same tensor as {first}") for name, first in tied.items()]
    rows += [(name, "skipped", why) for name, why in skipped.items()]
    rows += [(name, "not in file", "keeps its values") for name in kept]
    return LoadReport(
        rows=tuple(rows),
        loaded=tuple(values),
        skipped=skipped,
        not_in_file=kept,
        converted=converted,
        tied=tied,
    )


def _view(tensor: Tensor) -> tuple:
    """Equal for two tensors that are the same elements of the same memory."""
    storage = tensor.untyped_storage()
    return storage, tensor.storage_offset(), tensor.shape, tensor.stride()


def _copy_or_undo(targets: StateDict, values: StateDict) -> None:
    before, name = {}, "the start"
    try:
        with torch.no_grad():
            for name, value in values.items():
                # Kept before the copy: Ctrl-C is noticed right after it.
                before[name] = targets[name].clone()
                targets[name].copy_(value)
    except BaseException as error:
        with torch.no_grad():
            for done, old in reversed(before.items()):
                # A tensor that refuses to be written has not changed either.
                with contextlib.suppress(RuntimeError):
                    targets[done].copy_(old)
        error.add_note(f"load_matching stopped at {name}; the model is as it was")
        raise
