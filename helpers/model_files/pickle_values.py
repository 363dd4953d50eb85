"""The plain values that a pickle's instructions put on the stack, and stand-ins.

Save, Load, Ship 0.2.0: helpers/model_files/pickle_values.py · repairs: CHANGELOG.md
"""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MOST_TEXT = 1 << 16  # of longer text and bytes, the beginning is kept
# pickletools' codes for an argument that begins with its length -> bytes of that length.
LENGTHS = {-2: 1, -3: 4, -4: 4, -5: 8}
# What the reader behind torch.load(weights_only=True) follows.
TORCH_READS = (
    "NEWOBJ REDUCE BUILD APPEND APPENDS SETITEM SETITEMS MARK TUPLE TUPLE1 TUPLE2 TUPLE3 "
    "NONE NEWFALSE NEWTRUE EMPTY_TUPLE EMPTY_LIST EMPTY_DICT EMPTY_SET BINPERSID BININT "
    "BININT1 BININT2 BINFLOAT BINGET LONG_BINGET BINPUT LONG_BINPUT GLOBAL BINUNICODE "
    "SHORT_BINSTRING LONG1 PROTO STOP"
)


@dataclass(slots=True, eq=False)
class Made:
    """Stands for an object: a dict, what is imported (no `args`), or what a call makes.

    >>> Made("os.system", args=("rm -r ~",)).name
    'os.system'
    """

    name: str
    args: Any = None
    state: Any = None
    items: list | None = None  # of a dict: key, value, key, value, ...


def count(raw: bytes) -> int:
    """Return a number without a sign.

    >>> count(b"\x02\x01")
    258
    """
    return int.from_bytes(raw, "little")


def _signed(raw: bytes) -> Any:
    # A number of thousands of digits is nothing that anybody wants to see.
    return int.from_bytes(raw, "little", signed=True) if len(raw) <= 16 else Made("int", ())


def _utf8(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass" if len(raw) < MOST_TEXT else "ignore")


# Python's own decoder warns of an unknown escape, and will refuse it.
_ESCAPED = re.compile(rb"\\(x[0-9a-fA-F]{2}|[0-7]{1,3}|.)", re.DOTALL)
_ESCAPES = dict(zip(b"abfnrtv\\'\"", b"\a\b\f\n\r\t\v\\'\"", strict=True))


def _plain(found: re.Match[bytes]) -> bytes:
    code = found[1]
    if len(code) == 3 and code[:1] == b"x":
        return bytes([int(code[1:], 16)])
    if code[:1] in (b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"7"):
        return bytes([int(code, 8) & 255])
    return bytes([_ESCAPES[code[0]]]) if code[0] in _ESCAPES else found[0]


# What an instruction puts on the stack, from the bytes behind it.
PUSHES: dict[str, Callable[[bytes], Any]] = {
    "NONE": lambda raw: None,
    "NEWTRUE": lambda raw: True,
    "NEWFALSE": lambda raw: False,
    "EMPTY_TUPLE": lambda raw: (),
    "EMPTY_LIST": lambda raw: [],
    "EMPTY_DICT": lambda raw: Made("dict", ()),
    "EMPTY_SET": lambda raw: Made("set", ()),
    "INT": lambda raw: {b"00\n": False, b"01\n": True}.get(raw) or int(raw[:40]),
    "LONG": lambda raw: int(raw[:40].rstrip(b"L\n")),
    "FLOAT": float,
    "BINFLOAT": lambda raw: struct.unpack(">d", raw)[0],
    "STRING": lambda raw: _ESCAPED.sub(_plain, raw.strip()[1:-1]).decode("latin-1"),
    "UNICODE": lambda raw: raw[:-1].decode("raw-unicode-escape"),
    "NEXT_BUFFER": lambda raw: Made("buffer", ()),
    **dict.fromkeys(("BININT1", "BININT2"), count),
    **dict.fromkeys(("BININT", "LONG1", "LONG4"), _signed),
    **dict.fromkeys(("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"), _utf8),
    **dict.fromkeys(("BINSTRING", "SHORT_BINSTRING"), lambda raw: raw.decode("latin-1")),
    **dict.fromkeys(("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"), bytes),
}
