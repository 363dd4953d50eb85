"""Read the members of a JSON object one by one, in a bounded window.

Save, Load, Ship 0.2.0: helpers/model_files/json_members.py · repairs: CHANGELOG.md
"""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

_WINDOW = 1 << 20  # characters; no member may be longer
_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


def members(
    file: BinaryIO, length: int, into: tuple[str, ...] = ()
) -> Iterator[tuple[str, str, Any]]:
    """Yield (parent, key, value) of each member of the object in the next `length` bytes.

    Args:
        file: at the place where the object begins.
        length: of the object, with blanks around it.
        into: keys whose value, an object, is not yielded as a whole but member by member;
            "parent" is then this key, otherwise "".

    Raises:
        ValueError: it is not such an object, or a member is longer than a MiB.

    >>> from io import BytesIO
    >>> list(members(BytesIO(data := b'{"a": 1, "map": {"b": [2]}}'), len(data), ("map",)))
    [('', 'a', 1), ('map', 'b', [2])]
    """
    utf8 = codecs.getincrementaldecoder("utf-8")()
    window, at, parent, left = "", 0, "", length

    def look() -> str:
        nonlocal window, at, left
        if left and len(window) - at < _WINDOW:
            data = file.read(min(left, 2 * _WINDOW))
            left = left - len(data) if data else 0
            window, at = window[at:] + utf8.decode(data, final=not left), 0
        at = _SPACE.match(window, at).end()  # type: ignore[union-attr]
        return window[at : at + 1]

    def take(*wanted: str) -> str:
        nonlocal at
        if (found := look()) not in wanted or not found:
            raise ValueError(f"its JSON has {found!r} in place of {' or '.join(wanted)}")
        at += 1
        return found

    def value() -> Any:
        nonlocal at
        look()
        found, at = _DECODER.raw_decode(window, at)
        return found

    take("{")
    separator = "," if look() != "}" else take("}")
    while separator == ",":
        if look() != '"':
            raise ValueError("its JSON has no name where one must be")
        key = value()
        take(":")
        if key in into and not parent and look() == "{":
            take("{")
            parent = key
            if look() != "}":
                continue
        else:
            yield parent, key, value()
        separator = take(",", "}")
        if separator == "}" and parent:
            parent, separator = "", take(",", "}")
    if look():
        raise ValueError("something follows its JSON object")
