"""Read a protobuf field by field, as a stream, without knowing its schema.

The encoding: https://protobuf.dev/programming-guides/encoding

Save, Load, Ship 0.2.0: helpers/model_files/protobuf.py · repairs: CHANGELOG.md
"""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

VARINT, SPAN = 0, 2
_FIXED = {1: 8, 5: 4}
_CHUNK = 1024
_LONGEST_TEXT = 1 << 16


class Field(NamedTuple):
    """One field of a message.

    Attributes:
        number: in the schema.
        wire: VARINT, SPAN, or 1 and 5 for numbers of fixed size.
        value: of a varint; otherwise where its bytes begin in the file.
        stop: where they end.

    >>> Field(1, VARINT, 150, 3).value
    150
    """

    number: int
    wire: int
    value: int
    stop: int


def fields(file: BinaryIO, start: int, stop: int) -> Iterator[Field]:
    """Yield the fields of the message in bytes [start, stop) of a file.

    Payloads are skipped, not read; the file's position may change between two fields.

    Raises:
        ValueError: a field does not end where the message does, or is none.

    >>> from io import BytesIO
    >>> list(fields(BytesIO(bytes([8, 150, 1])), 0, 3))
    [Field(number=1, wire=0, value=150, stop=3)]
    """
    at, chunk, base = start, b"", start
    while at < stop:
        place = at - base
        # A key and a length take at most 10 bytes each.
        if not chunk or (place > len(chunk) - 20 and base + len(chunk) < stop):
            file.seek(at)
            chunk, base, place = file.read(min(_CHUNK, stop - at)), at, 0
        key, place = varint(chunk, place)
        number, wire = key >> 3, key & 7
        if wire in (VARINT, SPAN):
            value, place = varint(chunk, place)
        elif wire not in _FIXED:
            raise ValueError(f"at byte {at} there is no field of a protobuf")
        at = base + place
        if wire != VARINT:
            length = value if wire == SPAN else _FIXED[wire]
            value, at = at, at + length
        if at > stop or not number:
            raise ValueError(f"field {number} ends at byte {at}, its message at {stop}")
        yield Field(number, wire, value, at)


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number of variable length at a place, and the place behind it.

    Raises:
        ValueError: it does not end.

    >>> varint(bytes([150, 1]), 0)
    (150, 2)
    """
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("a number in it does not end")


def text(file: BinaryIO, field: Field) -> str:
    """Return a field of text, of a very long one the first 64 KiB.

    Raises:
        ValueError: it is a number.

    >>> from io import BytesIO
    >>> text(BytesIO(b"__abc"), Field(1, SPAN, 2, 5))
    'abc'
    """
    if field.wire != SPAN:
        raise ValueError(f"field {field.number} is a number where a text must be")
    file.seek(field.value)
    return file.read(min(field.stop - field.value, _LONGEST_TEXT)).decode(
        "utf-8", "replace"
    )
