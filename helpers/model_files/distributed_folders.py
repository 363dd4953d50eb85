"""Read the list of tensors in a folder of torch.distributed.checkpoint.

The list, `.metadata`, is a pickle, which that library loads as such: whatever it names is
imported. Entries that are no tensors are pickles in the files of weights.

Save, Load, Ship 0.2.0: helpers/model_files/distributed_folders.py · repairs: CHANGELOG.md
"""

import math
import os
from pathlib import Path
from typing import Any

from helpers.model_files.file_findings import SAFE, UNSAFE, Findings, TensorEntry
from helpers.model_files.following import follow
from helpers.model_files.global_names import ALLOWED, DANGEROUS, judge
from helpers.model_files.judging import HostileError, bytes_of, inside, keep

_OWN = "torch.distributed.checkpoint."
_KNOWN = {
    *(f"{_OWN}metadata.{name}" for name in ("Metadata", "MetadataIndex", "StorageMeta")),
    *(f"{_OWN}metadata.{name}StorageMetadata" for name in ("Tensor", "Chunk", "Bytes")),
    f"{_OWN}metadata.TensorProperties",
    f"{_OWN}metadata._MEM_FORMAT_ENCODING",
    f"{_OWN}filesystem._StorageInfo",
    "torch.serialization._get_layout",
    "pathlib.PosixPath",
    "pathlib.WindowsPath",
}
_LARGEST = 64 << 20


def read_dcp(path: Path, file: None, findings: Findings, verify: bool) -> None:
    """Fill in the tensors that a folder lists, and hold the list against its files.

    Raises:
        HostileError: its list is larger than any model's, or names a file elsewhere.
        ValueError: its list cannot be followed, or files are missing or cut short.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     _ = Path(folder, ".metadata").write_bytes(b"")
    ...     read_dcp(Path(folder), None, Findings(Path(folder)), verify=False)
    Traceback (most recent call last):
    ValueError: its list of tensors, .metadata: it breaks off at byte 0
    """
    metadata = inside(path, ".metadata")
    if metadata is None:
        raise ValueError("its list of tensors, .metadata, is no regular file")
    with os.scandir(path) as found:
        findings.size = sum(e.stat().st_size for e in found if e.is_file())
    if verify:
        findings.bytes_checked = "the format has no checksums"
    if metadata.stat().st_size > _LARGEST:
        raise HostileError(f"its .metadata is larger than {_LARGEST:,} bytes")
    followed = follow(metadata.read_bytes())
    for name in followed.names:
        findings.names[name] = ALLOWED if name in _KNOWN else judge(name)
    if followed.problem:
        raise ValueError(f"its list of tensors, .metadata: {followed.problem}")
    content = _attributes(followed.value)
    pickles = []
    for name, entry in _pairs(content.get("state_dict_metadata")):
        if (found_tensor := _tensor(str(name), _attributes(entry))) is None:
            pickles.append(str(name))
        else:
            keep(findings, found_tensor)
    if pickles:
        findings.values["pickled entries"] = ", ".join(pickles[:20])
    _judge(findings, pickles)
    if findings.safety == SAFE:
        findings.opens = [
            "import torch",
            "from torch.distributed.checkpoint.format_utils import dcp_to_torch_save",
            f"dcp_to_torch_save({str(path)!r}, 'model.pt')",
            "state_dict = torch.load('model.pt', weights_only=True)",
        ]
    needed: dict[str, int] = {}
    for _, entry in _pairs(content.get("storage_data")):
        match _attributes(entry):
            case {"relative_path": str(name), "offset": int(start), "length": int(length)}:
                needed[name] = max(needed.get(name, 0), start + length)
    for name, least in needed.items():
        part = inside(path, name)
        if part is None:
            raise ValueError(f"its file {name!r} is missing")
        if part.stat().st_size < least:
            raise ValueError(f"its file {name!r} was cut short: {least:,} bytes are listed")


def _judge(findings: Findings, pickles: list[str]) -> None:
    asked = {verdict: name for name, verdict in findings.names.items()}
    if name := asked.get(DANGEROUS):
        findings.safety, findings.safety_why = UNSAFE, f"its .metadata asks for {name}"
    elif others := [name for verdict, name in asked.items() if verdict != ALLOWED]:
        findings.safety_why = f"its .metadata asks for {others[0]}"
    elif pickles:
        findings.safety_why = f"{pickles[0]!r} is a pickle in its files, which loading runs"
    else:
        findings.safety, findings.safety_why = SAFE, "its .metadata names nothing foreign"


def _pairs(made: Any) -> list[tuple[Any, Any]]:
    items = getattr(made, "items", None)
    items = items if isinstance(items, list) else []
    return list(zip(items[::2], items[1::2], strict=False))


def _attributes(made: Any) -> dict[str, Any]:
    pairs = _pairs(getattr(made, "state", None))
    return {key: value for key, value in pairs if isinstance(key, str)}


def _tensor(name: str, entry: dict[str, Any]) -> TensorEntry | None:
    if "size" not in entry:
        return None
    args = getattr(entry["size"], "args", None)
    shape = args[0] if isinstance(args, tuple) and len(args) == 1 else None
    properties = getattr(entry.get("properties"), "state", None)
    sizes = shape if isinstance(shape, tuple) and len(shape) <= 64 else (-1,)
    if not all(type(n) is int and n >= 0 for n in sizes):
        raise ValueError(f"tensor {name!r} has no shape")
    dtype = getattr(properties[0], "name", "?") if isinstance(properties, tuple) else "?"
    dtype = dtype.removeprefix("torch.")
    return TensorEntry(name, sizes, dtype, bytes_of(dtype, math.prod(sizes)))
