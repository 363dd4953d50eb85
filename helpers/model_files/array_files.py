"""Read the headers of two formats of plain arrays: NumPy's, and llama.cpp's GGUF.

https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md

Save, Load, Ship 0.2.0: helpers/model_files/array_files.py · repairs: CHANGELOG.md
"""

import ast
import math
import os
import re
import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO

from helpers.model_files.judging import NUMPY_KINDS, HostileError, add_entry
from helpers.model_files.verdicts import WHOLE, Findings, TensorEntry
from helpers.model_files.zip_records import BOMB, chunks, read_directory

_LONGEST_HEADER = 1 << 16
# What zlib makes of a byte at most, as of an empty mask; and no mask is so large.
_TIGHTEST, _MOST_UNPACKED = 1032, 16 << 30
_SCALARS = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_LONGEST, _MOST_SHOWN, _DEEPEST, _MOST_TEXTS = 1 << 24, 1 << 12, 4, 2_000_000
# Number of a type, its name, elements in a block, bytes of a block.
_TABLE = """
    0 float32 1 4, 1 float16 1 2, 2 q4_0 32 18, 3 q4_1 32 20, 6 q5_0 32 22, 7 q5_1 32 24,
    8 q8_0 32 34, 9 q8_1 32 36, 10 q2_k 256 84, 11 q3_k 256 110, 12 q4_k 256 144,
    13 q5_k 256 176, 14 q6_k 256 210, 15 q8_k 256 292, 16 iq2_xxs 256 66,
    17 iq2_xs 256 74, 18 iq3_xxs 256 98, 19 iq1_s 256 50, 20 iq4_nl 32 18,
    21 iq3_s 256 110, 22 iq2_s 256 82, 23 iq4_xs 256 136, 24 int8 1 1, 25 int16 1 2,
    26 int32 1 4, 27 int64 1 8, 28 float64 1 8, 29 iq1_m 256 56, 30 bfloat16 1 2,
    34 tq1_0 256 54, 35 tq2_0 256 66, 39 mxfp4 32 17
"""
_TYPES = {
    int(number): (name, int(block), int(held))
    for number, name, block, held in map(str.split, _TABLE.split(","))
}


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
    records, wrong, _ = read_directory(file, bomb=_TIGHTEST)
    if (total := sum(record.size for record in records)) > BOMB * size:
        findings.notes.append(f"Its {size:,} bytes become {total:,} in memory.")
        wrong += ["its arrays would fill the memory"] * (total > _MOST_UNPACKED)
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
    if _has_objects(descr):
        which = f"its array {name!r}" if name else "it"
        raise HostileError(f"{which} holds objects: a pickle, which can run code")
    plain = re.fullmatch(r"[|<>=]?([a-zA-Z])(\d+)", descr) if type(descr) is str else None
    kind, width = (plain[1], int(plain[2])) if plain else ("", 0)
    dtype = f"{NUMPY_KINDS[kind]}{8 * width}" if kind in NUMPY_KINDS else str(descr)[:60]
    dtype = "bool" if kind == "b" and width == 1 else dtype
    held = elements * width * (4 if kind == "U" else 1) if plain else size - start
    if elements < 0 or start + held != size:
        there = f"{size - start:,} are there"
        raise ValueError(f"array {name!r} takes {held:,} bytes, and {there}")
    return TensorEntry(name, tuple(shape), dtype, held)


def _has_objects(descr: Any) -> bool:
    """Return whether a dtype is or has Python objects, whatever its fields are called."""
    if isinstance(descr, str):  # as NumPy writes it, or as it also reads it
        return bool(re.search(r"(?<![A-Za-z_])O(?![A-Za-z_])|object", descr))
    if isinstance(descr, tuple):  # a dtype and a shape
        return _has_objects(descr[0]) if descr else False
    if not isinstance(descr, list):
        return "O" in repr(descr) or "object" in repr(descr)
    return any(len(field) < 2 or _has_objects(field[1]) for field in descr)


def read_gguf(path: Path, file: BinaryIO, findings: Findings, verify: bool) -> None:
    """Fill in what a GGUF file says of itself.

    Raises:
        ValueError: the file is not as its header says.

    >>> import io
    >>> file = io.BytesIO(b"GGUF" + struct.pack("<IQQ", 3, 0, 0))
    >>> read_gguf(Path("a"), file, found := Findings(Path("a")), verify=False)
    >>> found.values
    {'version': '3'}
    """
    reader, values = _Reader(file), findings.values
    version, count, pairs = reader.begin()
    values["version"] = str(version)
    if reader.order == ">":
        findings.notes.append("Its bytes are in the order of a big-endian machine.")
    alignment = 32
    for _ in range(pairs):
        key = reader.string()
        value = reader.value(*reader.numbers("I"))
        alignment = value if key == "general.alignment" else alignment
        values[key[:200]] = str(value)[:200]
        if len(values) > 100_000:
            raise ValueError("it has more than 100,000 values")
    if type(alignment) is not int or not 0 < alignment <= 1 << 20:
        raise ValueError(f"its alignment is {alignment!r}")
    places = []
    for _ in range(count):
        name, (axes,) = reader.string(), reader.numbers("I")
        if axes > 8:
            raise ValueError(f"tensor {name!r} claims {axes} axes")
        shape = reader.numbers(f"{axes}{reader.wide}")[::-1]
        number, offset = reader.numbers("IQ")
        dtype, block, size = _TYPES.get(number, (f"type {number}", 1, 0))
        held = math.prod(shape) // block * size
        add_entry(findings, TensorEntry(name, shape, dtype, held))
        places.append((offset, offset + held, name))
    behind, data = 0, -(-file.tell() // alignment) * alignment
    for start, end, name in sorted(places):
        if start < behind or data + end > reader.size:
            raise ValueError(f"tensor {name!r} is not at {start} to {end}")
        behind = end


class _Reader:
    def __init__(self, file: BinaryIO):
        self.file, self.size, self.texts = file, file.seek(0, os.SEEK_END), 0
        self.order, self.wide = "<", "Q"  # of bytes; a count or length
        file.seek(len(b"GGUF"))

    def begin(self) -> tuple[Any, ...]:
        """Return the version, and how many tensors and values there are."""
        (version,) = self.numbers("I")
        if version and not version & 0xFFFF:
            self.order, version = ">", int.from_bytes(version.to_bytes(4, "little"), "big")
        if version not in (1, 2, 3):
            raise ValueError(f"its version is {version}, and 1 to 3 are known")
        self.wide = "I" if version == 1 else "Q"
        return version, *self.numbers(self.wide * 2)

    def numbers(self, form: str) -> tuple[Any, ...]:
        data = self.file.read(length := struct.calcsize("<" + form))
        if len(data) < length:
            raise ValueError("its header ends early")
        return struct.unpack(self.order + form, data)

    def skip(self, length: int, what: str) -> None:
        if self.file.tell() + length > self.size:
            raise ValueError(f"a {what} in it claims {length:,} bytes")
        self.file.seek(length, os.SEEK_CUR)

    def string(self) -> str:
        (length,) = self.numbers(self.wide)
        if length > min(_LONGEST, self.size):
            raise ValueError(f"a text in it claims {length:,} bytes")
        text = self.file.read(min(length, _MOST_SHOWN))
        self.skip(length - len(text), "text")
        return text.decode("utf-8", "replace")

    def value(self, kind: int, depth: int = 0) -> Any:
        """Return a scalar, or what an array holds in words."""
        if kind in _SCALARS:
            return self.numbers(_SCALARS[kind])[0]
        if kind == _STRING:
            return self.string()
        if kind != _ARRAY or depth == _DEEPEST:
            raise ValueError(f"a value in it is of the unknown type {kind}")
        inner, count = self.numbers("I" + self.wide)
        if inner in _SCALARS:
            self.skip(count * struct.calcsize("<" + _SCALARS[inner]), "list")
            return f"{count} values"
        self.texts += count
        if self.texts > _MOST_TEXTS:
            raise ValueError(f"its lists claim more than {_MOST_TEXTS:,} texts")
        for _ in range(count):  # each takes bytes of the file
            if inner == _STRING:
                self.skip(self.numbers(self.wide)[0], "text")
            else:
                self.value(inner, depth + 1)
        return f"{count} {'texts' if inner == _STRING else 'values'}"
