"""What is at the path: a regular file, or one of the things often given instead.

Save, Load, Ship 0.2.0: helpers/checkpoints/archive/opening.py · repairs: CHANGELOG.md
"""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from helpers.checkpoints.archive.errors import (
    CheckpointError,
    CorruptCheckpointError,
    IncompatibleCheckpointError,
    UnsafeCheckpointError,
)
from helpers.model_files.recognizing import recognize

RESTORE = "Restore it from a copy, or go back to an older checkpoint"


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
            f"{path} is not a checkpoint but {recognize(path)}."
        )
    if not stat.S_ISREG(status.st_mode):
        kind = "named pipe" if stat.S_ISFIFO(status.st_mode) else "device or socket"
        raise UnsafeCheckpointError(
            f"{path} is a {kind}; expected a regular file. Reading it could wait forever."
        )
    raise CorruptCheckpointError(
        f"{path} is empty (0 bytes): a crash or a full disk cut the save short. {RESTORE}."
    )


def not_an_archive(path: Path, file: BinaryIO, is_cut: bool = False) -> CheckpointError:
    """Return the error for a file that is no archive of torch.save.

    `file` is the same, open for reading; `is_cut` tells whether an archive's directory was
    found, though not at the end.

    >>> import io
    >>> print(not_an_archive(Path("a.pt"), io.BytesIO(b"\\x89HDF\\r\\n")))
    a.pt is not a checkpoint but an HDF5 file, such as Keras writes: read it with h5py.
    """
    found = recognize(path, file)
    is_cut = is_cut and found.kind in ("zip", "text", "unknown", "zeros")
    if is_cut or found.kind in ("cut zip", "torch zip"):
        return CorruptCheckpointError(
            f"{path} is damaged: the directory of its zip archive does not end where the "
            "file ends. The file was cut short, something follows it, or its last bytes "
            f"changed. {RESTORE}."
        )
    if found.kind in ("text", "unknown", "zeros"):
        return CorruptCheckpointError(f"{path} is not a checkpoint but {found}.")
    if found.kind in ("pickle", "legacy torch", "torchscript"):
        return UnsafeCheckpointError(f"{path} is {found}.")
    return IncompatibleCheckpointError(f"{path} is not a checkpoint but {found}.")
