"""What following a file may cost, whatever is nested in it, and where a pickle leads.

Save, Load, Ship 0.2.0: helpers/model_files/budgets.py · repairs: CHANGELOG.md
"""

from dataclasses import dataclass, field
from operator import length_hint
from typing import Any

MOST_STEPS = 3_000_000
TOO_MUCH = "too much to follow"
# Bytes of memory that what they make takes, about; what ends a MARK takes it away.
COSTS = {
    **dict.fromkeys(("EMPTY_DICT", "EMPTY_SET", "REDUCE", "NEWOBJ", "BINPERSID"), 100),
    **dict.fromkeys(("NEXT_BUFFER", "NEWOBJ_EX", "INST", "OBJ", "PERSID"), 100),
    **dict.fromkeys(("GLOBAL", "STACK_GLOBAL", "EXT1", "EXT2", "EXT4"), 300),
    **dict.fromkeys(("EMPTY_LIST", "TUPLE1", "TUPLE2", "TUPLE3", "LONG1", "LONG4"), 70),
    **dict.fromkeys(("MARK", "APPEND", "SETITEM", "LONG_BINPUT", "MEMOIZE", "PUT"), 90),
    **dict.fromkeys(("BININT", "BININT2", "INT", "LONG", "FLOAT", "BINFLOAT"), 36),
    **dict.fromkeys(("DICT", "FROZENSET", "LIST", "APPENDS", "SETITEMS", "ADDITEMS"), 20),
    **dict.fromkeys(("STRING", "UNICODE", "BYTEARRAY8", "SHORT_BINSTRING"), 90),
    **{
        f"{size}{kind}": 90
        for size in ("", "SHORT_")
        for kind in ("BINUNICODE", "BINBYTES")
    },
    **dict.fromkeys(("BINSTRING", "BINUNICODE8", "BINBYTES8"), 90),
    **dict.fromkeys(("TUPLE", "POP_MARK"), -10),
}


class Budget:
    """What one file may cost in all, whatever is nested in it.

    Attributes:
        most: instructions that may be followed.
        ticks: an iterator with as many steps as are left of them.
        room: bytes of memory left for what they make, about.
        unpacked: bytes left to be read from archives.

    >>> Budget().is_spent
    False
    """

    def __init__(self, most: int = MOST_STEPS):
        """Give so many instructions, and memory for what they would make."""
        self.most, self.ticks = most, iter(range(most))
        self.room, self.unpacked = max(1 << 16, 16 * most), 1 << 28

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
        steps: instructions followed; all that the budget had where it is `TOO_MUCH`.
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
