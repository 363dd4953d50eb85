"""Find the tensors and the other values in what a pickle makes.

Save, Load, Ship 0.2.0: helpers/model_files/pickled_tensors.py · repairs: CHANGELOG.md
"""

import math
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from helpers.model_files.file_findings import TensorEntry
from helpers.model_files.following import follow
from helpers.model_files.pickle_values import Made

_MOST_VALUES, _MOST_DEEP, _MOST_WRONG = 60, 100, 10
_TEXT = 60  # characters of a value
_DTYPES = {
    "Double": "float64",
    "Float": "float32",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "Bool": "bool",
    "ComplexDouble": "complex128",
    "ComplexFloat": "complex64",
    "Untyped": "uint8",
}
_MAPPINGS = {"dict", "collections.OrderedDict", "collections.defaultdict", "builtins.dict"}
_LOADS = "torch.storage._load_from_bytes"
# Their only content is the first argument.
_WRAPPERS = {
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "torch._utils._rebuild_device_tensor_from_cpu_tensor",
    "torch._utils._rebuild_device_tensor_from_numpy",
    "torch._utils._rebuild_nested_tensor",
    "torch.nn.parameter.Parameter",
    "torch.nn.parameter.Buffer",
}
_DENSE = {
    f"torch._utils._rebuild_{name}"
    for name in ("tensor", "tensor_v2", "tensor_v3", "qtensor")
}


@dataclass
class Content:
    """What a pickle holds.

    Attributes:
        entries: its tensors.
        values: path -> short text, of the outermost values that are none.
        storages: key -> (bytes that it claims, device).
        wrong: what cannot be true.

    >>> Content().entries
    []
    """

    entries: list[TensorEntry] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    storages: dict[str, tuple[int, str]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def pairs(value: Any) -> list[tuple[Any, Any]] | None:
    """Return the keys and values of a mapping, None for anything else.

    >>> pairs(Made("dict", (), items=["epoch", 3])), pairs([1])
    ([('epoch', 3)], None)
    """
    if not isinstance(value, Made) or value.name not in _MAPPINGS or value.args is None:
        return None
    found = list(zip(*[iter(value.items or [])] * 2, strict=False))
    # How Python 2 kept an ordered dict: a list of pairs, as the argument.
    for pair in value.args[0] if value.args and isinstance(value.args[0], list) else ():
        if isinstance(pair, (list, tuple)) and len(pair) == 2:
            found.append(tuple(pair))
    return found


def read_content(value: Any) -> Content:
    """Walk through nested mappings, lists and objects.

    >>> inner = Made("dict", (), items=["epoch", 3])
    >>> read_content(Made("dict", (), items=["run", inner])).values
    {'run.epoch': '3'}
    """
    content, seen = Content(), set()
    todo: list[tuple[str, Any, int]] = [("", value, 0)]
    while todo:
        name, value, depth = todo.pop()
        if isinstance(value, Made):
            try:
                if _read_tensor(name, value, content):
                    continue
            except (ValueError, TypeError, LookupError, AttributeError) as error:
                wrong = f"{name!r} describes no tensor: {error}"
                content.wrong += [wrong] * (len(content.wrong) < _MOST_WRONG)
                continue
        inner = _inside(value)
        if inner is None:
            if value is not None and depth <= 3 and len(content.values) < _MOST_VALUES:
                content.values[name] = short(value)
        elif id(value) in seen:
            content.values[name] = "the same object as another"
        elif depth == _MOST_DEEP:
            wrong = f"it is nested more than {_MOST_DEEP} deep"
            content.wrong += [wrong] * (wrong not in content.wrong)
        else:
            seen.add(id(value))
            for key, some in reversed(inner):
                hidden = key in ("_parameters", "_buffers", "_modules")
                path = f"{name}.{short(key, '')}" if name else short(key, "")
                todo.append((name if hidden else path, some, depth + 1))
    return content


def short(value: Any, quote: str = "'") -> str:
    """Return a value in a few characters.

    >>> short("x" * 100, "")[-4:], short([1, 2]), short(Made("a.B"))
    ('x...', 'list of 2', '<a.B>')
    """
    if isinstance(value, Made):
        return f"<{value.name[:_TEXT]}>"
    if isinstance(value, (list, tuple, bytes)):
        return f"{type(value).__name__} of {len(value)}"
    text = f"{quote}{value}{quote}" if isinstance(value, str) else repr(value)
    return text if len(text) <= 4 * _TEXT else f"{text[: 4 * _TEXT]}..."


def _inside(value: Any) -> list[tuple[Any, Any]] | None:
    """Return what is in a container, None where nothing in it could hold a tensor."""
    if (found := pairs(value)) is not None:
        return found
    if isinstance(value, Made):
        state = (
            value.state[0]
            if isinstance(value.state, tuple) and value.state
            else value.state
        )
        return [*(pairs(state) or ()), *(_inside(value.args) or ())] or None
    if isinstance(value, (list, tuple)) and any(
        isinstance(x, (Made, list, tuple)) for x in value
    ):
        return list(enumerate(value))
    return None


def _read_tensor(name: str, value: Made, content: Content) -> bool:
    """Add the tensor that a call would make; return whether it would make one."""
    device = ""
    for _ in range(_MOST_DEEP):  # a hostile one may wrap itself
        if not value.args:
            break
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
        storage, offset, shape, stride = args[:4]
        if storage.name == _LOADS:  # pickle.dump keeps a file of torch.save in bytes
            storage = _fourth(storage.args[0])
        shape, stride = _numbers(shape), _numbers(stride)
        kind, key, place, count, *_ = storage.args[1:]
        dtype = args[6] if value.name.endswith("_v3") else kind
        dtype = _dtype(dtype.name)
        width, total = (
            bytes_per_element(dtype),
            bytes_per_element(_dtype(kind.name)) * count,
        )
        content.storages.setdefault(str(key), (total, str(place)))
        last = offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
        if 0 not in shape and not (
            min(offset, *shape, *stride, 0) >= 0 and (last + 1) * width <= total
        ):
            raise ValueError(f"element {last} of a storage of {total} bytes")
        held = width * math.prod(
            n for n, step in zip(shape, stride, strict=True) if step or not n
        )
        entry = TensorEntry(
            name, shape, dtype, held, str(key), offset, device or str(place)
        )
    elif value.name == "torch._utils._rebuild_sparse_tensor" and args:
        parts = Content()
        for part in args[1]:
            if isinstance(part, Made) and part.name in _DENSE:
                _read_tensor(name, part, parts)
        content.storages |= parts.storages
        entry = parts.entries[-1]
        held = sum(part.bytes for part in parts.entries)
        shape = args[1][2 if len(parts.entries) == 2 else 3]
        entry = TensorEntry(name, _numbers(shape), entry.dtype, held, device=entry.device)
    elif value.name == "torch._utils._rebuild_meta_tensor_no_storage":
        entry = TensorEntry(name, _numbers(args[1]), _dtype(args[0].name), 0, device="meta")
    else:
        return False
    content.entries.append(entry)
    return True


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
    if not isinstance(value, tuple) or any(type(n) is not int or n < 0 for n in value):
        raise ValueError("its shape is no tuple of numbers")
    return value


@lru_cache(64)
def _dtype(name: str) -> str:
    """Return the dtype of "torch.float32", or of a storage such as "torch.FloatStorage"."""
    name = name.rpartition(".")[2].removesuffix("Storage")
    return _DTYPES.get(name, name.lower())


@lru_cache(64)
def bytes_per_element(dtype: str) -> int:
    """Return the bytes of an element as torch holds it: packed ones count as a byte.

    >>> bytes_per_element("float32"), bytes_per_element("int4")
    (4, 1)
    """
    found = re.match(
        r"(?:q|qu|u|b)?(?:int|float|complex)(\d+)$|bfloat(16)|bits(16)$", dtype
    )
    return max(1, int(found[1] or found[2] or found[3]) // 8) if found else 1
