"""Write a file so that the path always holds the whole old file or the whole new one.

A new file under another name in the same folder, fsync, rename, fsync of the folder.

Save, Load, Ship 0.2.0: helpers/atomic.py · repairs: CHANGELOG.md
"""

import errno
import hashlib
import os
import secrets
import socket
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

# Another machine's temporary file that has not been written to for this long is stale.
_DAY = 24 * 60 * 60
_CLOCK_SLACK = 2.0
# What a temporary name adds to the file's own: dots, machine, process, random, ".tmp".
_ADDED = 100
_CAUSES = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "your disk quota is used up",
    errno.EFBIG: "the file would exceed the largest size allowed here",
    errno.EACCES: "you have no permission to write there",
    errno.EPERM: "you have no permission to write there",
    errno.EROFS: "the disk is read-only",
}


@contextmanager
def atomic_write(path: str | os.PathLike, needed: int) -> Iterator[BinaryIO]:
    """Open a new file to write and read; it replaces the path when the block succeeds.

    On any exception, Ctrl-C too, the new file is removed and the path is as it was. After
    a crash it stays behind as `.NAME.HOST.PID.RANDOM.tmp` (a long NAME is cut, with a
    digest behind it), and the next save removes it. A symlink at the path is replaced, not
    followed. Permissions follow the umask.

    Args:
        path: where the file goes; its folder must exist.
        needed: about how many bytes will be written, for the message of a full disk.

    Raises:
        OSError: with the cause, the path and the bytes needed; `errno` is the system's.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "notes.txt")
    ...     with atomic_write(path, needed=5) as file:
    ...         count = file.write(b"whole")
    ...     path.read_bytes(), len(os.listdir(folder))
    (b'whole', 1)
    """
    path = Path(path)
    random = secrets.token_hex(4)
    writer = f"{_host()}.{os.getpid()}.{random}"
    temporary = path.with_name(f".{_short_name(path)}.{writer}.tmp")
    file = None
    try:
        with suppress(FileNotFoundError):
            # A name that is too long is refused here, before anything is written.
            if stat.S_ISDIR(path.lstat().st_mode):
                raise IsADirectoryError(errno.EISDIR, "there is a folder at this path")
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        file = os.fdopen(os.open(temporary, flags, 0o666), "w+b")
        _remove_stale(path, temporary, now=os.fstat(file.fileno()).st_mtime)
        yield file
        file.flush()
        # Without it, a power cut can leave the new name on an empty file.
        flush_to_disk(file.fileno())
        file.close()
        temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):
            if file is not None:
                file.close()  # writes what is buffered, so it can fail as well
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _save_error(error, path, needed) from error
        raise
    flush_folder(path.parent)


def _save_error(error: OSError, path: Path, needed: int) -> OSError:
    number = error.errno or 0
    cause = _CAUSES.get(number, error.strerror or str(error))
    if number == errno.ENOENT:
        cause = f"there is no folder {path.parent}"
    # OSError picks the subclass, such as PermissionError, by the number.
    return OSError(
        number,
        f"cannot save {path}: {cause}. About {needed} bytes are needed; "
        "what was at the path is unchanged",
    )


def flush_to_disk(descriptor: int) -> None:
    """Return once what was written to an open file survives a power cut.

    >>> from tempfile import TemporaryFile
    >>> with TemporaryFile() as file:
    ...     count = file.write(b"whole")
    ...     file.flush()  # from Python's buffer to the system
    ...     flush_to_disk(file.fileno())
    """
    os.fsync(descriptor)
    if sys.platform == "darwin":  # its fsync leaves the bytes in the drive's own cache
        import fcntl

        with suppress(OSError):  # not every file system knows it
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)


def flush_folder(folder: Path) -> None:
    """Make a new name in the folder survive a power cut; Windows does so by itself.

    The new file is in place by now, so a folder that may not be read, or a file system
    that cannot flush one, is not an error.

    >>> flush_folder(Path("."))
    """
    if os.name == "posix":
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _short_name(path: Path) -> str:
    """Return the file's name, or what stands for it where the two would be too long."""
    limit, name = 255, os.fsencode(path.name)
    with suppress(OSError, AttributeError):  # no such folder; Windows
        limit = os.pathconf(path.parent, "PC_NAME_MAX")
    if len(name) + _ADDED <= limit:
        return path.name
    kept = name[: max(limit - _ADDED - 17, 0)].decode(errors="ignore")
    return f"{kept}~{hashlib.sha256(name).hexdigest()[:16]}"


@cache
def _host() -> str:
    """Name this machine and, in a Linux container, its own set of process numbers."""
    # At most 40 bytes, and no dot, at which names are taken apart.
    name = socket.gethostname().replace(".", "-").encode()[:40].decode(errors="ignore")
    with suppress(OSError):
        name += f"-{Path('/proc/self/ns/pid').stat().st_ino}"
    return name


def _remove_stale(path: Path, own: Path, now: float) -> None:
    """Remove what dead writers of this path left behind; `own` is this writer's file.

    `now` is a new file's time: the disk's clock, which may differ from this machine's.
    """
    begins = f".{_short_name(path)}."
    with suppress(OSError):
        for entry in os.scandir(path.parent):
            if not entry.name.startswith(begins) or entry.name[-4:] != ".tmp":
                continue
            parts = entry.name[len(begins) :].split(".")
            if entry.name == own.name or len(parts) != 4 or not parts[1].isdigit():
                continue
            with suppress(OSError):  # another writer may have removed it
                written = entry.stat(follow_symlinks=False).st_mtime
                here = parts[0] == _host()
                old = now - written > _DAY
                if _is_dead(int(parts[1]), written) if here else old:
                    Path(entry.path).unlink()


def _is_dead(pid: int, written: float) -> bool:
    """Tell whether the process that wrote at this time has ended."""
    import psutil

    with suppress(psutil.AccessDenied):
        try:
            # A process that began later only has the same number.
            return psutil.Process(pid).create_time() > written + _CLOCK_SLACK
        except psutil.NoSuchProcess:
            return True
    return False
