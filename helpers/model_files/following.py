"""Follow a pickle without obeying it: nothing is imported, nothing is called.

A pickle is a program for a small machine with a stack. Here it works on stand-ins: what it
would import or make becomes a `Made`.

Save, Load, Ship 0.2.0: helpers/model_files/following.py · repairs: CHANGELOG.md
"""

import io
import os
import struct
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from operator import length_hint
from typing import Any, BinaryIO

from helpers.model_files.budgets import MOST_STEPS, TOO_MUCH, Budget, Followed
from helpers.model_files.numpy_forms import FORMS, MAKERS, odd_form
from helpers.model_files.pickle_instructions import MOST_LINE, TABLE, Made, could_be_meant

_MOST_DEEP, _MOST_INSIDE = 3, 1 << 24  # pickles in pickles, and bytes of one in text
# A file is read in windows, as one that is mapped and shrinks kills the process.
_WINDOW, _MARGIN = 1 << 17, MOST_LINE + 16
_FILLED = {"dict", "builtins.dict", "collections.OrderedDict", "collections.Counter"}
_LOOKED_AT = {*FORMS, *MAKERS, "_codecs.encode"}


def follow(
    data: bytes | BinaryIO,
    at: int = 0,
    most: int = MOST_STEPS,
    budget: Budget | None = None,
) -> Followed:
    """Follow the pickle that begins at a byte, for at most so many instructions.

    A `budget` is what is left for the whole file, in place of `most`.

    >>> import pickle
    >>> follow(pickle.dumps({"epoch": 3})).value.items
    ['epoch', 3]
    >>> follow(b"cos\\nsystem\\n(S'rm -r ~'\\ntR.").names
    {'os.system': False}
    """
    budget = budget or Budget(most)
    before = length_hint(budget.ticks)
    file = io.BytesIO(data) if isinstance(data, bytes) else data
    found = (machine := _Machine(file, file.seek(0, os.SEEK_END), budget)).found
    try:
        machine.run(at)
    except _SpentError:
        found.problem = TOO_MUCH
    found.steps = before - length_hint(budget.ticks)
    return found


class _StopError(Exception):
    """The pickle has ended."""


class _SpentError(Exception):
    """The budget has."""


class _Machine:
    def __init__(self, file: BinaryIO, end: int, budget: Budget, depth: int = 0):
        self.file, self.end, self.budget, self.depth = file, end, budget, depth
        self.data, self.base = b"", 0  # the window, and where it begins
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []  # what MARK put aside
        # Most number their places one by one: a list takes a tenth of the memory.
        self.memo, self.far = list[Any](), dict[int, Any]()
        self.found = Followed()

    def read(self, at: int, size: int) -> bytes:
        self.file.seek(at)
        return self.file.read(size)

    def window(self, at: int) -> bytes:
        """Read on; return the bytes at which an instruction is whole."""
        size = max(0, min(_WINDOW, self.end - at))
        self.data = self.read(at, size) if size else b""
        self.base = at
        return self.data[: len(self.data) - _MARGIN if size == _WINDOW else size]

    def run(self, at: int) -> None:
        found, table, budget, ticks = self.found, TABLE, self.budget, self.budget.ticks
        budget.spend(200, 0)
        try:
            while True:
                window, at, cost = self.window(at), 0, 0
                try:
                    for _ in ticks:
                        length, more, do = table[window[at]]
                        cost += more
                        if length:
                            do(self, at + 1)
                            at += length
                        else:
                            at = do(self, at + 1)
                    raise _SpentError
                except IndexError:
                    if at < len(window) or not window:
                        raise
                finally:
                    budget.spend(cost, min(at, len(window)))
                    at += self.base
                if budget.room < 0:
                    raise _SpentError
        except _StopError as stop:
            (found.value,) = stop.args
            at += 1
        except (LookupError, ValueError, TypeError, EOFError, struct.error):
            found.problem = f"it breaks off at byte {at}"
        finally:
            found.end = at

    def line_end(self, at: int) -> int:
        """Return the place behind the next end of a line."""
        if end := self.data.find(b"\n", at) + 1:
            return end
        place = self.base + len(self.data)
        while chunk := self.read(place, max(0, min(_WINDOW, self.end - place))):
            if end := chunk.find(b"\n") + 1:
                return place + end - self.base
            place += len(chunk)
        raise EOFError

    def look_inside(self, first: bytes, start: int, end: int) -> None:
        """Follow text or bytes that may be pickles themselves."""
        start, end = self.base + start, min(self.base + end, self.end)
        if first == b"\xc2":  # as which 0x80, the first byte of a pickle, is text
            text = self.read(start, min(end - start, _MOST_INSIDE)).decode(errors="replace")
            self.look_inside_text(text, end - start > _MOST_INSIDE)
        elif first:
            self.follow_inside(self.file, start, end)

    def look_inside_text(self, text: str, is_cut: bool) -> None:
        """Follow text; what it was cut from would take too much."""
        data = text.encode("latin-1", "replace")
        problem_at = self.follow_inside(io.BytesIO(data), 0, len(data))
        if is_cut and problem_at >= len(data):
            raise _SpentError

    def follow_inside(self, file: BinaryIO, start: int, end: int) -> int:
        """Follow pickles behind each other; return where that ends."""
        while start < end and self.depth < _MOST_DEEP:
            inner = _Machine(file, end, self.budget, self.depth + 1)
            found, is_framed = inner.found, inner.read(start, 1) == b"\x80"
            try:
                inner.run(start)
            finally:
                for name in found.names:
                    if (is_framed and not found.problem) or could_be_meant(name):
                        self.found.names.setdefault(name, True)
            start = found.end
            if found.problem:
                break
        return start

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def put(self, place: int) -> None:
        count = len(self.memo)
        if place == count:
            self.memo.append(self.stack[-1])
            self.far.pop(place, None)
        elif place < count:
            self.memo[place] = self.stack[-1]
        else:
            self.far[place] = self.stack[-1]
            self.budget.room -= 90

    def get(self, place: int) -> None:
        is_near = place < len(self.memo)
        self.stack.append(self.memo[place] if is_near else self.far[place])

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
            if top.name not in _FILLED:  # torch fills no others
                self.found.foreign.add(f"items of {top.name}")
        elif isinstance(top, list):
            top.extend(items)

    def name(self, module: Any, name: Any) -> None:
        if type(module) is type(name) is str:
            # Python 3 has other names for some of Python 2's.
            old = NAME_MAPPING.get((module, name))
            full = ".".join(old or (IMPORT_MAPPING.get(module, module), name))
        else:
            full = "(a computed name)"
        self.budget.room -= len(full)
        self.found.names.setdefault(full, False)
        self.stack.append(Made(full))

    def make(self, args: Any, thing: Any) -> None:
        name = thing.name if isinstance(thing, Made) else type(thing).__name__
        made = Made(name, args)
        if name in _LOOKED_AT:
            if name == "_codecs.encode" and args and type(args[0]) is str:
                self.stack.append(args[0].encode("latin-1", "replace"))  # kept bytes
                return
            self.judge_form(made)
        self.stack.append(made)

    def judge_form(self, made: Made) -> None:
        if odd := odd_form(made):
            self.found.names.setdefault(odd, False)

    def inst(self, module: str, name: str) -> None:
        self.name(module, name)  # which is imported first
        thing = self.stack.pop()
        self.make(tuple(self.pop_mark()), thing)

    def obj(self) -> None:
        thing, *args = self.pop_mark()
        self.make(tuple(args), thing)

    def build(self) -> None:
        state, top = self.stack.pop(), self.stack[-1]
        if isinstance(top, Made):
            top.state = state
            if top.args is None:  # no object, but a function or class of the process
                self.found.names.setdefault(f"(a change of {top.name})", False)
            elif top.name in FORMS:
                self.judge_form(top)

    def refer(self, what: Any) -> None:
        """Take what stands outside the pickle: a storage, or a class with its source."""
        if type(what) is tuple and what[:1] == ("module",):
            self.found.foreign.add("a class with its source")
            self.stack.append(what[1])
        else:
            self.stack.append(Made("(a storage)", what))

    def stop(self) -> None:
        raise _StopError(self.stack.pop())
