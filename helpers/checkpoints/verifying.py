"""Say what a checkpoint's file guarantees, and read what it says about itself.

Save, Load, Ship 0.2.0: helpers/checkpoints/verifying.py · repairs: CHANGELOG.md
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.checkpoints.archive.container import Archive, open_archive
from helpers.checkpoints.archive.errors import IncompatibleCheckpointError
from helpers.checkpoints.archive.pickles import StandIn, read_structure
from helpers.checkpoints.saving import FORMAT_VERSIONS, KEYS

_NO_DIGEST = "no digest of headers and directory: changes there may go unseen"
_NO_CRCS = "no CRC-32 of the records (switched off when it was saved): unverifiable"


@dataclass(frozen=True)
class Verification:
    """A checkpoint that is complete and safe to open.

    Attributes:
        path: the file.
        size: its bytes.
        records: how many records its archive holds.
        missing: what the file does not guarantee, as sentences; empty for a file of
            `save_checkpoint`, of which every byte was checked.

    >>> print(Verification(Path("run.pt"), size=2048, records=6, missing=()))
    run.pt: 6 records, every byte is checked
    """

    path: Path
    size: int
    records: int
    missing: tuple[str, ...]

    @property
    def verifiable(self) -> bool:
        """Whether the file has checksums of its values at all."""
        return _NO_CRCS not in self.missing

    def __str__(self) -> str:
        """Return one line."""
        found = "; ".join(self.missing) or "every byte is checked"
        return f"{self.path.name}: {self.records} records, {found}"


def verify(path: str | os.PathLike) -> Verification:
    """Check a `.pt`, whatever wrote it, without loading it or executing anything.

    A file without checksums is returned as unverifiable.

    Raises:
        FileNotFoundError, PermissionError: it cannot be opened.
        CorruptCheckpointError: it is damaged.
        UnsafeCheckpointError: opening it could run code, hang or fill the memory.
        IncompatibleCheckpointError: it is not a file of torch.save.

    >>> import torch
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     torch.save({"weight": torch.ones(2)}, f"{folder}/a.pt")
    ...     verify(f"{folder}/a.pt").missing
    ('no digest of headers and directory: changes there may go unseen',)
    """
    with open_archive(path) as archive:
        archive.check_bookkeeping()
        missing = [] if archive.sealed else [_NO_DIGEST]
        if archive.has_crcs:
            archive.check_payload()
        else:
            missing.append(_NO_CRCS)
        read_structure(archive)
        size = archive.status.st_size
        return Verification(archive.path, size, len(archive.records), tuple(missing))


def read_metadata(path: str | os.PathLike) -> dict[str, Any]:
    """Return a checkpoint's metadata without reading its tensors.

    The archive and the record that holds the metadata are checked, the tensors are not.

    Raises:
        FileNotFoundError, PermissionError, CheckpointError: as `verify`; also if
            `save_checkpoint` did not write the file.

    >>> from tempfile import TemporaryDirectory
    >>> from torch import nn
    >>> from helpers.checkpoints import save_checkpoint
    >>> with TemporaryDirectory() as folder:
    ...     path = save_checkpoint(f"{folder}/run.pt", model=nn.Linear(3, 2))
    ...     read_metadata(path)["parameters"]
    {'weight': (2, 3), 'bias': (2,)}
    """
    with _open_own(path, whole=False) as (_, content):
        return content["metadata"]


@contextmanager
def open_whole(path: str | os.PathLike) -> Iterator[Archive]:
    """Open a file of `save_checkpoint` of which every checksum is right.

    >>> from tempfile import TemporaryDirectory
    >>> from torch import nn
    >>> from helpers.checkpoints import save_checkpoint
    >>> with TemporaryDirectory() as folder:
    ...     path = save_checkpoint(f"{folder}/run.pt", model=nn.Linear(3, 2))
    ...     with open_whole(path) as archive:
    ...         archive.sealed
    True
    """
    with _open_own(path, whole=True) as (archive, _):
        yield archive


@contextmanager
def _open_own(path: str | os.PathLike, whole: bool) -> Iterator[tuple[Archive, dict]]:
    """Open a file of `save_checkpoint`, of this or an older version, and its structure."""
    with open_archive(path) as archive:
        archive.check_bookkeeping()
        if not archive.has_crcs:
            raise IncompatibleCheckpointError(
                f"{archive.path} has {_NO_CRCS}. If you trust it, save it again: "
                "torch.save(torch.load(path, weights_only=True), new_path)."
            )
        if whole:
            archive.check_payload()
        yield archive, _own_content(archive)


def _own_content(archive: Archive) -> dict[str, Any]:
    content = read_structure(archive)
    keys = list(content) if isinstance(content, dict) else []
    if not set(KEYS) <= set(keys) or not isinstance(content["metadata"], dict):
        held = f"the keys {', '.join(map(str, keys[:6]))}" if keys else "nothing"
        if not isinstance(content, dict):
            held = "a tensor" if type(content) is StandIn else f"a {type(content).__name__}"
        raise IncompatibleCheckpointError(
            f"{archive.path} was not written by save_checkpoint: it holds {held}. Read it "
            "by hand: torch.load(path, weights_only=True), then load_state_dict of each "
            "part."
        )
    version = content["metadata"].get("format_version")
    if version not in FORMAT_VERSIONS:
        raise IncompatibleCheckpointError(
            f"{archive.path} has format version {version!r}; this code reads "
            f"{' and '.join(map(str, FORMAT_VERSIONS))}. Read it with the version of the "
            "helpers that wrote it."
        )
    return content
