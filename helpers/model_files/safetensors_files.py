"""Read safetensors files.

The format: https://github.com/huggingface/safetensors#format

Save, Load, Ship 0.2.0: helpers/model_files/safetensors_files.py · repairs: CHANGELOG.md
"""

import json
import math
import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from helpers.model_files.judging import HostileError, add_entry, bytes_of, show_values
from helpers.model_files.verdicts import Findings, TensorEntry

# The largest headers of models take 30 MB; memory for more could be a bomb's aim.
_LARGEST_JSON, _MOST_PARTS = 64 << 20, 4_000_000
_WORDS = """
    BOOL bool, I8 int8, I16 int16, I32 int32, I64 int64, U8 uint8, U16 uint16, U32 uint32,
    U64 uint64, F16 float16, F32 float32, F64 float64, BF16 bfloat16, C64 complex64,
    F4 float4_e2m1fn, F6_E2M3 float6_e2m3fn, F6_E3M2 float6_e3m2fn, F8_E4M3 float8_e4m3fn,
    F8_E5M2 float8_e5m2, F8_E8M0 float8_e8m0fnu, F8_E4M3FNUZ float8_e4m3fnuz,
    F8_E5M2FNUZ float8_e5m2fnuz"""
_DTYPES = dict(map(str.split, _WORDS.split(",")))


def read_safetensors(path: Path, file: BinaryIO, findings: Findings, verify: bool) -> None:
    """Fill in what a safetensors file holds.

    Raises:
        HostileError, ValueError: the file is not as its header says.

    >>> import io
    >>> header = b'{"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}'
    >>> file = io.BytesIO(len(header).to_bytes(8, "little") + header + bytes(8))
    >>> read_safetensors(Path("a"), file, found := Findings(Path("a")), verify=False)
    >>> found.entries
    [TensorEntry(name='w', shape=(2,), dtype='float32', bytes=8, ...)]
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if length > size - 8:
        raise ValueError(f"its header claims {length:,} bytes of {size:,}")
    header = read_json(file, 8, length, once)
    about = header.pop("__metadata__", None) or {}
    show_values(about, findings)
    entries = [_entry(name, value) for name, value in header.items()]
    for _, _, entry in entries:
        add_entry(findings, entry)
    behind, held = 0, size - 8 - length
    for begin, end, entry in sorted(entries, key=lambda found: found[:2]):
        if end - begin != entry.bytes:
            what = f"tensor {entry.name!r} takes {entry.bytes}"
            raise ValueError(f"{what}, not {end - begin} bytes")
        if begin != behind:
            what = "its tensors overlap or leave holes"
            raise ValueError(f"bytes {begin} and {behind}: {what}")
        behind = end
    if behind != held:
        raise ValueError(f"its tensors take {behind:,} bytes, and {held:,} are there")
    foreign = [
        entry.dtype for _, _, entry in entries if entry.dtype not in _DTYPES.values()
    ]
    why = f"the dtype {foreign[0][:99]}" if foreign else ""
    if not all(type(value) is str for value in about.values()):
        why = "metadata that are no texts"
    elif re.search("[\ud800-\udfff]", "".join([*header, *about, *about.values()])):
        why = "letters that are none"
    if why:
        findings.opens = []
        findings.notes.append(f"No line opens it: the package safetensors refuses {why}.")


def read_json(
    file: BinaryIO, start: int = 0, length: int | None = None, pairs: Callable = dict
) -> dict[str, Any]:
    """Return the JSON object in some bytes of a file, or in all of them.

    Raises:
        HostileError: it is larger than any model's.
        ValueError: it is none.

    >>> import io
    >>> read_json(io.BytesIO(b'{"w": 1}'))
    {'w': 1}
    """
    coding = "utf-8-sig" if length is None else "utf-8"  # an editor may leave a mark
    length = file.seek(0, os.SEEK_END) if length is None else length
    if length > _LARGEST_JSON:
        raise HostileError(f"its JSON of {length:,} bytes is larger than any model's")
    file.seek(start)
    data = file.read(length)
    if sum(map(data.count, (b",", b"[", b"{"))) > _MOST_PARTS:
        raise HostileError("its JSON lists more than any model's")
    try:
        found = json.loads(data.decode(coding), object_pairs_hook=pairs)
    except ValueError as error:
        raise ValueError(f"its JSON is damaged: {error}") from None
    if not isinstance(found, dict):
        raise ValueError("its JSON is no object")
    return found


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object none of whose keys stands there twice.

    Raises:
        ValueError: one does.

    >>> once([("w", 1)])
    {'w': 1}
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        name, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"it names {name[:99]!r} twice")
    return found


def _entry(name: str, value: Any) -> tuple[int, int, TensorEntry]:
    match value:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [begin, end]}:
            numbers = (*shape, begin, end)
            is_known = all(type(n) is int and 0 <= n < 1 << 63 for n in numbers)
            if is_known and len(shape) <= 64:
                word, held = _DTYPES.get(dtype), end - begin
                if word:
                    held = bytes_of(word, math.prod(shape))
                return begin, end, TensorEntry(name, tuple(shape), word or dtype, held)
    raise ValueError(f"its header describes {name[:99]!r} in no known way")
