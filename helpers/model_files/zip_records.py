"""Read a zip archive's directory, and report whatever two readers could see in two ways.

`zipfile` forgives much; a scanner that forgives, and a loader that forgives otherwise, can
be shown different content.

Save, Load, Ship 0.2.0: helpers/model_files/zip_records.py · repairs: CHANGELOG.md
"""

import hashlib
import struct
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple

from helpers.model_files.budgets import TooMuchError
from helpers.model_files.judging import MOST_ENTRIES, HostileError

STORED, DEFLATED = 0, 8
MOST_AT_ONCE = 64 << 20  # bytes of a directory or of a pickle
END_SIZE = 22  # of the entry that ends an archive, without its comment
# Before the SHA-256, in an archive's comment, of all its bytes but the records'.
SEAL = b"save-load-ship sha256 "
_CHUNK = 1 << 20
_MOST_RECORDS = MOST_ENTRIES + 1000  # a tensor has one
BOMB = 200  # times the file's size: no weights are packed so well
_DISAGREE = "readers disagree on what is in it"
_ENTRY = struct.Struct("<8x2H4x3L3H8xL").unpack_from
_HEADER = struct.Struct("<4s2x2H16x2H").unpack_from


class ZipRecord(NamedTuple):
    """One file in an archive: `packed` bytes at `start` that become `size`.

    >>> ZipRecord("a/data/0", start=704, packed=8, size=8, crc=0, method=STORED).end
    712
    """

    name: str
    start: int
    packed: int
    size: int
    crc: int
    method: int

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.start + self.packed


def read_directory(
    file: BinaryIO, most: int = _MOST_RECORDS, bomb: int = BOMB
) -> tuple[list[ZipRecord], list[str], int]:
    """Return the records in the file's order, what is wrong, its end without comment.

    Raises:
        HostileError: its records claim `bomb` times its bytes.
        TooMuchError: it has more than `most` records.
        ValueError: there is no directory, or none that can be read.

    >>> import io, zipfile
    >>> with zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
    ...     archive.writestr("a.txt", "hello")
    >>> records, wrong, end = read_directory(file)
    >>> records[0].name, records[0].size, wrong
    ('a.txt', 5, [])
    """
    length, wrong = file.seek(0, 2), []
    tail = _read(file, max(0, length - (1 << 16) - 98), length)
    base, at = length - len(tail), tail.rfind(b"PK\x05\x06")
    if not 0 <= at <= len(tail) - END_SIZE:
        raise ValueError("its directory is missing, which ends it: it was cut short")
    count, size, start, comment = struct.unpack_from("<H2LH", tail, at + 10)
    if at + END_SIZE + comment != len(tail):
        wrong.append("its end is not where the file ends: something follows it")
    behind = base + at
    if at >= 76 and tail.startswith(b"PK\x06\x07", at - 20):
        behind -= 76
        if not tail.startswith(b"PK\x06\x06", at - 76):
            raise ValueError("the end of its directory is damaged")
        (named,) = struct.unpack_from("<Q", tail, at - 12)
        large = struct.unpack_from("<3Q", tail, at - 44)
        limits = zip((count, size, start), large, (0xFFFF, *[0xFFFFFFFF] * 2), strict=True)
        if named != behind or any(small not in (n, full) for small, n, full in limits):
            wrong.append(f"its end names two directories: {_DISAGREE}")
        count, size, start = large
    shift = behind - size - start
    if start + shift < 0:
        raise ValueError(f"its directory claims {size} bytes at {start} of {length}")
    if size > MOST_AT_ONCE or count > most:
        raise TooMuchError(f"its {count:,} records are too much to follow")
    if shift:
        wrong.append(f"{shift} bytes before it belong to no record: {_DISAGREE}")
    start += shift
    entries = sorted(_entries(_read(file, start, start + size), count, shift), reverse=True)
    found, behind = [], shift
    while entries:  # there can be many, so that each is let go
        header, flags, raw, packed, unpacked, crc, method = entries.pop()
        name, wide = _text(raw), len(raw)
        file.seek(header if 0 <= header < length else length)
        local = file.read(30 + wide)
        magic, own_flags, own_method, own_wide, more = _HEADER(local.ljust(30))
        own = (magic, own_method, own_wide, local[30:])
        if own != (b"PK\x03\x04", method, wide, raw) or (flags ^ own_flags) & 1:
            wrong.append(f"record {name!r} has another header: {_DISAGREE}")
        elif flags & 1:
            wrong.append(f"record {name!r} is encrypted")
        # A record's sums may follow it, in up to 24 bytes.
        if not 0 <= header - behind <= 24:
            kind = "stand in no record" if header > behind else "are in two records"
            wrong.append(f"{abs(header - behind)} bytes before {name!r} {kind}")
        first = header + 30 + own_wide + more
        behind = max(behind, first + packed)
        if behind > start or (method == STORED and packed != unpacked):
            wrong.append(f"record {name!r} claims bytes that are not there")
        found.append(ZipRecord(name, first, packed, unpacked, crc, method))
    names = {record.name.lower() for record in found}  # as torch's reader does
    if len(names) < len(found):
        twice, _ = Counter(record.name.lower() for record in found).most_common(1)[0]
        wrong.append(f"record {twice!r} is there twice: {_DISAGREE}")
    if start - behind > 24:
        wrong.append(f"{start - behind} bytes before its directory stand in no record")
    if (total := sum(record.size for record in found)) > max(bomb * length, 1 << 26):
        claim = f"claim to become {total}, to fill the memory"
        raise HostileError(f"its {length} bytes {claim}")
    return found, wrong, base + at + END_SIZE


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
    got = 0
    for start in range(record.start, record.end, _CHUNK):
        data = _read(file, start, min(start + _CHUNK, record.end))
        more = bool(data)
        if not more:
            break
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
        what = f"record {record.name!r} of {record.size} bytes"
        raise ValueError(f"{what} is too large to follow")
    return b"".join(chunks(file, record))


def digest(
    file: BinaryIO, records: Iterable[ZipRecord], end: int, more: bytes = b""
) -> bytes:
    """Return SHA-256, as hex digits, of a file to its `end` without records, and of `more`.

    `records` are in the order of the file.

    >>> import io
    >>> digest(io.BytesIO(b"hello"), [], 5)[:8]
    b'2cf24dba'
    """
    sha, behind = hashlib.sha256(), 0
    for record in records:
        sha.update(_read(file, behind, record.start))
        behind = record.end
    sha.update(_read(file, behind, end) + more)
    return sha.hexdigest().encode()


def _read(file: BinaryIO, start: int, end: int) -> bytes:
    if not 0 <= start < 1 << 43:  # a directory can claim a place that no file has
        return b""
    file.seek(start)
    return file.read(max(0, end - start))


def _text(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")


def _entries(directory: bytes, count: int, shift: int) -> Iterator[tuple]:
    """Yield what an entry says: where its header is, flags, name, sizes, CRC-32, method."""
    at = 0
    while at < len(directory) and count >= 0:
        if not directory.startswith(b"PK\x01\x02", at) or len(directory) < at + 46:
            raise ValueError("an entry of its directory is damaged")
        flags, method, crc, packed, size, *lengths, start = _ENTRY(directory, at)
        name, more = at + 46, at + 46 + lengths[0]
        raw, at = directory[name:more], at + 46 + sum(lengths)
        if at > len(directory):
            raise ValueError("an entry of its directory is damaged")
        # What is too large for 32 bits stands behind the name.
        while 0xFFFFFFFF in (size, packed, start) and more + 4 <= at:
            kind, length = struct.unpack_from("<2H", directory, more)
            if kind == 1:
                field = directory[more + 4 : min(at, more + 4 + length)]
                fields = struct.iter_unpack("<Q", field[: len(field) & ~7])
                # What is there stands in this order.
                size, packed, start = (
                    next(fields, [n])[0] if n == 0xFFFFFFFF else n
                    for n in (size, packed, start)
                )
                break
            more += 4 + length
        count -= 1
        yield start + shift, flags, raw, packed, size, crc, method
    if count:
        raise ValueError("its directory has not as many records as it says")
