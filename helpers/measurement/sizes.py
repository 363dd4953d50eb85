"""Bytes: of files and folders, and written for people.

Save, Load, Ship 0.2.0: helpers/measurement/sizes.py · repairs: CHANGELOG.md
"""

from __future__ import annotations

import os
from pathlib import Path


def size_on_disk(path: str | os.PathLike) -> int:
    """Return the bytes of a file, or of all files in a folder and its subfolders.

    Raises:
        FileNotFoundError: if nothing is there.

    >>> size_on_disk(__file__) == len(Path(__file__).read_bytes())
    True
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file or folder to measure.")
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file())


def format_bytes(count: float) -> str:
    """Write a number of bytes with three digits: 1 kB is 1000 B, 1 MB is 1000 kB.

    >>> format_bytes(4_321), format_bytes(2**30)
    ('4.32 kB', '1.07 GB')
    """
    count = float(count)  # a NumPy number compares to NumPy's bool, which does not add up
    for unit in ("B", "kB", "MB", "GB", "TB"):
        # 999.5 and more would be rounded to 1000, which is 1.00 of the next unit.
        if abs(count) < 999.5 or unit == "TB":
            break
        count /= 1000
    decimals = 0 if unit == "B" else (abs(count) < 99.95) + (abs(count) < 9.995)
    return f"{count:.{decimals}f} {unit}"
