"""The directory of the zip archive: where each record is, and whether it is there.

Save, Load, Ship 0.2.0: helpers/checkpoints/archive/directory.py · repairs: CHANGELOG.md
"""

import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from helpers.checkpoints.archive.errors import (
    CorruptCheckpointError,
    UnsafeCheckpointError,
)
from helpers.checkpoints.archive.opening import RESTORE, not_an_archive

END_SIZE = 22  # bytes of the entry that ends a zip archive, without its comment


@dataclass(frozen=True)
class Record:
    """One file inside the archive: its bytes are [start, end) of the archive's.

    >>> Record("data/0", start=704, end=712, crc=0)
    Record(name='data/0', start=704, end=712, crc=0)
    """

    name: str
    start: int
    end: int
    crc: int


def read_records(path: Path, file: BinaryIO, view: memoryview) -> dict[str, Record]:
    """Return the records by name, each held against the header that precedes it.

    `file`, open for reading, and `view` are the same bytes; `path` is for messages.

    Raises:
        CheckpointError: the directory does not describe this file, or not a safe one.

    >>> import io, torch
    >>> torch.save({"weight": torch.ones(2)}, file := io.BytesIO())
    >>> record = read_records(Path("a.pt"), file, file.getbuffer())["data/0"]
    >>> record.end - record.start  # two float32
    8
    """
    try:
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
    except Exception as error:  # of many kinds, according to what is damaged
        raise CorruptCheckpointError(
            f"{path} is damaged: the directory of its archive cannot be read ({error}). "
            f"{RESTORE}."
        ) from error
    infos.sort(key=lambda info: info.header_offset)
    root = infos[0].filename.partition("/")[0] + "/" if infos else ""
    names = [info.filename.removeprefix(root) for info in infos]
    if "data.pkl" not in names or "constants.pkl" in names:
        raise not_an_archive(path, file)
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
            and end <= len(view) - END_SIZE
            and info.compress_size == info.file_size
            and info.filename.startswith(root)
            and name not in records
        )
        if not whole:
            raise CorruptCheckpointError(
                f"{path} is damaged: record {name!r} is not where the archive's directory "
                f"says, bytes {start} to {end} of {len(view)}. {RESTORE}."
            )
        records[name] = Record(name, start, end, info.CRC)
        behind = end
    return records
