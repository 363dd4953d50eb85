"""What is at the path: a regular file, or one of the things often given instead.

Save, Load, Ship 0.2.0: helpers/checkpoints/archive/opening.py · repairs: CHANGELOG.md
"""

import os
import stat
from pathlib import Path

from helpers.checkpoints.archive.errors import (
    CheckpointError,
    CorruptCheckpointError,
    IncompatibleCheckpointError,
    UnsafeCheckpointError,
)

RESTORE = "Restore it from a copy, or go back to an older checkpoint"
_LEGACY = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
_PICKLE = b"\x80"
# How files begin that are often given in place of a checkpoint.
_OTHERS = (
    (b"version https://git-lfs", "a Git LFS pointer: fetch the file with `git lfs pull`"),
    (b"<", "a web page or XML: the download went wrong, fetch the file again"),
    (b"\x89HDF", "an HDF5 file, such as Keras writes"),
)


def open_regular(path: Path) -> int:
    """Open a regular file for reading, without ever waiting; return its descriptor.

    Raises:
        FileNotFoundError, PermissionError: it cannot be opened.
        CheckpointError: the path is not a regular file, or the file is empty.

    >>> descriptor = open_regular(Path(__file__))
    >>> os.close(descriptor)
    """
    # Without O_NONBLOCK, opening a named pipe waits for a writer, perhaps forever.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    status = path.stat()
    if stat.S_ISREG(status.st_mode):
        descriptor = os.open(path, flags)
        # Asked again, since another file may be at the path by now.
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) and status.st_size:
            return descriptor
        os.close(descriptor)
    if stat.S_ISDIR(status.st_mode):
        raise IncompatibleCheckpointError(
            f"{path} is a folder; expected a .pt file. A folder that "
            "torch.distributed.checkpoint wrote is read by that library."
        )
    if not stat.S_ISREG(status.st_mode):
        kind = "named pipe" if stat.S_ISFIFO(status.st_mode) else "device or socket"
        raise UnsafeCheckpointError(
            f"{path} is a {kind}; expected a regular file. Reading it could wait forever."
        )
    raise CorruptCheckpointError(
        f"{path} is empty (0 bytes): a crash or a full disk cut the save short. {RESTORE}."
    )


def not_an_archive(path: Path, head: bytes, is_cut: bool) -> CheckpointError:
    """Return the error for a file that does not end as a zip archive does.

    `head` is its first 64 bytes; `is_cut` tells whether an archive's directory was found,
    though not at the end.

    >>> print(not_an_archive(Path("a.pt"), b"\\x89HDF\\r\\n", is_cut=False))
    a.pt is not a checkpoint but an HDF5 file, such as Keras writes.
    """
    if is_cut or head.startswith(b"PK"):
        return CorruptCheckpointError(
            f"{path} is damaged: the directory of its zip archive does not end where the "
            "file ends. The file was cut short, something follows it, or its last bytes "
            f"changed. {RESTORE}."
        )
    if head.startswith(_PICKLE):
        kind = "in the format of torch before 1.6" if _LEGACY in head else "a bare pickle"
        return UnsafeCheckpointError(
            f"{path} is {kind}: it has no checksums, and opening it can run code. If you "
            "trust its author, convert it: "
            "torch.save(torch.load(path, weights_only=True), new_path)."
        )
    if head[8:10] == b'{"':
        return IncompatibleCheckpointError(
            f"{path} is a safetensors file; read it with safetensors.torch.load_file."
        )
    for start, kind in _OTHERS:
        if head.lstrip().startswith(start):
            return IncompatibleCheckpointError(f"{path} is not a checkpoint but {kind}.")
    return CorruptCheckpointError(
        f"{path} is not an archive of torch.save: it begins with {head[:16]!r}. "
        "Give the path of a .pt file; if this was one, restore it from a copy."
    )
