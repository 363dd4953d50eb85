"""Read a checkpoint's pickle without obeying it.

A pickle is a program: "take this global, call it with these arguments". torch.load with
weights_only=True calls only what is on its list. Here nothing is called at all: whatever
the pickle names is replaced by a `StandIn`.

Save, Load, Ship 0.2.0: helpers/checkpoints/archive/pickles.py · repairs: CHANGELOG.md
"""

import io
import pickle
from collections import OrderedDict
from typing import Any

import torch

from helpers.checkpoints.archive.container import Archive
from helpers.checkpoints.archive.errors import CorruptCheckpointError, UnsafeCheckpointError
from helpers.model_files.judging import bytes_of
from helpers.model_files.pickled_tensors import dtype_of

# The only globals that are taken for what they are.
_CONTAINERS = {
    "collections.OrderedDict": OrderedDict,
    "builtins.set": set,
    "__builtin__.set": set,  # what protocol 2 calls it
    "torch.Size": tuple,
}


class StandIn:
    """Stands for anything that is not a plain value: a tensor, a class, a function.

    >>> StandIn("os.system")("rm -r ~")  # a call does nothing
    <os.system>
    """

    def __init__(self, name: str):
        """Keep the name; it is never imported."""
        self.name = name

    def __repr__(self) -> str:
        """Return the name in angle brackets."""
        return f"<{self.name}>"

    def __call__(self, *args: Any) -> "StandIn":
        """Return itself where the pickle asks for a call."""
        return self

    def __setstate__(self, state: Any) -> None:
        """Ignore what the pickle would have set."""

    def __setitem__(self, key: Any, value: Any) -> None:
        """Ignore what the pickle would have set."""


def unsafe_globals(archive: Archive) -> list[str]:
    """Return the names in the pickle that weights_only=True would refuse, sorted.

    Raises:
        UnsafeCheckpointError: the pickle uses instructions that torch.save never writes.

    >>> from fractions import Fraction
    >>> from tempfile import TemporaryDirectory
    >>> from helpers.checkpoints.archive.container import open_archive
    >>> with TemporaryDirectory() as folder:
    ...     torch.save({"lr": Fraction(1, 10)}, f"{folder}/a.pt")
    ...     with open_archive(f"{folder}/a.pt") as archive:
    ...         unsafe_globals(archive)
    ['fractions.Fraction']
    """
    archive.mapped.seek(0)
    try:
        # An mmap reads and seeks as torch wants it, though it is not typed as a file.
        return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(archive.mapped))  # type: ignore[arg-type]
    except Exception as error:
        cure = "Do not open it with weights_only=False"
        start = archive.read("data.pkl")[:2]
        if start[:1] == b"\x80" and start != b"\x80\x02":
            cure = (
                f"It has pickle_protocol={start[1]}: helpers.model_files.inspect_file says "
                "whether it is safe, and by which lines it opens"
            )
        raise UnsafeCheckpointError(
            f"{archive.path}: its pickle is not one that torch.save writes ({error}). "
            f"Nothing in it was executed. {cure}."
        ) from error


def read_structure(archive: Archive) -> Any:
    """Return what the pickle holds, with a `StandIn` for every tensor.

    Raises:
        UnsafeCheckpointError: it names a global that weights_only=True would refuse, or
            a storage that is larger than its record: read through a memory map, its end
            would be its neighbour's bytes.
        CorruptCheckpointError: the pickle cannot be followed, or a record is missing.

    >>> from tempfile import TemporaryDirectory
    >>> from helpers.checkpoints.archive.container import open_archive
    >>> with TemporaryDirectory() as folder:
    ...     torch.save({"epoch": 3, "weight": torch.ones(2)}, f"{folder}/a.pt")
    ...     with open_archive(f"{folder}/a.pt") as archive:
    ...         read_structure(archive)
    {'epoch': 3, 'weight': <torch._utils._rebuild_tensor_v2>}
    """
    if names := unsafe_globals(archive):
        shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
        raise UnsafeCheckpointError(
            f"{archive.path} asks for {shown}, which weights_only=True refuses. A whole "
            "pickled model does, and so does a file with code in it. Nothing in it was "
            "executed. Ask its author for model.state_dict() and plain values; or, if "
            "these are tensors of a library that you use (torchao), import it first."
        )
    reader = _Reader(archive)
    try:
        return reader.load()
    except UnsafeCheckpointError:
        raise
    except Exception as error:
        raise CorruptCheckpointError(
            f"{archive.path}: its pickle cannot be followed "
            f"({type(error).__name__}: {error}). Save it again with torch.save."
        ) from error


# In place of a new object, the stand-in of its class stays on the stack.
def _keep_class(reader: Any) -> None:
    reader.stack.pop()  # the arguments


# The one in Python: the faster one in C takes memory for whatever number a pickle names.
class _Reader(pickle._Unpickler):
    def __init__(self, archive: Archive):
        super().__init__(io.BytesIO(archive.read("data.pkl")), encoding="utf-8")
        self._archive = archive

    dispatch = {**pickle._Unpickler.dispatch, pickle.NEWOBJ[0]: _keep_class}  # noqa: RUF012

    def find_class(self, module: str, name: str) -> Any:
        return _CONTAINERS.get(f"{module}.{name}") or StandIn(f"{module}.{name}")

    def persistent_load(self, identifier: Any) -> StandIn:
        kind, storage_type, key, _, elements = identifier
        if kind != "storage":
            raise pickle.UnpicklingError(f"unknown reference {kind!r}")
        record = self._archive.records[f"data/{key}"]
        claimed = elements * bytes_of(dtype_of(storage_type.name), 1)
        if not 0 <= claimed <= record.size:
            raise UnsafeCheckpointError(
                f"{self._archive.path}: storage {key!r} claims {claimed} bytes, its record "
                f"holds {record.size}. torch.save never writes that: do not "
                "open the file."
            )
        return StandIn("storage")
