"""The zip archive around a checkpoint: its records, and what guards each byte of it.

The archive's directory holds a CRC-32 of every record. torch.save writes it; torch.load
does not look at it. All other bytes (headers, names, padding, the directory) have no
checksum of their own, so `seal` adds one: their SHA-256, in the archive's comment. A
CRC-32 finds every flipped bit and every burst of up to 32 bits, and misses one in 2**32 of
other damage. Neither protects against a person who changes both the file and the sums.

Save, Load, Ship 0.2.0: helpers/checkpoints/archive/container.py · repairs: CHANGELOG.md
"""

import mmap
import os
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from helpers.checkpoints.archive.directory import read_records
from helpers.checkpoints.archive.errors import CheckpointError, CorruptCheckpointError
from helpers.checkpoints.archive.opening import RESTORE, not_an_archive, open_regular
from helpers.model_files.zip_records import END_SIZE, SEAL, ZipRecord, digest

_END = b"PK\x05\x06"
_HEX_DIGITS = 64
_THREADS = 2
# Below this many bytes, starting threads takes longer than they save.
_WORTH_THREADS = 4 << 20


class Archive:
    """A checkpoint's records, mapped into memory; made by `open_archive`.

    Attributes:
        path: the file.
        mapped: its bytes, which can also be read as a file is.
        descriptor: the very file that was opened.
        status: its `os.stat_result`.
        records: name without the archive's root ("data.pkl", "data/0") -> ZipRecord.
        sealed: whether the archive's comment holds the digest of its bookkeeping.

    >>> import torch
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     torch.save({"weight": torch.ones(2)}, path := Path(folder, "a.pt"))
    ...     with open_archive(path) as archive:
    ...         archive.has_crcs, archive.sealed, len(archive.read("data/0"))
    (True, False, 8)
    """

    def __init__(self, path: Path, file: BinaryIO, mapped: mmap.mmap, view: memoryview):
        """Read the directory and check it against the file; `view` is of `mapped`."""
        self.path, self.mapped, self._file, self._view = path, mapped, file, view
        self.descriptor = file.fileno()
        self.status = os.fstat(self.descriptor)
        comment = _comment(path, file, view)
        self.sealed = bool(comment)
        try:
            self.records = read_records(path, file)
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
        return any(record.crc for record in self.records.values() if record.size)

    def check_bookkeeping(self) -> None:
        """Compare everything that is not payload with the digest, where there is one."""
        if not self.sealed:
            return
        end = len(self._view) - _HEX_DIGITS
        if digest(self._file, self.records.values(), end) != bytes(self._view[end:]):
            raise self._damaged_bookkeeping()

    def check_payload(self) -> None:
        """Compare every record with its CRC-32, the largest first, on two threads."""
        largest_first = sorted(self.records.values(), key=lambda r: -r.size)
        if len(self._view) < _WORTH_THREADS:
            for record in largest_first:
                self._check_crc(record)
            return
        with ThreadPoolExecutor(_THREADS) as pool:  # zlib releases the GIL
            list(pool.map(self._check_crc, largest_first))  # raises what they raise

    def _damaged_bookkeeping(self) -> CorruptCheckpointError:
        return CorruptCheckpointError(
            f"{self.path} is damaged: its headers or its directory are not those that "
            f"were written. {RESTORE}."
        )

    def _check_crc(self, record: ZipRecord) -> None:
        found = zlib.crc32(self._view[record.start : record.end])
        if found != record.crc:
            raise CorruptCheckpointError(
                f"{self.path} is damaged: record {record.name!r} of "
                f"{record.size} bytes has CRC-32 {found:08x} "
                f"instead of {record.crc:08x}. {RESTORE}."
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
        CheckpointError: it is not a complete archive of torch.save.

    >>> import torch
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     torch.save({"weight": torch.ones(2)}, path := Path(folder, "a.pt"))
    ...     with open_archive(path) as archive:
    ...         [name for name in archive.records if name.startswith("data")]
    ['data.pkl', 'data/0']
    """
    path = Path(path)
    with os.fdopen(open_regular(path), "rb") as file, map_archive(path, file) as archive:
        yield archive


@contextmanager
def map_archive(path: Path, file: BinaryIO) -> Iterator[Archive]:
    """Do the same for a file that is already open; the path is for messages.

    >>> import torch
    >>> from tempfile import TemporaryFile
    >>> with TemporaryFile() as file:
    ...     torch.save({"weight": torch.ones(2)}, file)
    ...     file.flush()
    ...     with map_archive(Path("a.pt"), file) as archive:
    ...         "data/0" in archive.records
    True
    """
    with (
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        memoryview(mapped) as view,
    ):
        yield Archive(path, file, mapped, view)


def seal(archive: Archive, file: BinaryIO) -> None:
    """Write the digest of the bookkeeping into the comment of a new archive.

    The archive holds what torch.save wrote, and no more; `file` is the same, open for
    reading and writing.

    >>> import torch
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder, open(f"{folder}/a.pt", "w+b") as file:
    ...     torch.save({"weight": torch.ones(2)}, file)
    ...     file.flush()
    ...     with map_archive(Path(file.name), file) as archive:
    ...         seal(archive, file)
    ...     file.flush()
    ...     with open_archive(file.name) as archive:
    ...         archive.sealed
    True
    """
    more = (len(SEAL) + _HEX_DIGITS).to_bytes(2, "little") + SEAL
    end = archive.status.st_size - 2
    found = digest(file, archive.records.values(), end, more)
    file.seek(end)
    file.write(more + found)


def _comment(path: Path, file: BinaryIO, view: memoryview) -> bytes:
    """Return the archive's comment: none, or our own digest, at the very end."""
    sealed_size = END_SIZE + len(SEAL) + _HEX_DIGITS
    for size in (END_SIZE, sealed_size):
        end = bytes(view[-size:])
        comment = end[END_SIZE:]
        if (
            end.startswith(_END)
            and int.from_bytes(end[20:22], "little") == len(comment) == size - END_SIZE
            and comment.startswith(SEAL[: len(comment)])
        ):
            return comment
    is_cut = _END in bytes(view[-(1 << 16) :])
    raise not_an_archive(path, file, is_cut)
