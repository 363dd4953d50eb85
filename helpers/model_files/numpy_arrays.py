"""Read the headers of NumPy's arrays: .npy, and the archive of them, .npz.

The format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html

Save, Load, Ship 0.2.0: helpers/model_files/numpy_arrays.py · repairs: CHANGELOG.md
"""

import ast
import math
import os
import re
import zlib
from pathlib import Path
from typing import BinaryIO

from helpers.model_files.file_findings import WHOLE, Findings, TensorEntry
from helpers.model_files.judging import HostileError, add_entry
from helpers.model_files.zip_records import chunks, read_directory

_LONGEST_HEADER = 1 << 16
_KINDS = {"f": "float", "i": "int", "u": "uint", "c": "complex"}


def read_numpy(path: Path, file: BinaryIO, findings: Findings, verify: bool) -> None:
    """Fill in what a .npy file or a .npz archive holds; of the latter, verify CRC-32.

    Raises:
        HostileError: it holds objects, as a pickle, or claims to become far larger.
        ValueError: a header is none, or not of this file; the archive is damaged.

    >>> import io
    >>> head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\\n"
    >>> file = io.BytesIO(b"\\x93NUMPY\\1\\0" + bytes([len(head), 0]) + head + bytes(8))
    >>> read_numpy(Path("a"), file, found := Findings(Path("a")), verify=False)
    >>> found.entries[0].shape, found.entries[0].dtype
    ((2,), 'float32')
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(_LONGEST_HEADER + 12)
    if not head.startswith(b"PK"):
        return add_entry(findings, _entry("", head, size))
    records, wrong, _ = read_directory(file)
    if wrong:
        raise HostileError("; ".join(wrong[:3]))
    for record in records:
        crc, head = 0, b""
        for chunk in chunks(file, record):
            head = head or chunk
            if not verify:
                break
            crc = zlib.crc32(chunk, crc)
        add_entry(findings, _entry(record.name.removesuffix(".npy"), head, record.size))
        if verify and crc != record.crc:
            raise ValueError(f"the bytes of {record.name!r} are not those written")
    findings.bytes_checked = WHOLE if verify else findings.bytes_checked
    return None


def _entry(name: str, data: bytes, size: int) -> TensorEntry:
    wide = 4 if data[6:7] in (b"\2", b"\3") else 2
    length = int.from_bytes(data[8 : 8 + wide], "little")
    start = 8 + wide + length
    if not data.startswith(b"\x93NUMPY") or length > _LONGEST_HEADER or start > len(data):
        raise ValueError(f"{name!r} is not an array of NumPy")
    try:
        words = data[8 + wide : start].decode("latin-1").strip()
        # Python 2 wrote its numbers as 2L.
        header = ast.literal_eval(re.sub(r"(\d)L\b", r"\1", words))
        descr, shape = header["descr"], header["shape"]
        elements = math.prod(shape) if all(type(n) is int and n >= 0 for n in shape) else -1
    except (ValueError, SyntaxError, TypeError, KeyError, MemoryError, RecursionError):
        raise ValueError(f"the header of {name!r} is none of NumPy's") from None
    if re.search(r"(?<![A-Za-z_])O(?![A-Za-z_])|object", repr(descr)):
        which = f"its array {name!r}" if name else "it"
        raise HostileError(f"{which} holds objects: a pickle, which can run code")
    plain = re.fullmatch(r"[|<>=]?([a-zA-Z])(\d+)", descr) if type(descr) is str else None
    kind, width = (plain[1], int(plain[2])) if plain else ("", 0)
    dtype = f"{_KINDS[kind]}{8 * width}" if kind in _KINDS else str(descr)[:60]
    dtype = "bool" if kind == "b" and width == 1 else dtype
    held = elements * width * (4 if kind == "U" else 1) if plain else size - start
    if elements < 0 or start + held != size:
        raise ValueError(
            f"array {name!r} takes {held:,} bytes, and {size - start:,} are there"
        )
    return TensorEntry(name, tuple(shape), dtype, held)
