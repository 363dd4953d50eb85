"""What the readers share: an error becomes a verdict, lists and paths have limits.

Save, Load, Ship 0.2.0: helpers/model_files/judging.py · repairs: CHANGELOG.md
"""

import os
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from helpers.model_files.budgets import TooMuchError
from helpers.model_files.verdicts import (
    DAMAGED,
    NOT_CHECKED,
    UNKNOWN,
    UNSAFE,
    WHOLE,
    Findings,
    TensorEntry,
)

# The largest models have some 200,000; memory for more could be a bomb's aim.
MOST_ENTRIES, LONGEST_NAME = 250_000, 1000
MOST_FILES, _MOST_FOLDERS = 10_000, 32  # beside a file that names them
NUMPY_KINDS = {"f": "float", "i": "int", "u": "uint", "c": "complex"}
FETCH = "Files that belong to it are missing: fetch them, into the same folder."


class HostileError(ValueError):
    """A file asks for what no model needs; the text is the end of "it ...".

    >>> issubclass(HostileError, ValueError)
    True
    """


@contextmanager
def judging(findings: Findings) -> Iterator[None]:
    """Write what a reader raises, or that it raised nothing, into its findings.

    >>> found = Findings(Path("a.bin"))
    >>> with judging(found):
    ...     raise ValueError("its header ends early")
    >>> found.structure, found.structure_why
    ('damaged', 'its header ends early')
    """
    try:
        yield
    except (HostileError, RecursionError) as error:
        why = str(error) if isinstance(error, HostileError) else "it is nested too deeply"
        findings.safety, findings.safety_why, findings.opens = UNSAFE, why, []
    except TooMuchError as error:
        findings.structure, findings.safety, findings.opens = UNKNOWN, UNKNOWN, []
        findings.structure_why = findings.safety_why = str(error)
    except (ValueError, OverflowError, struct.error) as error:
        findings.structure, findings.structure_why, findings.opens = DAMAGED, str(error), []
    else:
        if findings.structure == NOT_CHECKED:
            findings.structure = WHOLE


def add_entry(findings: Findings, entry: TensorEntry) -> None:
    """Add a tensor to the findings.

    Raises:
        HostileError: there are too many, or its name is too long.
        ValueError: it claims more bytes than any file can have.

    >>> add_entry(found := Findings(Path("a.bin")), TensorEntry("w", (2,), "float32", 8))
    >>> len(found.entries)
    1
    """
    if len(entry.name) > LONGEST_NAME:
        raise HostileError(f"the name {entry.name[:50]!r}... is longer than any tensor's")
    if len(findings.entries) == MOST_ENTRIES:
        raise HostileError(f"it lists more than {MOST_ENTRIES:,} tensors")
    if entry.bytes >> 63:
        raise ValueError(f"tensor {entry.name[:99]!r} is larger than any file")
    findings.entries.append(entry)


def show_values(said: dict[str, object], findings: Findings) -> None:
    """Keep the beginning of what a file says of itself.

    >>> show_values({"by": "me"}, found := Findings(Path("a.json")))
    >>> found.values
    {'by': 'me'}
    """
    for key, value in list(said.items())[:200]:
        findings.values[key[:200]] = str(value)[:200]


def bytes_of(dtype: str, elements: int) -> int:
    """Return what so many elements take, those of fewer than 8 bits packed.

    >>> bytes_of("float32", 3), bytes_of("bool", 3), bytes_of("int4", 3)
    (12, 3, 2)
    """
    bits = re.search(r"\d+", dtype)
    return -(-elements * int(bits[0] if bits else 8) // 8)


def inside(folder: Path, name: str, findings: Findings | None = None) -> Path | None:
    """Return the path of a file that another one names; None if no regular file is there.

    Args:
        folder: where the other one is.
        name: as it says.
        findings: get a note of a link that leads out of the folder, where one may.

    Raises:
        HostileError: the name leads out of the folder, or a link without `findings`.
        ValueError: it is in folders that are nested too deeply.

    >>> inside(Path(__file__).parent, "missing.bin")
    >>> inside(Path(__file__).parent, "../arguments.py")
    Traceback (most recent call last):
    helpers...HostileError: it names '../arguments.py', which is outside its folder
    """
    shown = repr(name[:99])
    if name.count("/") > _MOST_FOLDERS:
        raise ValueError(f"it names {shown}..., which is nested too deeply")
    home, path = folder.resolve(), folder / name
    # Hugging Face's cache: links in snapshots/REVISION lead into a folder beside snapshots.
    cached = [at.parent for at in home.parents if at.name == "snapshots"]
    homes = [home, *(at / "blobs" for at in cached)]
    real = Path(os.path.realpath(path)) if "\0" not in name else Path("/")
    is_plain = "\0" not in name and ".." not in (parts := Path(name)).parts
    is_here = any(map(real.is_relative_to, homes))
    if not is_plain or parts.is_absolute() or not (is_here or findings):
        raise HostileError(f"it names {shown}, which is outside its folder")
    if findings and not is_here:
        findings.notes.append(f"{shown} is a link out of its folder, to {real}.")
    return path if os.path.isfile(path) else None  # noqa: PTH113 (any name will do)
