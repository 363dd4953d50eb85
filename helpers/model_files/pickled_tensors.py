"""Find the tensors and the other values in what a pickle makes.

Save, Load, Ship 0.2.0: helpers/model_files/pickled_tensors.py · repairs: CHANGELOG.md
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from helpers.model_files.budgets import TOO_MUCH
from helpers.model_files.following import follow
from helpers.model_files.judging import LONGEST_NAME, NUMPY_KINDS, add_entry, bytes_of
from helpers.model_files.pickle_instructions import Made
from helpers.model_files.pickled_containers import inside, is_array
from helpers.model_files.verdicts import UNKNOWN, Findings, TensorEntry

_MOST_VALUES, _MOST_DEEP, _MOST_WRONG = 60, 300, 10
_HIDDEN = ("_parameters", "_buffers", "_modules")
_END, _AGAIN = object(), "the same object as another"
_LITTLE = 1000  # bytes that nobody misses
_TEXT, _MOST_DIMENSIONS = 60, 1000  # characters of a value
# What torch calls its storages by, where it is not the dtype.
_WORDS = """Double float64, Float float32, Half float16, Long int64, Int int32, Short int16,
    Char int8, Byte uint8, ComplexDouble complex128, ComplexFloat complex64,
    Untyped uint8"""
_DTYPES = dict(map(str.split, _WORDS.split(",")))
_LOADS = "torch.storage._load_from_bytes"
# Their only content is the first argument.
_WRAPPERS = {
    *("torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer"),
    *("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state"),
    "torch._utils._rebuild_device_tensor_from_cpu_tensor",
    "torch._utils._rebuild_device_tensor_from_numpy",
    "torch._utils._rebuild_nested_tensor",
}
_DENSE = {f"torch._utils._rebuild_{x}tensor" for x in ("", "q")}
_DENSE |= {f"torch._utils._rebuild_tensor_v{version}" for version in (2, 3)}


def read_content(value: Any, findings: Findings) -> tuple[dict[str, int], list[str]]:
    """Add the tensors that are in nested containers, and the outermost other values.

    Raises:
        HostileError: there are more tensors than any model has.

    Returns:
        Key of each storage -> the bytes that it claims; what cannot be true, as sentences.

    >>> from pathlib import Path
    >>> inner = Made("dict", (), items=["epoch", 3])
    >>> found = Findings(Path("a.pt"))
    >>> read_content(Made("dict", (), items=["run", inner]), found)
    ({}, [])
    >>> found.values
    {'run.epoch': '3'}
    """
    storages, wrong = dict[str, int](), list[str]()
    arrays = 0  # bytes
    seen, values = set(), findings.values
    todo: list[tuple[str, Iterator[tuple[Any, Any]]]] = [("", iter([(None, value)]))]
    while todo:
        around, rest = todo[-1]
        key, value = next(rest, (None, _END))
        if value is _END:
            todo.pop()
            continue
        name = around
        if len(todo) > 1 and key not in _HIDDEN:
            step = key if type(key) is str and len(key) < _TEXT else _short(key, "")
            # Deep inside, long names would fill the memory.
            name = f"{around}.{step}"[: LONGEST_NAME + 1] if around else step
        if isinstance(value, Made):
            try:
                entry = _read_tensor(name, value, storages)
            except (ValueError, TypeError, LookupError, AttributeError) as error:
                lie = f"{name!r} describes no tensor: {error}"
                wrong += [lie] * (len(wrong) < _MOST_WRONG)
                continue
            if entry is not None:
                add_entry(findings, entry)
                if entry.storage is None and is_array(value):
                    arrays += entry.bytes
                continue
        is_again = id(value) in seen  # perhaps thousands of times
        inner = None if is_again else inside(value)
        if inner is not None or _is_large(value):
            seen.add(id(value))
        if inner is None:
            if value is not None and len(todo) <= 4 and len(values) < _MOST_VALUES:
                values[name] = _AGAIN if is_again else _short(value)
        elif len(todo) > _MOST_DEEP:
            findings.structure = UNKNOWN
            findings.structure_why = f"it is nested more than {_MOST_DEEP} deep, {TOO_MUCH}"
        else:
            todo.append((name, inner))
    findings.held = sum(storages.values()) + arrays
    note_large_storages(findings, storages)
    return storages, wrong


def note_large_storages(findings: Findings, storages: dict[str, int]) -> None:
    """Name views that keep much more memory in the file than they show.

    >>> from pathlib import Path
    >>> view = TensorEntry("a", (3,), "float32", 12, storage="0")
    >>> note_large_storages(found := Findings(Path("a.pt"), entries=[view]), {"0": 4000})
    >>> found.notes
    ["'a' shows 12 bytes of a storage of 4000: saved as a clone, it would be small."]
    """
    used, groups = dict[str | None, int](), defaultdict[str, dict](dict)
    for entry in findings.entries:
        used[entry.storage] = max(used.get(entry.storage, 0), entry.bytes)
    large = {key for key, n in storages.items() if 2 * used.get(key, n) < n - _LITTLE}
    for entry in findings.entries if large else ():
        if entry.storage in large:
            groups[entry.storage].setdefault(entry.place, entry)
    for key, views in groups.items():
        shown, total = sum(view.bytes for view in views.values()), storages[key]
        if 2 * shown < total - _LITTLE and len(findings.notes) < _MOST_WRONG:
            (first, *others), one = views.values(), len(views) == 1
            more = "" if one else f" and {len(others)} more"
            clones = "s, they" if more else ", it"
            findings.notes.append(
                f"{first.name!r}{more} show{'s' * one} {shown} bytes of a storage of "
                f"{total}: saved as {'a ' * one}clone{clones} would be small."
            )


def _short(value: Any, quote: str = "'") -> str:
    if isinstance(value, Made):
        return f"<{value.name[:_TEXT]}>"
    if isinstance(value, (list, tuple, bytes)):
        return f"{type(value).__name__} of {len(value)}"
    text = f"{quote}{value}{quote}" if isinstance(value, str) else repr(value)
    return text if len(text) <= 4 * _TEXT else f"{text[: 4 * _TEXT]}..."


def _is_large(value: Any) -> bool:
    """Return whether one must not look into it for each of its names."""
    if isinstance(value, Made):
        return value.args is not None or value.state is not None
    return isinstance(value, (list, tuple)) and len(value) > 100


def _read_tensor(name: str, value: Made, storages: dict[str, int]) -> TensorEntry | None:
    """Return the tensor that a call would make, None if it would make none."""
    device, deep = "", 0
    while value.name not in _DENSE and value.args and deep < _MOST_DEEP:
        deep += 1  # a hostile one may wrap itself
        if value.name == "torch._tensor._rebuild_from_type_v2":
            function, _, args, _ = value.args
            value = Made(function.name, args, value.args[3])
        elif value.name in _WRAPPERS and isinstance(value.args[0], Made):
            device = str(value.args[2]) if "device_tensor" in value.name else device
            value = value.args[0]
        else:
            break
    args = value.args
    if value.name in _DENSE and args:
        return _dense(name, value, storages, device)
    if is_array(value):
        return _array(name, value)
    if value.name == "torch._utils._rebuild_sparse_tensor" and args:
        parts = [
            _dense(name, part, storages, device)
            for part in args[1][:4]
            if isinstance(part, Made) and part.name in _DENSE
        ]
        shape = _numbers(args[1][2 if len(parts) == 2 else 3])
        held = sum(part.bytes for part in parts)
        return TensorEntry(name, shape, parts[-1].dtype, held, device=parts[-1].device)
    if value.name == "torch._utils._rebuild_meta_tensor_no_storage":
        shape, dtype = _numbers(args[1]), dtype_of(args[0].name)
        return TensorEntry(name, shape, dtype, 0, device="meta")
    return None


def _array(name: str, value: Made) -> TensorEntry | None:
    """Return what an array of NumPy holds, None for objects."""
    _, shape, dtype, *_ = value.state
    code = dtype.args[0] if type(dtype.args[0]) is str else ""
    size = int(code[1:]) if code[1:].isdecimal() else 0
    if not size or code[0] == "O":
        return None
    shape, word = _numbers(shape), NUMPY_KINDS.get(code[0])
    held = math.prod(shape) * size * (4 if code[0] == "U" else 1)
    word = f"{word}{8 * size}" if word else {"b1": "bool"}.get(code, code)
    return TensorEntry(name, shape, word, held)


def _dense(name: str, value: Made, storages: dict[str, int], device: str) -> TensorEntry:
    """Return a tensor of a storage, and note the storage."""
    storage, offset, shape, stride, *more = value.args
    if storage.name == _LOADS:  # pickle.dump keeps a file of torch.save in bytes
        (data,), storage.name, storage.args = storage.args, "(a storage)", ()
        storage.args = _fourth(data).args
    shape, stride = _numbers(shape), _numbers(stride)
    _, kind, key, place, count, *_ = storage.args
    dtype = dtype_of((more[2] if value.name.endswith("_v3") else kind).name)
    wide = _width(dtype)
    total = _width(dtype_of(kind.name)) * count
    storages.setdefault(str(key), total)
    last, held = offset, wide
    for n, step in zip(shape, stride, strict=True):
        last += (n - 1) * step
        held *= n if step or not n else 1
    if offset < 0 or (0 not in shape and (last + 1) * wide > total):
        raise ValueError(f"element {last} of a storage of {total} bytes")
    device = device or str(place)
    return TensorEntry(name, shape, dtype, held, str(key), offset, device, stride)


def _fourth(data: bytes) -> Any:
    """Return what the fourth pickle makes: the content, in the format before torch 1.6."""
    found, at = None, 0
    for _ in range(4):
        found = follow(data, at, 1000)
        at = found.end
    return found.value if found else None


def _numbers(value: Any) -> tuple[int, ...]:
    if isinstance(value, Made) and value.name == "torch.Size":
        value = value.args[0]
    if type(value) is tuple and len(value) <= _MOST_DIMENSIONS:
        for n in value:
            if type(n) is not int or n < 0:
                break
        else:
            return value
    raise ValueError("its shape is no tuple of numbers")


@lru_cache(64)
def _width(dtype: str) -> int:
    return bytes_of(dtype, 1)


@lru_cache(64)
def dtype_of(name: str) -> str:
    """Return the dtype of "torch.float32", or of a storage of torch.

    >>> dtype_of("torch.float32"), dtype_of("torch.cuda.HalfStorage")
    ('float32', 'float16')
    """
    name = name.rpartition(".")[2].removesuffix("Storage")
    return _DTYPES.get(name, name.lower())
