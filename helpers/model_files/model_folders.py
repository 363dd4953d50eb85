"""Read what keeps a model in several files: shard indexes and the folders of libraries.

Save, Load, Ship 0.2.0: helpers/model_files/model_folders.py · repairs: CHANGELOG.md
"""

import os
from collections import defaultdict
from pathlib import Path
from typing import Any, BinaryIO

from helpers.model_files.file_findings import SAFE, Findings
from helpers.model_files.judging import LONGEST_NAME, HostileError, add_entry, inside
from helpers.model_files.safetensors_files import read_json, tensors

_SAFE_LOAD = "load_file(path)", "from safetensors.torch import load_file"
_TORCH_LOAD = "torch.load(path, map_location='cpu', weights_only=True)", "import torch"
# The first that is there is read.
_WEIGHTS = (
    "adapter_model.safetensors",
    "*.safetensors.index.json",
    "model.safetensors",
    "adapter_model.bin",
    "*.bin.index.json",
    "pytorch_model.bin",
)


def read_index(path: Path, file: BinaryIO, findings: Findings, verify: bool) -> None:
    """Fill in what an index of shards says, and hold it against the shards beside it.

    Raises:
        HostileError: it names a file outside its folder.
        ValueError: it is not such an index, or shards are missing or disagree.

    >>> import io
    >>> file = io.BytesIO(b'{"weight_map": {"w": "1.safetensors"}}')
    >>> read_index(Path("a.json"), file, Findings(Path("a.json")), verify=False)
    Traceback (most recent call last):
    ValueError: 1 of 1 shards are missing: 1.safetensors
    """
    index = _json(file)
    shards = defaultdict(set)
    for key, name in index.pop("weight_map").items():
        if not isinstance(name, str) or len(name) > LONGEST_NAME:
            raise ValueError(f"it names no file for {key[:99]!r}")
        shards[name].add(key)
    about = index.pop("metadata", None) or {}
    _show({f"metadata {key}": value for key, value in about.items()} | index, findings)
    places = {name: inside(path.parent, name) for name in shards}
    missing = sorted(name for name, place in places.items() if place is None)
    findings.values["shards"] = f"{len(shards) - len(missing)} of {len(shards)} are here"
    is_safe = all(name.endswith(".safetensors") for name in shards)
    findings.safety_why = "its shards are pickles; inspect each before you open it"
    if is_safe:
        findings.safety, findings.safety_why = SAFE, "safetensors has no place for code"
    load, imports = _SAFE_LOAD if is_safe else _TORCH_LOAD
    findings.opens = [
        "import json",
        "from pathlib import Path",
        imports,
        f"index = Path({str(path)!r})",
        "state_dict = {}",
        "for name in sorted(set(json.loads(index.read_text())['weight_map'].values())):",
        "    path = index.parent / name",
        f"    state_dict |= {load}",
    ]
    wrong = []
    if missing:
        wrong.append(_list(f"{len(missing)} of {len(shards)} shards are missing", missing))
    for name, place in places.items():
        if place is not None:
            findings.size += place.stat().st_size
            wrong += _compared(place, name, shards[name], findings) if is_safe else []
    if wrong:
        raise ValueError("; ".join(wrong[:9]))


def find_weights(path: Path, findings: Findings) -> Path:
    """Fill in what a folder of Hugging Face's says of a model, and return its weights.

    Raises:
        HostileError: it leads elsewhere.
        ValueError: its configuration is damaged, or there are no weights.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as name:
    ...     folder = Path(name)
    ...     _ = (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    ...     find_weights(folder, Findings(folder))
    Traceback (most recent call last):
    ValueError: there are no weights in it
    """
    for name in ("config.json", "adapter_config.json"):
        if config := inside(path, name):
            findings.size += config.stat().st_size
            with config.open("rb") as opened:
                _show(_json(opened), findings)
    if base := findings.values.get("base_model_name_or_path"):
        findings.notes.append(f"It is an adapter: it needs its base model, {base}.")
    if "auto_map" in findings.values:
        findings.notes.append(
            "Its configuration names code, which trust_remote_code=True would run."
        )
    weights = [place for name in _WEIGHTS for place in sorted(path.glob(name))]
    if not weights:
        raise ValueError("there are no weights in it")
    first, *others = weights
    if inside(path, first.name) is None:
        raise ValueError(f"{first.name} is no regular file")
    findings.notes += [f"Read here: {first.name}."] if others else []
    findings.size += first.stat().st_size
    return first


def _json(file: BinaryIO) -> dict[str, Any]:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return read_json(file, size)


def _show(said: dict[str, Any], findings: Findings) -> None:
    for key, value in list(said.items())[:200]:
        findings.values[key[:200]] = str(value)[:200]


def _compared(path: Path, name: str, promised: set[str], findings: Findings) -> list[str]:
    """Return how a shard differs from what the index says of it."""
    there = set()
    try:
        with path.open("rb") as file:
            for entry in tensors(file, {}):
                there.add(entry.name)
                add_entry(findings, entry)
    except HostileError:
        raise
    except ValueError as error:
        return [f"shard {name}: {error}"]
    lacks, more = sorted(promised - there), sorted(there - promised)
    return [
        _list(f"shard {name} {what}", names)
        for what, names in (
            (f"lacks {len(lacks)} tensors", lacks),
            (f"has {len(more)} that the index has not", more),
        )
        if names
    ]


def _list(what: str, names: list[str]) -> str:
    shown = ", ".join(name[:99] for name in names[:5])
    return f"{what}: {shown}{', ...' if len(names) > 5 else ''}"
