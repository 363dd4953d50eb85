"""Read what keeps a model in several files: shard indexes and the folders of libraries.

Save, Load, Ship 0.2.0: helpers/model_files/model_folders.py · repairs: CHANGELOG.md
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from helpers.model_files.file_findings import SAFE, Findings
from helpers.model_files.json_members import members
from helpers.model_files.judging import (
    LONGEST_NAME,
    MOST_ENTRIES,
    HostileError,
    inside,
    keep,
)
from helpers.model_files.safetensors_files import NO_CHECKSUMS, read_safetensors, tensors

_LARGEST_JSON = 64 << 20
_PICKLES = "its shards are pickles; inspect each before you open it"


def read_index(
    path: Path, file: BinaryIO | None, findings: Findings, verify: bool = False
) -> None:
    """Fill in what an index of shards says, and hold it against the shards beside it.

    Raises:
        HostileError: it names a file outside its folder.
        ValueError: it is not such an index, or shards are missing or disagree.

    >>> import io
    >>> file = io.BytesIO(b'{"weight_map": {"w": "1.safetensors"}}')
    >>> read_index(Path("a.json"), file, Findings(Path("a.json")))
    Traceback (most recent call last):
    ValueError: 1 of 1 shards are missing: 1.safetensors
    """
    if file is None:
        with path.open("rb") as opened:
            return read_index(path, opened, findings, verify)
    shards: dict[str, list[str]] = {}
    for parent, key, value in _json(file, "metadata", "weight_map"):
        if parent == "weight_map":
            if not isinstance(value, str):
                raise ValueError(f"it names no file for {key[:99]!r}")
            shards.setdefault(value, []).append(key)
        elif len(findings.values) < 1000:
            findings.values[f"{parent} {key[:200]}".strip()] = str(value)[:200]
    found = {name: inside(path.parent, name) for name in shards}
    missing = sorted(name for name, place in found.items() if place is None)
    findings.values["shards"] = f"{len(shards) - len(missing)} of {len(shards)} are here"
    is_safe = all(name.endswith(".safetensors") for name in shards)
    findings.safety_why = _PICKLES
    if is_safe:
        findings.safety, findings.safety_why = SAFE, "safetensors has no place for code"
    wrong = []
    for name, place in found.items():
        if place is None:
            continue
        findings.size += place.stat().st_size
        if is_safe:
            wrong += _compared(place, name, set(shards[name]), findings)
    if missing:
        wrong.insert(
            0, _list(f"{len(missing)} of {len(shards)} shards are missing", missing)
        )
    load = "torch.load(path, map_location='cpu', weights_only=True)"
    findings.opens = [
        "import json",
        "from pathlib import Path",
        "from safetensors.torch import load_file" if is_safe else "import torch",
        f"index = Path({str(path)!r})",
        "state_dict = {}",
        "for name in sorted(set(json.loads(index.read_text())['weight_map'].values())):",
        "    path = index.parent / name",
        f"    state_dict |= {'load_file(path)' if is_safe else load}",
    ]
    if verify and is_safe:
        findings.bytes_checked = NO_CHECKSUMS
    if wrong:
        raise ValueError("; ".join(wrong[:9]))


def read_folder(path: Path, file: None, findings: Findings, verify: bool) -> None:
    """Fill in what is in a folder with a model or an adapter of Hugging Face's.

    Raises:
        HostileError, ValueError: as the readers of the files in it.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as name:
    ...     folder = Path(name)
    ...     _ = (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    ...     read_folder(folder, None, found := Findings(folder), verify=False)
    Traceback (most recent call last):
    ValueError: there are no weights in it
    """
    for name in ("config.json", "adapter_config.json"):
        if config := inside(path, name):
            with config.open("rb") as opened:
                for _, key, value in _json(opened):
                    if len(findings.values) < 200:
                        findings.values[key[:200]] = str(value)[:200]
            findings.size += config.stat().st_size
    if base := findings.values.get("base_model_name_or_path"):
        findings.notes.append(f"It is an adapter: it needs its base model, {base}.")
    if "auto_map" in findings.values:
        findings.notes.append(
            "Its configuration names code, which trust_remote_code=True would run."
        )
    weights = [p for pattern in _WEIGHTS for p in sorted(path.glob(pattern))]
    if not weights:
        raise ValueError("there are no weights in it")
    others = ", ".join(p.name for p in weights[1:9])
    findings.notes += [f"Read here: {weights[0].name}."] if others else []
    if inside(path, weights[0].name) is None:
        raise ValueError(f"{weights[0].name} is no regular file")
    if weights[0].suffix == ".json":
        return read_index(weights[0], None, findings, verify)
    findings.size += weights[0].stat().st_size
    if weights[0].suffix != ".safetensors":
        findings.safety_why = (
            f"{weights[0].name} is a pickle; inspect it before you open it"
        )
        return None
    with weights[0].open("rb") as opened:
        read_safetensors(weights[0], opened, findings, verify)


_WEIGHTS = (
    "adapter_model.safetensors",
    "*.safetensors.index.json",
    "model.safetensors",
    "adapter_model.bin",
    "*.bin.index.json",
    "pytorch_model.bin",
)


def _json(file: BinaryIO, *into: str) -> Iterator[tuple[str, str, Any]]:
    size = file.seek(0, os.SEEK_END)
    if size > _LARGEST_JSON:
        raise HostileError(f"its JSON of {size:,} bytes is larger than any model's")
    file.seek(0)
    for count, member in enumerate(members(file, size, into)):
        if count == MOST_ENTRIES or len(member[1]) > LONGEST_NAME:
            raise HostileError("its JSON lists more, or longer names, than any model's")
        yield member


def _compared(path: Path, name: str, promised: set[str], findings: Findings) -> list[str]:
    """Return how a shard differs from what the index says of it."""
    there = set()
    try:
        with path.open("rb") as file:
            for entry in tensors(file, {}):
                there.add(entry.name)
                keep(findings, entry)
    except HostileError:
        raise
    except ValueError as error:
        return [f"shard {name}: {error}"]
    differ = []
    if lacks := sorted(promised - there):
        differ.append(_list(f"shard {name} lacks {len(lacks)} tensors", lacks))
    if more := sorted(there - promised):
        differ.append(_list(f"shard {name} has {len(more)} that the index has not", more))
    return differ


def _list(what: str, names: list[str]) -> str:
    return f"{what}: {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"
