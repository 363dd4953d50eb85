"""What each instruction of a pickle does to the machine that follows it, and stand-ins.

Save, Load, Ship 0.2.0: helpers/model_files/pickle_instructions.py · repairs: CHANGELOG.md
"""

import pickletools
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from helpers.model_files.budgets import COSTS

# What the reader behind torch.load(weights_only=True) follows.
TORCH_READS = (
    "NEWOBJ REDUCE BUILD APPEND APPENDS SETITEM SETITEMS MARK TUPLE TUPLE1 TUPLE2 TUPLE3 "
    "NONE NEWFALSE NEWTRUE EMPTY_TUPLE EMPTY_LIST EMPTY_DICT EMPTY_SET BINPERSID BININT "
    "BININT1 BININT2 BINFLOAT BINGET LONG_BINGET BINPUT LONG_BINPUT GLOBAL BINUNICODE "
    "SHORT_BINSTRING LONG1 PROTO STOP"
)
MOST_TEXT = 1 << 10  # of longer text and bytes, the beginning is kept
MOST_LINE = 1 << 16  # bytes of a line that are looked at


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


def could_be_meant(name: str) -> bool:
    """Return whether bytes that are no pickle would hardly give this name.

    >>> could_be_meant("os.system"), could_be_meant("(a computed name)")
    (True, False)
    """
    plain = name.removeprefix("(a change of ").removesuffix(")")
    return all(map(str.isidentifier, plain.split(".")))


_latin1 = partial(str, encoding="latin-1")
_BOOLS = {b"00\n": False, b"01\n": True}
_SHORT, _INT, _WORD = (struct.Struct(form).unpack_from for form in ("<H", "<i", "<I"))
# Python's own decoder warns of an unknown escape, and will refuse it.
_ESCAPED = re.compile(rb"\\(x[0-9a-fA-F]{2}|[0-7]{1,3}|.)", re.DOTALL)
_ESCAPES = dict(zip(b"abfnrtv\\'\"", b"\a\b\f\n\r\t\v\\'\"", strict=True))


def _plain(found: re.Match[bytes]) -> bytes:
    code = found[1]
    if code[:1] == b"x" and len(code) == 3:
        return bytes([int(code[1:], 16)])
    if b"0" <= code[:1] <= b"7":
        return bytes([int(code, 8) & 255])
    return bytes([_ESCAPES[code[0]]]) if code[0] in _ESCAPES else found[0]


def _signed(raw: bytes) -> Any:
    # A number of thousands of digits is nothing that anybody wants to see.
    return int.from_bytes(raw, "little", signed=True) if len(raw) <= 16 else Made("int", ())


def _utf8(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass" if len(raw) < MOST_TEXT else "ignore")


def _place(raw: bytes) -> int:
    raw = raw.partition(b"\0")[0]  # where a reader in C stops
    # Longer ones can be chosen so that a dict takes hours.
    if len(raw) > 12 or (place := int(raw)) < 0:
        raise ValueError
    return place


# An inspection spends most of its time here.
def _mark(machine: Any, at: int) -> None:
    machine.below.append(machine.stack)
    machine.stack = []


def _tuple(machine: Any, at: int) -> None:
    items, machine.stack = tuple(machine.stack), machine.below.pop()
    machine.stack.append(items)


def _call(machine: Any, at: int) -> None:
    args = machine.stack.pop()
    machine.make(args, machine.stack.pop())


def _get(machine: Any, at: int) -> None:
    try:
        machine.stack.append(machine.memo[machine.data[at]])
    except IndexError:
        machine.get(machine.data[at])


def _text(form: str, value: Callable[[bytes], Any]) -> Callable:
    """Return an instruction that pushes what its bytes mean, whose count comes first."""
    size, unpack = struct.calcsize(form), struct.Struct(form).unpack_from

    def do(machine: Any, at: int) -> int:
        start = at + size
        data = machine.data
        (length,) = unpack(data, at)
        end = start + length
        raw = data[start : end if length < MOST_TEXT else start + MOST_TEXT]
        machine.stack.append(value(raw))
        if length > 64:
            machine.budget.room -= len(raw)
        if b"\n" in raw or length > MOST_TEXT or not raw.isascii():
            machine.look_inside(raw[:1], start, end)
        return end

    return do


def _lines(count: int, use: Callable[[Any, bytes], Any]) -> Callable:
    """Return an instruction that uses a line or two."""

    def do(machine: Any, at: int) -> int:
        end = at
        for _ in range(count):
            end = machine.line_end(end)
        use(machine, machine.data[at : min(end, at + MOST_LINE)])
        return end

    return do


def _line(value: Callable[[bytes], Any]) -> Callable:
    """Return an instruction that pushes what a line means."""

    def use(machine: Any, raw: bytes) -> None:
        made = value(raw)
        if isinstance(made, str) and made:
            machine.look_inside_text(made, len(raw) == MOST_LINE)
            made = made[:MOST_TEXT]
            machine.budget.room -= len(made)
        machine.stack.append(made)

    return _lines(1, use)


def _unescaped(raw: bytes) -> str:
    errors = "strict" if len(raw) < MOST_LINE else "ignore"  # cut, perhaps in an escape
    return raw.rstrip(b"\n").decode("raw-unicode-escape", errors)


# Called with the machine and the place of the argument; if it tells its length itself,
# an instruction returns where it ends.
INSTRUCTIONS: dict[str, Callable] = {
    "NONE": lambda m, at: m.stack.append(None),
    "NEWTRUE": lambda m, at: m.stack.append(True),
    "NEWFALSE": lambda m, at: m.stack.append(False),
    "EMPTY_TUPLE": lambda m, at: m.stack.append(()),
    "EMPTY_LIST": lambda m, at: m.stack.append([]),
    "EMPTY_DICT": lambda m, at: m.stack.append(Made("dict", ())),
    "EMPTY_SET": lambda m, at: m.stack.append(Made("set", ())),
    "NEXT_BUFFER": lambda m, at: m.stack.append(Made("buffer", ())),
    "MARK": _mark,
    "POP": lambda m, at: m.stack.pop() if m.stack else m.pop_mark(),
    "POP_MARK": lambda m, at: m.pop_mark(),
    "DUP": lambda m, at: m.stack.append(m.stack[-1]),
    "TUPLE": _tuple,
    "TUPLE1": lambda m, at: m.stack.append(m.pop(1)),
    "TUPLE2": lambda m, at: m.stack.append((m.stack.pop(-2), m.stack.pop())),
    "TUPLE3": lambda m, at: m.stack.append(m.pop(3)),
    "LIST": lambda m, at: m.push(m.pop_mark()),
    "DICT": lambda m, at: m.push(Made("dict", (), None, m.pop_mark())),
    "FROZENSET": lambda m, at: m.push(Made("frozenset", (), None, m.pop_mark())),
    "APPEND": lambda m, at: m.add(m.pop(1)),
    "SETITEM": lambda m, at: m.add(m.pop(2)),
    **dict.fromkeys(("APPENDS", "SETITEMS", "ADDITEMS"), lambda m, at: m.add(m.pop_mark())),
    "GLOBAL": _lines(2, lambda m, raw: m.name(*raw.decode().split("\n")[:2])),
    "STACK_GLOBAL": lambda m, at: m.name(*m.pop(2)),
    **dict.fromkeys(("EXT1", "EXT2", "EXT4"), lambda m, at: m.name(None, None)),
    **dict.fromkeys(("REDUCE", "NEWOBJ"), _call),
    "NEWOBJ_EX": lambda m, at: m.make(m.pop(2)[0], m.stack.pop()),
    "INST": _lines(2, lambda m, raw: m.inst(*raw.decode().split("\n")[:2])),
    "OBJ": lambda m, at: m.obj(),
    "BUILD": lambda m, at: m.build(),
    "PERSID": _lines(1, lambda m, raw: m.refer(raw)),
    "BINPERSID": lambda m, at: m.refer(m.stack.pop()),
    "PUT": _lines(1, lambda m, raw: m.put(_place(raw))),
    "GET": _lines(1, lambda m, raw: m.get(_place(raw))),
    "MEMOIZE": lambda m, at: m.put(len(m.memo) + len(m.far)),
    "BINPUT": lambda m, at: m.put(m.data[at]),
    "LONG_BINPUT": lambda m, at: m.put(_WORD(m.data, at)[0]),
    "BINGET": _get,
    "LONG_BINGET": lambda m, at: m.get(_WORD(m.data, at)[0]),
    **dict.fromkeys(("PROTO", "FRAME", "READONLY_BUFFER"), lambda m, at: None),
    "STOP": lambda m, at: m.stop(),
    "BININT1": lambda m, at: m.stack.append(m.data[at]),
    "BININT2": lambda m, at: m.stack.append(_SHORT(m.data, at)[0]),
    "BININT": lambda m, at: m.stack.append(_INT(m.data, at)[0]),
    "BINFLOAT": lambda m, at: m.stack.append(struct.unpack_from(">d", m.data, at)[0]),
    "INT": _line(lambda raw: _BOOLS[raw] if raw in _BOOLS else int(raw[:40])),
    "LONG": _line(lambda raw: int(raw[:40].rstrip(b"L\n"))),
    "LONG1": _text("<B", _signed),
    "LONG4": _text("<I", _signed),
    "FLOAT": _line(float),
    "STRING": _line(lambda raw: _latin1(_ESCAPED.sub(_plain, raw.strip()[1:-1]))),
    "SHORT_BINSTRING": _text("<B", _latin1),
    "BINSTRING": _text("<I", _latin1),
    "UNICODE": _line(_unescaped),
    "BYTEARRAY8": _text("<Q", bytes),
}
for _begins, _ends, _form in (("SHORT_", "", "<B"), ("", "", "<I"), ("", "8", "<Q")):
    INSTRUCTIONS[f"{_begins}BINUNICODE{_ends}"] = _text(_form, _utf8)
    INSTRUCTIONS[f"{_begins}BINBYTES{_ends}"] = _text(_form, bytes)


def _noted(name: str, do: Callable) -> Callable:
    def noting(machine: Any, at: int) -> Any:
        machine.found.foreign.add(name)
        return do(machine, at)

    return do if name in TORCH_READS.split() else noting


# By its byte: how long an instruction is (0 if it tells itself), its cost, what it does.
TABLE: list[Any] = [None] * 256
for _op in pickletools.opcodes:
    if _op.name in INSTRUCTIONS:
        _size = _op.arg.n if _op.arg else 0
        _do = _noted(_op.name, INSTRUCTIONS[_op.name])
        TABLE[ord(_op.code)] = (max(0, 1 + _size), COSTS.get(_op.name, 8), _do)
