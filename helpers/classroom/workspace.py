"""The notebook's temporary folder: one for each kernel, and gone with it."""

import functools
import os
import shutil
import tempfile
from pathlib import Path

import psutil

PREFIX = "save-load-ship-"


@functools.cache
def _folder() -> tempfile.TemporaryDirectory:
    _remove_orphans(Path(tempfile.gettempdir()))
    return tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-")


def temporary_folder() -> Path:
    """Return this kernel's temporary folder, at each call the same.

    So the set-up cell can run again without taking away what other cells have written.
    The folder is removed when the kernel is shut down or restarted. A kernel that is
    killed leaves it to the next one that asks for a folder.
    """
    return Path(_folder().name)


def _remove_orphans(parent: Path) -> None:
    for folder in parent.glob(f"{PREFIX}*"):
        process = folder.name.removeprefix(PREFIX).partition("-")[0]
        if process.isdigit() and not psutil.pid_exists(int(process)):
            # Another user's folder stays; so does one that another kernel removes just now.
            shutil.rmtree(folder, ignore_errors=True)
