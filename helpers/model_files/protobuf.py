"""Read a protobuf field by field, as a stream, without knowing its schema.

The encoding: https://protobuf.dev/programming-guides/encoding

Save, Load, Ship 0.2.0: helpers/model_files/protobuf.py · repairs: CHANGELOG.md
"""

import os
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from helpers.model_files.judging import HostileError

VARINT, SPAN = 0, 2
_FIXED = {1: 8, 5: 4}
_CHUNK, _LONGEST_TEXT, _PAYLOAD = 1024, 1 << 16, 1 << 20
_MORE = bytes(range(128, 256))  # a number goes on behind these
_MOST_FIELDS, _MOST_PARTS = 5_000_000, 10_000


class Field(NamedTuple):
    """One field: a number, or bytes of a file.

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


class Messages:
    """The messages in a file, of which only so many fields are read.

    >>> from io import BytesIO
    >>> messages = Messages(BytesIO(bytes([8, 150, 1, 18, 1, 97])))
    >>> found = messages.pick(messages.whole, 1, 2)
    >>> messages.text(found[1]), messages.text(found[2])
    ('150', 'a')
    """

    def __init__(self, file: BinaryIO):
        """Begin with the file as a whole, which is one message."""
        self.file, self.read = file, 0
        self.whole = Field(0, SPAN, 0, file.seek(0, os.SEEK_END))

    def fields(self, message: Field) -> Iterator[Field]:
        """Yield the fields of a message; the file's position may change between two.

        Payloads are skipped, not read.

        Raises:
            HostileError: there are more than in any model.
            ValueError: a field does not end where the message does, or is none.
        """
        number, wire, at, stop = message
        if wire != SPAN:
            raise ValueError(f"field {number} at byte {at} is not a message")
        chunk, base = b"", at
        while at < stop:
            self.read += 1
            if self.read > _MOST_FIELDS:
                raise HostileError(f"it has more than {_MOST_FIELDS:,} fields")
            place = at - base
            # A key and a length take at most 10 bytes each.
            if not chunk or (place > len(chunk) - 20 and base + len(chunk) < stop):
                self.file.seek(at)
                chunk, base, place = self.file.read(min(_CHUNK, stop - at)), at, 0
            key, place = _varint(chunk, place)
            number, wire = key >> 3, key & 7
            if wire in (VARINT, SPAN):
                value, place = _varint(chunk, place)
            elif wire not in _FIXED:
                raise ValueError(f"at byte {at} there is no field of a protobuf")
            at = base + place
            if wire != VARINT:
                length = value if wire == SPAN else _FIXED[wire]
                value, at = at, at + length
            if at > stop or not number:
                raise ValueError(f"field {number} ends at byte {at}, its message at {stop}")
            yield Field(number, wire, value, at)

    def pick(self, at: Field, *numbers: int) -> dict[int, list[Field]]:
        """Return some fields of a message that no model has many of."""
        found: dict[int, list[Field]] = {number: [] for number in numbers}
        for field in self.fields(at):
            if field.number in found:
                found[field.number].append(field)
                if len(found[field.number]) > _MOST_PARTS:
                    raise HostileError(f"it has more than {_MOST_PARTS:,} parts of a kind")
        return found

    def text(self, found: list[Field]) -> str:
        """Return the last text or number, which is the one that counts; "" for none."""
        if not found:
            return ""
        _, wire, value, stop = found[-1]
        if wire == VARINT:
            return str(value)
        self.file.seek(value)
        return self.file.read(min(stop - value, _LONGEST_TEXT)).decode("utf-8", "replace")

    def numbers(self, found: list[Field]) -> Iterator[int]:
        """Yield numbers, which stand each in a field or together in one."""
        for field in found:
            if field.wire == VARINT:
                yield field.value
                continue
            self.file.seek(field.value)
            data, at = self.file.read(min(field.stop - field.value, _CHUNK)), 0
            while at < len(data):
                number, at = _varint(data, at)
                yield number

    def ends(self, field: Field) -> int:
        """Return how many numbers of variable length stand together in a field."""
        self.file.seek(field.value)
        left, count = field.stop - field.value, 0
        while left > 0 and (data := self.file.read(min(left, _PAYLOAD))):
            left -= len(data)
            count += len(data.translate(None, _MORE))
        return count


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number of variable length at a place, and the place behind it."""
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
