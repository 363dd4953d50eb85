"""What is free on this machine: memory and disk."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path


def free_memory(group: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the bytes that this process may still use, within a container's limit.

    Args:
        group: where the system keeps the files of the container's memory (cgroup v2).
    """
    import psutil

    free = psutil.virtual_memory().available
    with suppress(OSError, ValueError):  # no container, or one without a limit
        limit = int((group / "memory.max").read_text())
        lines = (group / "memory.stat").read_text().splitlines()
        used = dict(line.split() for line in lines)["anon"]
        free = min(free, limit - int(used))
    return free


def free_disk(*folders: str | os.PathLike) -> int:
    """Return the free bytes for files in these folders, on the fullest of their disks."""
    return min(shutil.disk_usage(folder).free for folder in folders)
