"""The directory of the zip archive: where each record is, and whether it is there.

Save, Load, Ship 0.2.0: helpers/checkpoints/archive/directory.py · repairs: CHANGELOG.md
"""

from pathlib import Path
from typing import BinaryIO

from helpers.checkpoints.archive.errors import (
    CorruptCheckpointError,
    UnsafeCheckpointError,
)
from helpers.checkpoints.archive.opening import RESTORE, not_an_archive
from helpers.model_files.judging import HostileError
from helpers.model_files.zip_records import STORED, ZipRecord, read_directory


def read_records(path: Path, file: BinaryIO) -> dict[str, ZipRecord]:
    """Return the records by name, each held against the header that precedes it.

    `file` is open for reading; `path` is for messages.

    Raises:
        CheckpointError: the directory does not describe this file, or not a safe one.

    >>> import io, torch
    >>> torch.save({"weight": torch.ones(2)}, file := io.BytesIO())
    >>> read_records(Path("a.pt"), file)["data/0"].size  # two float32
    8
    """
    try:
        found, wrong, _ = read_directory(file, most=1 << 24)  # as many as are saved
    except HostileError as error:
        raise UnsafeCheckpointError(f"{path}: {error}. Do not open it.") from error
    except ValueError as error:
        raise CorruptCheckpointError(
            f"{path} is damaged: the directory of its archive cannot be read ({error}). "
            f"{RESTORE}."
        ) from error
    root = found[0].name.partition("/")[0] + "/" if found else ""
    records = {}
    for record in found:
        name = record.name.removeprefix(root)
        records[name] = record._replace(name=name)
        if not record.name.startswith(root):
            wrong.append(f"record {name!r} stands in another folder")
    if "data.pkl" not in records or "constants.pkl" in records:
        raise not_an_archive(path, file)
    for name, record in records.items():
        if record.method != STORED:
            raise UnsafeCheckpointError(
                f"{path}: record {name!r} is compressed ({record.packed} bytes that claim "
                f"to become {record.size}). torch.save stores records as they are, and a "
                "few bytes could fill the memory: do not open it."
            )
    if wrong:
        raise CorruptCheckpointError(f"{path} is damaged: {wrong[0]}. {RESTORE}.")
    return records
