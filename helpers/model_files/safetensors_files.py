"""Read the header of a safetensors file, and hold it against the file.

The format: https://github.com/huggingface/safetensors#format

Save, Load, Ship 0.2.0: helpers/model_files/safetensors_files.py · repairs: CHANGELOG.md
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from helpers.model_files.file_findings import SAFE, Findings, TensorEntry
from helpers.model_files.json_members import members
from helpers.model_files.judging import bytes_of, keep

NO_CHECKSUMS = "the format has no checksums: a flipped bit in the values cannot be seen"
_LARGEST_HEADER = 100_000_000  # the format's own limit
_MOST_VALUES = 10_000
_DTYPES = {
    "BOOL": "bool",
    "BF16": "bfloat16",
    "F4": "float4_e2m1fn",
    "F6_E2M3": "float6_e2m3fn",
    "F6_E3M2": "float6_e3m2fn",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E8M0": "float8_e8m0fnu",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "C64": "complex64",
    **{f"F{bits}": f"float{bits}" for bits in (16, 32, 64)},
    **{f"I{bits}": f"int{bits}" for bits in (8, 16, 32, 64)},
    **{f"U{bits}": f"uint{bits}" for bits in (8, 16, 32, 64)},
}


def read_safetensors(path: Path, file: BinaryIO, findings: Findings, verify: bool) -> None:
    """Fill in what a safetensors file holds.

    Raises:
        ValueError: the file is not as its header says.

    >>> import io
    >>> header = b'{"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}'
    >>> file = io.BytesIO(len(header).to_bytes(8, "little") + header + bytes(8))
    >>> read_safetensors(Path("a"), file, found := Findings(Path("a")), verify=False)
    >>> found.entries
    [TensorEntry(name='w', shape=(2,), dtype='float32', bytes=8, ...)]
    """
    findings.safety, findings.safety_why = SAFE, "the format has no place for code"
    findings.opens = [
        "from safetensors.torch import load_file",
        f"state_dict = load_file({str(path)!r})",
    ]
    for entry in tensors(file, findings.values):
        keep(findings, entry)
    if verify:
        findings.bytes_checked = NO_CHECKSUMS


def tensors(file: BinaryIO, values: dict[str, str]) -> Iterator[TensorEntry]:
    """Yield the tensors that a header lists, and put its metadata into `values`.

    After the last one, all of them together are held against the file.

    Raises:
        ValueError: the file is not as its header says.

    >>> import io
    >>> list(tensors(io.BytesIO(b"\\2\\0\\0\\0\\0\\0\\0\\0{}"), {}))
    []
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if length > min(_LARGEST_HEADER, size - 8):
        raise ValueError(f"its header claims {length:,} bytes of {size:,}")
    held = size - 8 - length
    names, places = set(), []
    for parent, name, value in members(file, length, into=("__metadata__",)):
        if parent:
            if len(values) == _MOST_VALUES:
                raise ValueError(f"it has more than {_MOST_VALUES:,} values")
            values[name[:200]] = str(value)[:200]
            continue
        if name in names:
            raise ValueError(f"its header names {name!r} twice")
        names.add(name)
        entry, begin, end = _entry(name, value)
        if end - begin != entry.bytes:
            raise ValueError(
                f"tensor {name!r} takes {entry.bytes}, not {end - begin} bytes"
            )
        places.append((begin, end))
        yield entry
    behind = 0
    for begin, end in sorted(places):
        if begin != behind:
            raise ValueError(
                f"bytes {begin} and {behind}: its tensors overlap or leave holes"
            )
        behind = end
    if behind != held:
        raise ValueError(f"its tensors take {behind:,} bytes, and {held:,} are there")


def _entry(name: str, value: Any) -> tuple[TensorEntry, int, int]:
    match value:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [begin, end]}:
            if len(shape) <= 64 and all(
                type(n) is int and 0 <= n < 1 << 63 for n in (*shape, begin, end)
            ):
                dtype = _DTYPES.get(dtype, dtype)
                held = end - begin
                if dtype in _DTYPES.values():
                    held = bytes_of(dtype, math.prod(shape))
                return TensorEntry(name, tuple(shape), dtype, held), begin, end
    raise ValueError(f"its header describes {name[:99]!r} in no known way")
