"""Follow a pickle without obeying it: nothing is imported, nothing is called.

A pickle is a program for a small machine with a stack. Here it works on stand-ins: what it
would import or make becomes a `Made`.

Save, Load, Ship 0.2.0: helpers/model_files/following.py · repairs: CHANGELOG.md
"""

import mmap
import struct
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import length_hint
from typing import Any

from helpers.model_files.pickle_instructions import TABLE, Made

MOST_STEPS = 3_000_000
_MOST_DEEP, _MOST_INSIDE = 3, 1 << 26  # pickles in pickles, and bytes of one in text


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


def follow(data: bytes | mmap.mmap, at: int = 0, most: int = MOST_STEPS) -> Followed:
    """Follow the pickle that begins at a byte, for at most so many instructions.

    >>> import pickle
    >>> follow(pickle.dumps({"epoch": 3})).value.items
    ['epoch', 3]
    >>> follow(b"cos\\nsystem\\n(S'rm -r ~'\\ntR.").names
    {'os.system': False}
    """
    ticks = iter(range(most))
    found = _Machine(data, ticks, 0).run(at)
    found.steps = most - length_hint(ticks)
    if found.problem and found.steps == most:
        found.problem = f"it has more than {most:,} instructions"
    return found


class _StopError(Exception):
    """The pickle has ended."""


class _Machine:
    def __init__(self, data: bytes | mmap.mmap, ticks: Iterator[int], depth: int):
        self.data, self.ticks, self.depth = data, ticks, depth
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []  # what MARK put aside
        self.memo: dict[int, Any] = {}
        self.found = Followed()

    def run(self, at: int) -> Followed:
        data, found, table = self.data, self.found, TABLE
        try:
            for _ in self.ticks:
                length, do = table[data[at]]
                if length:
                    do(self, at + 1)
                    at += length
                else:
                    at = do(self, at + 1)
            found.problem = "it has too many instructions"
        except _StopError as stop:
            (found.value,) = stop.args
            at += 1
        except (LookupError, ValueError, TypeError, EOFError, struct.error):
            found.problem = f"it breaks off at byte {at}"
        found.end = at
        return found

    def look_inside(self, data: bytes | mmap.mmap, start: int, end: int) -> None:
        """Follow text or bytes that may be pickles themselves."""
        is_likely = self.depth < _MOST_DEEP
        if data[start] == 0xC2:  # as which 0x80, the first byte of a pickle, is text
            text = data[start : min(end, start + _MOST_INSIDE)].decode("utf-8", "replace")
            data, start = text.encode("latin-1", "replace"), 0
        while is_likely and start < min(len(data), end):
            inner = _Machine(data, self.ticks, self.depth + 1).run(start)
            for name in inner.names:
                # What breaks off was no pickle, if its names could not be names.
                if not inner.problem or all(map(str.isidentifier, name.split("."))):
                    self.found.names.setdefault(name, True)
            start, is_likely = inner.end, not inner.problem

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def put(self, place: int) -> None:
        self.memo[place] = self.stack[-1]

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
        if type(module) is type(name) is str:
            # Python 3 has other names for some of Python 2's.
            old = NAME_MAPPING.get((module, name))
            full = ".".join(old or (IMPORT_MAPPING.get(module, module), name))
        else:
            full = "(a computed name)"
        self.found.names.setdefault(full, False)
        self.stack.append(Made(full))

    def make(self, args: Any, thing: Any) -> None:
        name = thing.name if isinstance(thing, Made) else type(thing).__name__
        if name == "_codecs.encode" and args and type(args[0]) is str:
            self.stack.append(args[0].encode("latin-1", "replace"))  # how bytes are kept
        else:
            self.stack.append(Made(name, args))

    def inst(self, module: str, name: str) -> None:
        args = tuple(self.pop_mark())
        self.name(module, name)
        self.make(args, self.stack.pop())

    def obj(self) -> None:
        thing, *args = self.pop_mark()
        self.make(tuple(args), thing)

    def build(self) -> None:
        state, top = self.stack.pop(), self.stack[-1]
        if isinstance(top, Made):
            top.state = state
            if top.args is None:  # no object, but a function or class of the process
                self.found.names.setdefault(f"(a change of {top.name})", False)

    def refer(self, what: Any) -> None:
        """Take what stands outside the pickle: a storage, or a class with its source."""
        if type(what) is tuple and what[:1] == ("module",):
            self.found.foreign.add("a class with its source")
            self.stack.append(what[1])
        else:
            self.stack.append(Made("(a storage)", what))

    def stop(self) -> None:
        raise _StopError(self.stack.pop())
