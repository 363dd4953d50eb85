"""Follow a pickle without obeying it: nothing is imported, nothing is called.

A pickle is a program for a small machine with a stack. Here it works on stand-ins: what it
would import or make becomes a `Made`.

Save, Load, Ship 0.2.0: helpers/model_files/following.py · repairs: CHANGELOG.md
"""

import mmap
import pickletools
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from helpers.model_files.global_names import modern
from helpers.model_files.pickle_values import (
    LENGTHS,
    MOST_TEXT,
    PUSHES,
    TORCH_READS,
    Made,
    count,
)

MOST_STEPS = 3_000_000
_MOST_DEEP = 3  # pickles in pickles
_COMPUTED = "(a computed name)"
_FIRST = b"\x80\xc2"  # how a pickle begins, and how it does as text


@dataclass
class Followed:
    """Where a pickle leads.

    Attributes:
        value: what it makes, with a `Made` for all but plain values, lists and tuples.
        names: dotted names that it would import -> whether a pickle inside it does.
        end: the first byte behind it.
        steps: instructions followed.
        problem: why it could not be followed to its end, or "".
        foreign: instructions that `torch.load(weights_only=True)` refuses.

    >>> Followed().names
    {}
    """

    value: Any = None
    names: dict[str, bool] = field(default_factory=dict)
    end: int = 0
    steps: int = 0
    problem: str = ""
    foreign: set[str] = field(default_factory=set)


def follow(
    data: bytes | mmap.mmap, at: int = 0, most: int = MOST_STEPS, depth: int = 0
) -> Followed:
    """Follow the pickle that begins at a byte, for at most so many instructions.

    >>> import pickle
    >>> follow(pickle.dumps({"epoch": 3})).value.items
    ['epoch', 3]
    >>> follow(b"cos\\nsystem\\n(S'rm -r ~'\\ntR.").names
    {'os.system': False}
    """
    machine = _Machine(data, at, most, depth)
    found = machine.found
    try:
        machine.steps()
        found.value = machine.stack.pop()
    except (
        LookupError,
        ValueError,
        AttributeError,
        TypeError,
        EOFError,
        struct.error,
    ) as e:
        found.problem = (
            str(e) if found.steps > most else f"it breaks off at byte {machine.at}"
        )
    found.end = machine.at
    return found


class _Machine:
    def __init__(self, data: bytes | mmap.mmap, at: int, most: int, depth: int):
        self.data, self.at, self.most, self.depth = data, at, most, depth
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []  # what MARK put aside
        self.memo: dict[int, Any] = {}
        self.found = Followed()

    def steps(self) -> None:
        data, size, found, memo = self.data, len(self.data), self.found, self.memo
        name = ""
        while name != "STOP":
            found.steps += 1
            if found.steps > self.most:
                raise ValueError(f"it has more than {self.most:,} instructions")
            name, length, push, do, is_foreign = _TABLE[data[self.at]]
            start = self.at + 1
            if length < 0:
                start, length = self.argument(name, start, length)
            self.at = end = start + length
            if end > size:
                raise EOFError
            raw = data[start:end] if length < MOST_TEXT else data[start : start + MOST_TEXT]
            if do is None:  # every third one
                memo[count(raw)] = self.stack[-1]
            elif push:
                self.stack.append(push(raw))
                if length > 4 and (b"\n" in raw or b"\x93" in raw or raw[0] in _FIRST):
                    self.look_inside(start, raw)
            else:
                do(self, raw)
            if is_foreign:
                found.foreign.add(name)

    def argument(self, name: str, start: int, length: int) -> tuple[int, int]:
        """Return where an argument of varying length begins, and its length."""
        if size := LENGTHS.get(length):
            return start + size, count(self.data[start : start + size])
        end = start  # one line or two
        for _ in range(2 if name in ("GLOBAL", "INST") else 1):
            end = self.data.find(b"\n", end) + 1
            if not end:
                raise EOFError
        return start, end - start

    def look_inside(self, start: int, raw: bytes) -> None:
        """Follow text or bytes that may be pickles themselves."""
        data, is_likely = self.data, True
        if raw[:1] == b"\xc2":  # a byte above 127, as text
            text = data[start : self.at].decode("utf-8", "replace")
            data, start = text.encode("latin-1", "replace"), 0
        while is_likely and start < min(len(data), self.at) and self.depth < _MOST_DEEP:
            inner = follow(data, start, self.most - self.found.steps, self.depth + 1)
            self.found.steps += inner.steps
            for name in inner.names:
                # What breaks off was no pickle, if its names could not be names.
                if not inner.problem or all(map(str.isidentifier, name.split("."))):
                    self.found.names.setdefault(name, True)
            start, is_likely = inner.end, not inner.problem

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def mark(self) -> None:
        self.below.append(self.stack)
        self.stack = []

    def pop_mark(self) -> list:
        items, self.stack = self.stack, self.below.pop()
        return items

    def pop(self, count: int) -> tuple:
        if len(self.stack) < count:
            raise IndexError
        items = tuple(self.stack[-count:])
        del self.stack[-count:]
        return items

    def add(self, items: list | tuple) -> None:
        top = self.stack[-1]
        if isinstance(top, Made):
            top.items = [] if top.items is None else top.items
            top.items.extend(items)
        elif isinstance(top, list):
            top.extend(items)

    def name(self, module: Any, name: Any) -> None:
        is_known = type(module) is type(name) is str
        full = modern(module, name) if is_known else _COMPUTED
        self.found.names.setdefault(full, False)
        self.stack.append(Made(full))

    def make(self, thing: Any, args: Any, *_: Any) -> None:
        name = thing.name if isinstance(thing, Made) else type(thing).__name__
        if name == "_codecs.encode" and args and type(args[0]) is str:
            self.stack.append(args[0].encode("latin-1", "replace"))  # how bytes are kept
        else:
            self.stack.append(Made(name, args))

    def inst(self, raw: bytes) -> None:
        args = tuple(self.pop_mark())
        self.name(*raw.decode().split("\n")[:2])
        self.make(self.stack.pop(), args)

    def obj(self) -> None:
        thing, *args = self.pop_mark()
        self.make(thing, tuple(args))

    def build(self) -> None:
        state = self.stack.pop()
        if isinstance(self.stack[-1], Made):
            self.stack[-1].state = state

    def refer(self, what: Any) -> None:
        """Take what stands outside the pickle: a storage, or a class with its source."""
        is_class = isinstance(what, tuple) and what[:1] == ("module",)
        self.stack.append(what[1] if is_class else Made("(a storage)", what))


# What an instruction does to the stack.
_DOES: dict[str, Callable[[_Machine, bytes], Any] | None] = {
    "MARK": lambda m, raw: m.mark(),
    "POP": lambda m, raw: m.stack.pop() if m.stack else m.pop_mark(),
    "POP_MARK": lambda m, raw: m.pop_mark(),
    "DUP": lambda m, raw: m.push(m.stack[-1]),
    "TUPLE": lambda m, raw: m.push(tuple(m.pop_mark())),
    "TUPLE1": lambda m, raw: m.push(m.pop(1)),
    "TUPLE2": lambda m, raw: m.push(m.pop(2)),
    "TUPLE3": lambda m, raw: m.push(m.pop(3)),
    "LIST": lambda m, raw: m.push(m.pop_mark()),
    "DICT": lambda m, raw: m.push(Made("dict", (), None, m.pop_mark())),
    "FROZENSET": lambda m, raw: m.push(Made("frozenset", (), None, m.pop_mark())),
    "APPEND": lambda m, raw: m.add(m.pop(1)),
    "SETITEM": lambda m, raw: m.add(m.pop(2)),
    **dict.fromkeys(
        ("APPENDS", "SETITEMS", "ADDITEMS"), lambda m, raw: m.add(m.pop_mark())
    ),
    "GLOBAL": lambda m, raw: m.name(*raw.decode().split("\n")[:2]),
    "STACK_GLOBAL": lambda m, raw: m.name(*m.pop(2)),
    **dict.fromkeys(("EXT1", "EXT2", "EXT4"), lambda m, raw: m.name(None, None)),
    **dict.fromkeys(("REDUCE", "NEWOBJ"), lambda m, raw: m.make(*m.pop(2))),
    "NEWOBJ_EX": lambda m, raw: m.make(*m.pop(3)),
    "INST": _Machine.inst,
    "OBJ": lambda m, raw: m.obj(),
    "BUILD": lambda m, raw: m.build(),
    "PERSID": lambda m, raw: m.refer(raw),
    "BINPERSID": lambda m, raw: m.refer(m.stack.pop()),
    "PUT": lambda m, raw: m.memo.update({int(raw): m.stack[-1]}),
    "GET": lambda m, raw: m.push(m.memo[int(raw)]),
    "MEMOIZE": lambda m, raw: m.memo.update({len(m.memo): m.stack[-1]}),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), None),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda m, raw: m.push(m.memo[count(raw)])),
    **dict.fromkeys(("PROTO", "FRAME", "STOP", "READONLY_BUFFER"), lambda m, raw: None),
}
_TABLE = {
    ord(op.code): (
        op.name,
        op.arg.n if op.arg else 0,
        PUSHES.get(op.name),
        _DOES.get(op.name, lambda m, raw: None),
        op.name not in TORCH_READS.split(),
    )
    for op in pickletools.opcodes
}
