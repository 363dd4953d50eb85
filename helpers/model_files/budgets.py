"""What following a file may cost, whatever is nested in it, and where a pickle leads.

Save, Load, Ship 0.2.0: helpers/model_files/budgets.py · repairs: CHANGELOG.md
"""

from dataclasses import dataclass, field
from operator import length_hint
from typing import Any

MOST_STEPS = 10_000_000  # some 32 for a tensor, 70 in a list of parts of tensors
# Bytes of memory at first, in all, and for a byte of a pickle: 200,000 tensors take 190 MB.
_AT_FIRST, _IN_ALL, _FOR_A_BYTE = 48_000_000, 208_000_000, 20
TOO_MUCH = "too much to follow"
# Bytes of memory that what they make takes, about; what ends a MARK takes it away.
_TAKEN = {
    100: "EMPTY_DICT EMPTY_SET REDUCE NEWOBJ BINPERSID NEXT_BUFFER NEWOBJ_EX INST OBJ "
    "PERSID",
    300: "GLOBAL STACK_GLOBAL EXT1 EXT2 EXT4",
    70: "EMPTY_LIST TUPLE1 TUPLE2 TUPLE3 LONG1 LONG4",
    90: "MARK APPEND SETITEM STRING UNICODE BYTEARRAY8 SHORT_BINSTRING BINUNICODE "
    "BINBYTES SHORT_BINUNICODE SHORT_BINBYTES BINSTRING BINUNICODE8 BINBYTES8",
    36: "BININT BININT2 INT LONG FLOAT BINFLOAT",
    20: "DICT FROZENSET LIST APPENDS SETITEMS ADDITEMS",
    -10: "TUPLE POP_MARK",
}
COSTS = {name: cost for cost, names in _TAKEN.items() for name in names.split()}


class TooMuchError(ValueError):
    """A file has more than is followed, which says nothing against it.

    >>> issubclass(TooMuchError, ValueError)
    True
    """


class Budget:
    """What one file may cost in all, whatever is nested in it.

    Attributes:
        ticks: an iterator with as many steps as instructions may be followed.
        room: bytes of memory left for what they make, about.
        more: bytes that the pickle's own length may add to it.
        unpacked: bytes left to be read from archives.

    >>> Budget().is_spent
    False
    """

    def __init__(self, most: int = MOST_STEPS):
        """Give so many instructions, and memory for what they would make."""
        self.ticks = iter(range(most))
        self.room = min(_AT_FIRST, max(1 << 16, 16 * most))
        self.more, self.unpacked = _IN_ALL - _AT_FIRST, 1 << 28

    def spend(self, cost: int, length: int) -> None:
        """Take the memory of what so many bytes of a pickle made."""
        given = min(self.more, _FOR_A_BYTE * length)
        self.more -= given
        self.room += given - cost

    @property
    def is_spent(self) -> bool:
        """Whether nothing more is followed."""
        return self.room < 0 or self.unpacked < 0 or not length_hint(self.ticks)


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
