"""Read a checkpoint of which every byte is right, onto the devices that are asked for.

Save, Load, Ship 0.2.0: helpers/checkpoints/reading.py · repairs: CHANGELOG.md
"""

import mmap
import os
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from helpers.arguments import type_of
from helpers.checkpoints.archive.container import Archive
from helpers.checkpoints.archive.errors import (
    CorruptCheckpointError,
    IncompatibleCheckpointError,
)
from helpers.checkpoints.verifying import open_whole

_ATTEMPTS = 10


def read_content(path: Path, map_location: Any) -> dict[str, Any]:
    """Return what a file holds of which every checksum is right.

    Its tensors on the CPU are pages of the file.

    Raises:
        TypeError, ValueError, RuntimeError: the map_location is none, or is not for this
            file.
        FileNotFoundError, PermissionError, CheckpointError: as `load_checkpoint`.

    >>> from tempfile import TemporaryDirectory
    >>> from helpers.checkpoints import save_checkpoint
    >>> with TemporaryDirectory() as folder:
    ...     path = save_checkpoint(f"{folder}/run.pt", model=torch.nn.Linear(3, 2))
    ...     read_content(path, "cpu:0")["model"]["bias"].shape
    torch.Size([2])
    """
    map_location = _as_torch_takes_it(map_location)
    for _ in range(_ATTEMPTS):
        with open_whole(path) as archive:
            checked = _as_path(archive)
            try:
                content = _load(checked, map_location)
            except Exception as error:
                if not _is_still(archive, checked):
                    continue
                # torch's own text may propose weights_only=False.
                raise _load_error(path, map_location, error) from None
            if _is_still(archive, checked):
                return content
    raise CorruptCheckpointError(
        f"{path} was replaced during each of {_ATTEMPTS} attempts to load it. Copy it, "
        "and load the copy."
    )


def _load(path: Path, map_location: Any) -> dict[str, Any]:
    private: Any = nullcontext()
    if os.name == "posix":  # whatever the default is: what is written is not for the file
        private = torch.serialization.set_default_mmap_options(mmap.MAP_PRIVATE)
    with private:
        return torch.load(path, map_location=map_location, weights_only=True, mmap=True)


def _load_error(path: Path, map_location: Any, error: Exception) -> Exception:
    """Return what is to be raised where every checksum is right: it is not damage."""
    try:
        _load(path, "cpu")
    except (OSError, MemoryError) as other:
        return other
    except Exception as other:
        return IncompatibleCheckpointError(
            f"{path}: its checksums are right, but torch {torch.__version__} cannot load "
            f"it: {str(other).rpartition('WeightsUnpickler error: ')[2].splitlines()[0]}"
        )
    return RuntimeError(
        f"map_location is {map_location!r}: {path} cannot go there: {error}"
    )


def _as_path(archive: Archive) -> Path:
    """Return a path for torch.load, which opens it anew, to the file that was checked.

    At its own path a writer may have put another by now. Linux names what is open.
    """
    opened = Path(f"/proc/self/fd/{archive.descriptor}")
    return opened if opened.exists() else archive.path


def _is_still(archive: Archive, path: Path) -> bool:
    now, then = path.stat(), archive.status
    same = now.st_size == then.st_size and now.st_mtime_ns == then.st_mtime_ns
    return same and os.path.samestat(now, then)


def _as_torch_takes_it(map_location: Any, must_be_here: bool = True) -> Any:
    """Return a map_location under the names that torch.load knows.

    Raises:
        TypeError, ValueError, RuntimeError: it is none.
    """
    if map_location is None or callable(map_location):
        return map_location
    if isinstance(map_location, Mapping):
        # No tensor of the file may ask for a device that only the dict names.
        return {str(k): _as_torch_takes_it(v, False) for k, v in map_location.items()}
    if not isinstance(map_location, str | torch.device):
        raise TypeError(
            f"map_location is {type_of(map_location)}; expected a device, a dict, a "
            "function or None"
        )
    try:
        kind = torch.device(map_location).type
        if must_be_here:
            torch.empty(0, device=map_location)
    except Exception as error:
        raise RuntimeError(f"map_location is {str(map_location)!r}: {error}") from error
    if kind == "meta":
        raise ValueError("map_location is 'meta', where tensors have no values")
    return "cpu" if kind == "cpu" else str(map_location)  # torch.load refuses "cpu:0"
