"""The zip archive around a checkpoint: its records, and what guards each byte of it.

The archive's directory holds a CRC-32 of every record. torch.save writes it, torch.load
does not look at it. All other bytes (headers, names, padding, the directory) have no
checksum of their own, so `seal` adds one: their SHA-256, in the archive's comment. A
CRC-32 finds every flipped bit and every burst of up to 32 bits, and misses one in 2**32 of
other damage. Neither protects against a person who changes the file and the sums.
"""

import hashlib
import mmap
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from helpers.checkpoints.archive.errors import (
    CheckpointError,
    CorruptCheckpointError,
    IncompatibleCheckpointError,
    UnsafeCheckpointError,
)
from helpers.checkpoints.archive.files import DAMAGED, not_an_archive, open_regular

_END = b"PK\x05\x06"
_END_SIZE = 22
_SEAL = b"save-load-ship sha256 "
_HEX_DIGITS = 64
_THREADS = 2
# Below this many bytes, starting threads takes longer than they save.
_WORTH_THREADS = 4 << 20


@dataclass(frozen=True)
class Record:
    """One file inside the archive: its bytes are [start, end) of the archive's."""

    name: str
    start: int
    end: int
    crc: int


class Archive:
    """A checkpoint's records, mapped into memory; made by `open_archive`.

    Attributes:
        path: the file.
        mapped: its bytes, which can also be read as a file is.
        status: `os.stat_result` of the very file that was opened.
        records: name without the archive's root ("data.pkl", "data/0") -> Record.
        sealed: whether the archive's comment holds the digest of its bookkeeping.
    """

    def __init__(self, path: Path, file: BinaryIO, view: memoryview):
        """Read the directory and hold it against the file."""
        self.path, self.mapped, self._view = path, view.obj, view
        self.status = os.fstat(file.fileno())
        comment = _comment(path, view)
        self.sealed = bool(comment)
        try:
            self.records = _records(path, file, view)
        except CheckpointError as error:
            if not self.sealed:
                raise
            # A file that was good when it was sealed: what looks unsafe is damage.
            raise self._damaged_bookkeeping() from error

    def read(self, name: str) -> bytes:
        """Return a record's bytes; their CRC-32, if the writer took any, is right."""
        record = self.records[name]
        if self.has_crcs:
            self._check_crc(record)
        return bytes(self._view[record.start : record.end])

    @property
    def has_crcs(self) -> bool:
        """Whether the writer took checksums; torch.save can be told to leave them out."""
        filled = [record for record in self.records.values() if record.end > record.start]
        return any(record.crc for record in filled)

    def check_bookkeeping(self) -> None:
        """Compare everything that is not payload with the digest, where there is one."""
        if not self.sealed:
            return
        end = len(self._view) - _HEX_DIGITS
        if _digest(self._view, self.records, end) != bytes(self._view[end:]):
            raise self._damaged_bookkeeping()

    def check_payload(self) -> None:
        """Compare every record with its CRC-32, the largest first, on two threads."""
        largest_first = sorted(self.records.values(), key=lambda r: r.start - r.end)
        if len(self._view) < _WORTH_THREADS:
            for record in largest_first:
                self._check_crc(record)
            return
        with ThreadPoolExecutor(_THREADS) as pool:  # zlib lets go of the GIL
            for _ in pool.map(self._check_crc, largest_first):
                pass

    def _damaged_bookkeeping(self) -> CorruptCheckpointError:
        return CorruptCheckpointError(
            f"{self.path} is damaged: its headers or its directory are not those that "
            f"were written. {DAMAGED}."
        )

    def _check_crc(self, record: Record) -> None:
        found = zlib.crc32(self._view[record.start : record.end])
        if found != record.crc:
            raise CorruptCheckpointError(
                f"{self.path} is damaged: record {record.name!r} of "
                f"{record.end - record.start} bytes has CRC-32 {found:08x}, written was "
                f"{record.crc:08x}. {DAMAGED}."
            )


@contextmanager
def open_archive(path: str | os.PathLike) -> Iterator[Archive]:
    """Open a checkpoint for reading and check that its archive is complete.

    Complete means: a regular file, the directory at its end, every record stored (not
    compressed), within the file and apart from the others. `check_bookkeeping` and
    `check_payload` then look at the bytes. While it is open, do not change the file in
    place: memory that is mapped beyond a file's end kills the process.

    Raises:
        FileNotFoundError, PermissionError: it cannot be opened.
        CheckpointError: it is no complete archive of torch.save.
    """
    path = Path(path)
    with os.fdopen(open_regular(path), "rb") as file, map_archive(path, file) as archive:
        yield archive


@contextmanager
def map_archive(path: Path, file: BinaryIO) -> Iterator[Archive]:
    """Do the same for a file that is open already; the path is for messages."""
    with (
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        memoryview(mapped) as view,
    ):
        yield Archive(path, file, view)


def seal(archive: Archive, file: BinaryIO) -> None:
    """Write the digest of the bookkeeping into the comment of a new archive.

    Args:
        archive: of what torch.save wrote, and no more.
        file: the same, open for reading and writing.
    """
    length = (len(_SEAL) + _HEX_DIGITS).to_bytes(2, "little")
    view = archive._view
    digest = _digest(view, archive.records, len(view) - 2, length + _SEAL)
    file.seek(-2, os.SEEK_END)
    file.write(length + _SEAL + digest)


def _comment(path: Path, view: memoryview) -> bytes:
    """Return the archive's comment: none, or our own digest, at the very end."""
    sealed_size = _END_SIZE + len(_SEAL) + _HEX_DIGITS
    for size in (_END_SIZE, sealed_size):
        end = bytes(view[-size:])
        comment = end[_END_SIZE:]
        if (
            end.startswith(_END)
            and int.from_bytes(end[20:22], "little") == len(comment) == size - _END_SIZE
            and comment.startswith(_SEAL[: len(comment)])
        ):
            return comment
    is_cut = _END in bytes(view[-(1 << 16) :])
    raise not_an_archive(path, bytes(view[:64]), is_cut)


def _records(path: Path, file: BinaryIO, view: memoryview) -> dict[str, Record]:
    try:
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
    except Exception as error:  # of many kinds, according to what is damaged
        raise CorruptCheckpointError(
            f"{path} is damaged: the directory of its archive cannot be read ({error}). "
            f"{DAMAGED}."
        ) from error
    infos.sort(key=lambda info: info.header_offset)
    root = infos[0].filename.partition("/")[0] + "/" if infos else ""
    names = [info.filename.removeprefix(root) for info in infos]
    if "constants.pkl" in names:
        raise UnsafeCheckpointError(
            f"{path} is a TorchScript program: it holds code, not a state dict. Ask its "
            "author for the weights; run code only if you trust it."
        )
    if "data.pkl" not in names:
        raise IncompatibleCheckpointError(
            f"{path} is a zip archive, but not torch.save's: it has no record 'data.pkl'."
        )
    records, behind = {}, 0
    for name, info in zip(names, infos, strict=True):
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise UnsafeCheckpointError(
                f"{path}: record {name!r} is compressed or encrypted ({info.compress_size} "
                f"bytes that claim to become {info.file_size}). torch.save stores records "
                "as they are, and a few bytes could fill the memory: do not open it."
            )
        header = info.header_offset
        lengths = bytes(view[header + 26 : header + 30])
        start = header + 30 + sum(struct.unpack("<HH", lengths)) if len(lengths) == 4 else 0
        end = start + info.file_size
        whole = (
            bytes(view[header : header + 4]) == b"PK\x03\x04"
            and behind <= header
            and end <= len(view) - _END_SIZE
            and info.compress_size == info.file_size
            and info.filename.startswith(root)
            and name not in records
        )
        if not whole:
            raise CorruptCheckpointError(
                f"{path} is damaged: record {name!r} is not where the archive's directory "
                f"says, bytes {start} to {end} of {len(view)}. {DAMAGED}."
            )
        records[name] = Record(name, start, end, info.CRC)
        behind = end
    return records


def _digest(
    view: memoryview, records: dict[str, Record], end: int, more: bytes = b""
) -> bytes:
    """Return SHA-256, as hex digits, of view[:end] without the records, and of `more`."""
    sha, position = hashlib.sha256(), 0
    for record in records.values():  # in the order of the file
        sha.update(view[position : record.start])
        position = record.end
    sha.update(view[position:end])
    sha.update(more)
    return sha.hexdigest().encode()
