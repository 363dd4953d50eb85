"""Read a zip archive's directory, and report whatever two readers could see in two ways.

`zipfile` forgives much; a scanner that forgives, and a loader that forgives otherwise, can
be shown different content.

Save, Load, Ship 0.2.0: helpers/model_files/zip_records.py · repairs: CHANGELOG.md
"""

import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

STORED, DEFLATED = 0, 8
MOST_AT_ONCE = 64 << 20  # bytes of a directory or of a pickle
_CHUNK = 1 << 20
_BOMB = 20  # times the file's size: no weights are packed so well
_DISAGREE = "readers disagree on what is in it"


@dataclass(frozen=True, slots=True)
class ZipRecord:
    """One file in an archive: `packed` bytes at `start` that become `size`.

    >>> ZipRecord("a/data/0", start=704, packed=8, size=8, crc=0, method=STORED).size
    8
    """

    name: str
    start: int
    packed: int
    size: int
    crc: int
    method: int


def read_directory(file: BinaryIO) -> tuple[list[ZipRecord], list[str], int]:
    """Return the records in the order of the file, what is wrong, and where it ends.

    What ends there is the archive without its comment.

    Raises:
        ValueError: there is no directory, or none that can be read.

    >>> import io, zipfile
    >>> with zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
    ...     archive.writestr("a.txt", "hello")
    >>> records, wrong, end = read_directory(file)
    >>> records[0].name, records[0].size, wrong
    ('a.txt', 5, [])
    """
    length, wrong = file.seek(0, 2), []
    tail = _read(file, max(0, length - (1 << 16) - 22), length)
    at = tail.rfind(b"PK\x05\x06")
    if not 0 <= at <= len(tail) - 22:
        raise ValueError(
            "its directory is missing, which stands at the end: it was cut short"
        )
    end = behind = length - len(tail) + at
    count, size, start, comment = struct.unpack_from("<H2LH", tail, at + 10)
    if at + 22 + comment != len(tail):
        wrong.append("its end is not where the file ends: something follows it")
    if tail[max(0, at - 20) : at].startswith(b"PK\x06\x07"):
        (behind,) = struct.unpack_from("<Q", tail, at - 12)
        large = _read(file, behind, behind + 56)
        if len(large) < 56 or not large.startswith(b"PK\x06\x06"):
            raise ValueError("the end of its directory is damaged")
        small, (count, size, start) = (
            (count, size, start),
            struct.unpack_from("<3Q", large, 32),
        )
        full = (0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
        if any(
            s not in (n, f)
            for s, n, f in zip(small, (count, size, start), full, strict=True)
        ):
            wrong.append(f"it has two directories: {_DISAGREE}")
    if size > MOST_AT_ONCE or start + size > length:
        raise ValueError(f"its directory claims {size} bytes at {start} of {length}")
    if start + size != behind:
        wrong.append("its directory does not reach to its end")
    records, behind = list(_entries(_read(file, start, start + size), count)), 0
    records.sort(key=lambda record: record.start)
    for i, record in enumerate(records):
        header = _read(file, record.start, record.start + 30 + 4 * len(record.name))
        if len(header) < 30 or not header.startswith(b"PK\x03\x04"):
            wrong.append(f"record {record.name!r} is not where its directory says")
            continue
        flags, method = struct.unpack_from("<2H", header, 6)
        name, extra = struct.unpack_from("<2H", header, 26)
        if (
            _text(header[30 : 30 + name]) != record.name
            or method != record.method
            or flags & 1
        ):
            wrong.append(f"record {record.name!r} has another header: {_DISAGREE}")
        # A record's sums may follow it, in up to 24 bytes.
        if not 0 <= record.start - behind <= 24:
            kind = "stand in no record" if record.start > behind else "are in two records"
            wrong.append(
                f"{abs(record.start - behind)} bytes before {record.name!r} {kind}"
            )
        first = record.start + 30 + name + extra
        behind = max(behind, first + record.packed)
        if behind > start or (record.method == STORED and record.packed != record.size):
            wrong.append(f"record {record.name!r} claims bytes that are not there")
        records[i] = ZipRecord(
            record.name, first, record.packed, record.size, record.crc, record.method
        )
    names = Counter(
        record.name.lower() for record in records
    )  # torch's reader ignores case
    wrong += [
        f"record {name!r} is there {n} times: {_DISAGREE}"
        for name, n in names.items()
        if n > 1
    ]
    if start - behind > 24:
        wrong.append(f"{start - behind} bytes before its directory stand in no record")
    if sum(record.size for record in records) > max(_BOMB * length, 1 << 24):
        wrong.append("its records claim to become many times its size, to fill the memory")
    return records, wrong, end + 22


def chunks(file: BinaryIO, record: ZipRecord) -> Iterator[bytes]:
    """Yield a record's bytes, unpacked, a few MB at most at once.

    Raises:
        ValueError: they cannot be unpacked, or are not as many as the directory says.

    >>> import io, zipfile
    >>> with zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
    ...     archive.writestr("a.txt", "hello")
    >>> list(chunks(file, read_directory(file)[0][0]))
    [b'hello']
    """
    if record.method not in (STORED, DEFLATED):
        raise ValueError(f"record {record.name!r} is packed in an unknown way")
    unpack = zlib.decompressobj(-zlib.MAX_WBITS)
    end, got = record.start + record.packed, 0
    for start in range(record.start, end, _CHUNK):
        data = _read(file, start, min(start + _CHUNK, end))
        more = True
        while more and got <= record.size:
            if record.method == STORED:
                chunk, more = data, False
            else:
                try:
                    chunk = unpack.decompress(data, 4 * _CHUNK)
                except zlib.error as error:
                    raise ValueError(f"record {record.name!r}: {error}") from error
                data = unpack.unconsumed_tail
                more = bool(data) or len(chunk) == 4 * _CHUNK
            got += len(chunk)
            yield chunk
    if got != record.size:
        raise ValueError(f"record {record.name!r} does not hold its {record.size} bytes")


def read_record(file: BinaryIO, record: ZipRecord) -> bytes:
    """Return all bytes of a record, unpacked.

    Raises:
        ValueError: as `chunks`; also if it is too large to be read at once.

    >>> import io, zipfile
    >>> with zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
    ...     archive.writestr("a.txt", "hello")
    >>> read_record(file, read_directory(file)[0][0])
    b'hello'
    """
    if record.size > MOST_AT_ONCE:
        raise ValueError(
            f"record {record.name!r} of {record.size} bytes is too large to follow"
        )
    return b"".join(chunks(file, record))


def _read(file: BinaryIO, start: int, end: int) -> bytes:
    file.seek(start)
    return file.read(end - start)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")


def _entries(directory: bytes, count: int) -> Iterator[ZipRecord]:
    """Yield a record for each entry; its `start` is that of its header."""
    at = 0
    while at < len(directory):
        if directory[at : at + 4] != b"PK\x01\x02" or len(directory) < at + 46:
            raise ValueError(f"entry {count} of its directory is damaged")
        (method,) = struct.unpack_from("<H", directory, at + 10)
        crc, packed, size, name, extra, comment = struct.unpack_from(
            "<3L3H", directory, at + 16
        )
        (start,) = struct.unpack_from("<L", directory, at + 42)
        text = _text(directory[at + 46 : at + 46 + name])
        more, at = (
            directory[at + 46 + name : at + 46 + name + extra],
            at + 46 + name + extra + comment,
        )
        if 0xFFFFFFFF in (size, packed, start):
            size, packed, start = _large(more, size, packed, start)
        count -= 1
        yield ZipRecord(text, start, packed, size, crc, method)
    if count:
        raise ValueError(f"its directory names {count} records more than it has")


def _large(extra: bytes, *numbers: int) -> Iterator[int]:
    """Return the numbers, those that are too large for 32 bits from the extra field."""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<2H", extra)
        if kind == 1:
            large = iter(struct.unpack_from(f"<{length // 8}Q", extra, 4))
            return iter([next(large, n) if n == 0xFFFFFFFF else n for n in numbers])
        extra = extra[4 + length :]
    return iter(numbers)
