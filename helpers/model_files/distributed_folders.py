"""Read a folder of torch.distributed.checkpoint: its list, and the pickles in its files.

The list, `.metadata`, is a pickle, which that library loads as such: whatever it names is
imported. So are entries that are no tensors, each a file of torch.save in a larger one.

Save, Load, Ship 0.2.0: helpers/model_files/distributed_folders.py · repairs: CHANGELOG.md
"""

import math
import os
import pickletools
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from helpers.model_files.budgets import TOO_MUCH, TooMuchError
from helpers.model_files.following import follow
from helpers.model_files.global_names import ALLOWED, DANGEROUS, LIST_ALLOWS, judge
from helpers.model_files.judging import HostileError, add_entry, bytes_of, inside, judging
from helpers.model_files.pickle_instructions import Made
from helpers.model_files.pickled_containers import pairs
from helpers.model_files.torch_archives import read_zip
from helpers.model_files.torch_pickles import conclude, follow_all
from helpers.model_files.verdicts import (
    DAMAGED,
    SAFE,
    UNKNOWN,
    UNSAFE,
    WHOLE,
    Findings,
    TensorEntry,
)
from helpers.model_files.wrapper_names import note_wrappers
from helpers.model_files.zip_records import MOST_AT_ONCE, STORED, read_directory

_TENSOR = "torch.distributed.checkpoint.metadata.TensorStorageMetadata"
_FOREIGN = "its list of tensors, .metadata, is not as torch writes it"
_NOT_ALL = "not all of its entries have checksums"


def read_dcp(path: Path, file: None, findings: Findings, verify: bool) -> None:
    """Fill in what a folder lists and what its pickles hold, and look at its files.

    Raises:
        HostileError: its list or a pickle asks for what no model needs, or hides something.
        ValueError: its list cannot be followed, or files are missing, cut short or damaged.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     _ = Path(folder, ".metadata").write_bytes(b"")
    ...     read_dcp(Path(folder), None, Findings(Path(folder)), verify=False)
    Traceback (most recent call last):
    ValueError: its list of tensors, .metadata: it breaks off at byte 0
    """
    metadata = inside(path, ".metadata", findings)
    if metadata is None:
        raise ValueError("its list of tensors, .metadata, is no regular file")
    with os.scandir(path) as found:
        findings.size = sum(e.stat().st_size for e in found if e.is_file())
    with metadata.open("rb") as opened:
        data = opened.read(MOST_AT_ONCE)
    followed = follow(data)
    for name in followed.names:
        findings.names[name] = ALLOWED if name in LIST_ALLOWS else judge(name)
    if followed.problem == TOO_MUCH or len(data) == MOST_AT_ONCE:
        raise TooMuchError("its list of tensors, .metadata, is too long to follow")
    if followed.problem:
        raise ValueError(f"its list of tensors, .metadata: {followed.problem}")
    _expect_all_shown(data, followed.value)
    findings.opens = [
        "from tempfile import TemporaryDirectory",
        "import torch",
        "from torch.distributed.checkpoint.format_utils import dcp_to_torch_save",
        "with TemporaryDirectory(dir='.') as folder:  # it needs room for all tensors",
        f"    dcp_to_torch_save({str(path)!r}, folder + '/model.pt')",
        "    state_dict = torch.load(folder + '/model.pt', weights_only=True)",
    ]
    if verify:
        findings.bytes_checked = WHOLE  # until one is not
        findings.notes.append("Its list, .metadata, has no checksum.")
    reader = _Reader(path, findings, verify)
    content = _attributes(followed.value)
    reader.read(content)
    conclude(findings, [])
    if findings.safety == SAFE:
        findings.safety = UNKNOWN if reader.unjudged else SAFE
        findings.safety_why = [*reader.unjudged, "its pickles name nothing foreign"][0]
    if findings.safety != SAFE:
        findings.opens = []
    _note_names(findings, pairs(content.get("planner_data")) or [])


def _note_names(findings: Findings, planned: list[tuple[Any, Any]]) -> None:
    """Say what wrappers left in the names of the weights.

    `planned` are names of entries, and the keys that lead to each: most lead to weights.
    """
    tensors = {entry.name for entry in findings.entries}
    around = defaultdict[tuple, list](list)
    for name, keys in planned or [(name, (name,)) for name in tensors]:
        if name in tensors and type(keys) is tuple and {*map(type, keys)} <= {str, int}:
            around[keys[:-1]] += keys[-1:]
    where, names = max(around.items(), key=lambda some: len(some[1]), default=((), []))
    if where and findings.opens:
        findings.opens.append(f"state = state_dict{''.join(f'[{key!r}]' for key in where)}")
    note_wrappers(findings, list(map(str, names)), all(type(x) is str for x in names))


class _Reader:
    def __init__(self, path: Path, findings: Findings, verify: bool):
        self.path, self.findings, self.verify = path, findings, verify
        self.pickled: set[str] = set()
        self.unjudged: list[str] = []

    def read(self, content: dict[str, Any]) -> None:
        for name, entry in _pairs(content["state_dict_metadata"]):
            # The class decides what torch does with it, whatever else stands there.
            if isinstance(entry, Made) and entry.name == _TENSOR:
                add_entry(self.findings, _tensor(str(name), _attributes(entry)))
            else:
                self.pickled.add(name)
        places, placed = defaultdict(set), set()
        for index, place in _pairs(content["storage_data"]):
            name, about = _attributes(index).get("fqn"), _attributes(place)
            file, at, length = map(about.__getitem__, ("relative_path", "offset", "length"))
            are_numbers = type(at) is type(length) is int and min(at, length) >= 0
            if not are_numbers or not type(name) is type(file) is str:
                raise ValueError(_FOREIGN)
            packing = str(about.get("transform_descriptors") or "")
            places[file].add((at, at + length, name, packing))
            placed.add(name)
        if lost := self.pickled - placed:
            raise ValueError(f"its list does not say where {min(map(str, lost))!r} is")
        for file, parts in places.items():
            self.file(file, sorted(parts))

    def file(self, name: str, parts: list[tuple[int, int, str, str]]) -> None:
        part, end = inside(self.path, name, self.findings), max(end for _, end, *_ in parts)
        if part is None:
            raise ValueError(f"its file {name!r} is missing")
        if part.stat().st_size < end:
            raise ValueError(f"its file {name!r} was cut short: {end:,} bytes are listed")
        behind = 0
        with part.open("rb") as file:
            for start, end, entry, packing in parts:
                if self.verify or entry in self.pickled:
                    if start < behind:  # so that none is followed twice
                        raise ValueError(f"entries overlap in its file {name!r}")
                    behind = end
                    self.entry(entry, _Part(file, start, end), packing)

    def entry(self, name: str, part: Any, packing: str) -> None:
        inner, findings = Findings(self.path), self.findings
        with judging(inner):
            if packing:
                inner.is_ = inner.safety_why = f"packed by {packing}"
            elif part.read(4) == b"PK\3\4":
                if any(record.method != STORED for record in read_directory(part)[0]):
                    raise HostileError("it is compressed, which torch never does")
                read_zip(self.path, part, inner, self.verify)
            elif name in self.pickled:
                if part.seek(0, os.SEEK_END) > MOST_AT_ONCE:
                    raise ValueError("it is too large to follow")
                part.seek(0)
                parts = follow_all(part.read(), inner)
                wrong = parts[0].problem if parts else "it is empty"
                conclude(inner, [wrong] if wrong else [])
        for asked, verdict in inner.names.items():
            findings.names.setdefault(asked, verdict)
            if verdict != ALLOWED:
                findings.names[asked] = verdict
                findings.notes.append(f"{asked} is named by its entry {name!r}.")
        if self.verify and inner.bytes_checked != WHOLE:
            is_bad = inner.bytes_checked == DAMAGED
            findings.bytes_checked = DAMAGED if is_bad else _NOT_ALL
        why = f"its entry {name!r}: {inner.structure_why or inner.safety_why}"
        if inner.structure == DAMAGED:
            raise ValueError(why)
        if inner.safety == UNSAFE and DANGEROUS not in inner.names.values():
            raise HostileError(why)
        if name in self.pickled:
            self.unjudged += [why] if inner.safety == UNKNOWN else []
            for key, text in (inner.values or {"": inner.is_.partition(" (")[0]}).items():
                findings.values[f"{name}.{key}".removesuffix(".")] = text
            for entry in inner.entries:
                whole = f"{name}.{entry.name}".removesuffix(".")
                storage = f"{name}: {entry.storage}"
                add_entry(findings, replace(entry, name=whole, storage=storage))


class _Part:
    """A part of a file, as a file of its own."""

    def __init__(self, file: BinaryIO, start: int, end: int):
        self.file, self.start, self.size, self.at = file, start, end - start, 0

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        self.at = place + (self.size if whence == os.SEEK_END else 0)
        return self.at

    def read(self, size: int = -1) -> bytes:
        left = max(0, self.size - self.at)
        self.file.seek(self.start + self.at)
        data = self.file.read(left if size < 0 else min(size, left))
        self.at += len(data)
        return data


def _expect_all_shown(data: bytes, value: Any) -> None:
    """Refuse objects filled twice, or apart from the list: they could hide much."""
    todo, filled = [value], dict[int, bool]()
    for made in todo:  # grows
        if id(made) not in filled:
            is_made = isinstance(made, Made)
            filled[id(made)] = is_made and made.state is not None
            if is_made:
                todo += [made.args, made.state, made.items]
            elif isinstance(made, (list, tuple)):
                todo += made
    fillings = sum(op.name == "BUILD" for op, _, _ in pickletools.genops(data))
    if fillings != sum(filled.values()):
        raise HostileError("its .metadata fills objects that are not shown in its list")


def _pairs(made: Any) -> list[tuple[Any, Any]]:
    # Of what other mappings are made from, not all would be seen.
    if not isinstance(made, Made) or made.name != "dict":
        raise ValueError(_FOREIGN)
    return list(zip(*[iter(made.items or [])] * 2, strict=False))


def _attributes(made: Any) -> dict[str, Any]:
    pairs = _pairs(getattr(made, "state", None))
    return {key: value for key, value in pairs if isinstance(key, str)}


def _tensor(name: str, entry: dict[str, Any]) -> TensorEntry:
    args = getattr(entry.get("size"), "args", None)
    shape = args[0] if isinstance(args, tuple) and len(args) == 1 else None
    properties = getattr(entry.get("properties"), "state", None)
    sizes = shape if isinstance(shape, tuple) and len(shape) <= 64 else (-1,)
    if not all(type(n) is int and n >= 0 for n in sizes):
        raise ValueError(f"tensor {name!r} has no shape")
    dtype = getattr(properties[0], "name", "?") if isinstance(properties, tuple) else "?"
    dtype = dtype.removeprefix("torch.")
    return TensorEntry(name, sizes, dtype, bytes_of(dtype, math.prod(sizes)))
