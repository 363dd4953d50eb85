"""Read what keeps files of weights together: shard indexes, and folders of models.

Save, Load, Ship 0.2.0: helpers/model_files/model_folders.py · repairs: CHANGELOG.md
"""

import os
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from helpers.model_files.judging import (
    FETCH,
    LONGEST_NAME,
    MOST_FILES,
    HostileError,
    add_entry,
    inside,
    show_values,
)
from helpers.model_files.recognizing import recognize
from helpers.model_files.safetensors_files import once, read_json
from helpers.model_files.verdicts import DAMAGED, SAFE, UNKNOWN, UNSAFE, WHOLE, Findings
from helpers.model_files.wording import WEIGHTS

_Look = Callable[..., Findings]
_SHARDS = "torch zip", "legacy torch", "pickle"


def read_index(
    path: Path, file: BinaryIO, findings: Findings, verify: bool, look: _Look
) -> None:
    """Fill in what an index of shards says, and hold it against the shards beside it.

    `look` inspects a shard.

    Raises:
        HostileError: it names a file outside its folder, or a shard is unsafe.
        ValueError: it is not such an index, or shards are missing or disagree.

    >>> import io
    >>> file = io.BytesIO(b'{"weight_map": {"w": "1.safetensors"}}')
    >>> read_index(Path("a.json"), file, Findings(Path("a.json")), False, print)
    Traceback (most recent call last):
    ValueError: 1 of 1 shards are missing: 1.safetensors
    """
    index = read_json(file, pairs=once)
    shards = defaultdict(set)
    keys = index.pop("weight_map")
    if not isinstance(keys, dict):
        raise ValueError("its weight_map is no object")
    for key, name in keys.items():
        if not isinstance(name, str) or len(name) > LONGEST_NAME:
            raise ValueError(f"it names no file for {key[:99]!r}")
        shards[name].add(key)
    if len(shards) > MOST_FILES:
        raise HostileError(f"it names more than {MOST_FILES:,} shards")
    about = index.pop("metadata", None) or {}
    about = {f"metadata {key}": value for key, value in about.items()}
    show_values(about | index, findings)
    places = {name: inside(path.parent, name, findings) for name in shards}
    missing = sorted(name for name, place in places.items() if place is None)
    findings.values["shards"] = f"{len(shards) - len(missing)} of {len(shards)} are here"
    is_safe = all(name.endswith(".safetensors") for name in shards)
    load, more = "safetensors.torch.load_file(path", ""
    if not is_safe:
        load, more = "torch.load(path", ", map_location='cpu', weights_only=True"
    findings.opens = [
        "import json",
        "from pathlib import Path",
        "import safetensors.torch" if is_safe else "import torch",
        f"index = Path({str(path)!r})",
        "state_dict = {}",
        "keys = json.loads(index.read_text('utf-8-sig'))['weight_map']",
        "for name in sorted(set(keys.values())):",
        "    path = index.parent / name",
        f"    state_dict |= {load}{more})",
    ]
    wrong = []
    if missing:
        wrong.append(_list(f"{len(missing)} of {len(shards)} shards are missing", missing))
        findings.notes.append(FETCH)
    findings.safety, findings.safety_why = SAFE, "all of its shards are safe"
    checked = set()
    for name, place in places.items():
        if place is not None:
            findings.size += place.stat().st_size
            inner, differs = _compared(place, name, shards[name], findings, verify, look)
            wrong += differs
            checked.add(inner.bytes_checked)
            _pass_on(f"shard {name}", inner, findings)
            if not any(f"= {load.removesuffix('path')}" in line for line in inner.opens):
                findings.opens = []
    if verify and checked:
        findings.bytes_checked = DAMAGED if DAMAGED in checked else min(checked)
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
        if config := inside(path, name, findings):
            findings.size += config.stat().st_size
            with config.open("rb") as opened:
                show_values(read_json(opened), findings)
    if base := findings.values.get("base_model_name_or_path"):
        findings.notes.append(f"It is an adapter: it needs its base model, {base}.")
    if "auto_map" in findings.values:
        code = "Its configuration names code, which trust_remote_code=True would run."
        findings.notes.append(code)
    weights = [place for name in WEIGHTS for place in sorted(path.glob(name))]
    if not weights:
        raise ValueError("there are no weights in it")
    first, *others = weights
    if inside(path, first.name, findings) is None:
        raise ValueError(f"{first.name} is no regular file")
    findings.notes += [f"Read here: {first.name}."] if others else []
    findings.size += first.stat().st_size
    return first


def judge_beside(
    folder: Path, weights: Path, findings: Findings, look: Callable[[Path], Findings | None]
) -> None:
    """Judge whatever else stands in the folder of a model: a library may open it, too.

    `look` inspects a file; None for one that no reader knows.

    >>> found = Findings(Path("model"), safety=SAFE)
    >>> judge_beside(found.path, found.path / "model.safetensors", found, print)
    >>> found.safety
    'safe'
    """
    files = (Path(at, name) for at, _, names in os.walk(folder) for name in sorted(names))
    for count, path in enumerate(files):
        if count == MOST_FILES:
            findings.notes.append(f"Only {count:,} of its files were looked at.")
            findings.safety = UNKNOWN if findings.safety == SAFE else findings.safety
            return
        if path != weights and (inner := look(path)) is not None:
            _pass_on(f"{path.relative_to(folder)} in it", inner, findings)


def _compared(
    path: Path, name: str, promised: set[str], findings: Findings, verify: bool, look: _Look
) -> tuple[Findings, list[str]]:
    """Return what is in a shard, and how it differs from what the index says of it."""
    found = recognize(path)
    wanted = ("safetensors",) if name.endswith(".safetensors") else _SHARDS
    # An index could name itself.
    inner = Findings(path) if found.kind == "shard index" else look(path, verify)
    if found.kind not in wanted:
        return inner, [f"shard {name[:99]} is {found}"]
    for entry in inner.entries:
        add_entry(findings, entry)
    if inner.structure != WHOLE:
        return inner, [f"shard {name[:99]}: {inner.structure_why or inner.safety_why}"]
    there = {entry.name for entry in inner.entries}
    lacks, more = sorted(promised - there), sorted(there - promised)
    wrong = [_list(f"shard {name} lacks {len(lacks)} tensors", lacks)] if lacks else []
    what = f"shard {name} has {len(more)} that the index has not"
    return inner, [*wrong, _list(what, more)] if more else wrong


def _pass_on(what: str, inner: Findings, findings: Findings) -> None:
    """Let a file be no safer than one that belongs to it."""
    for name, verdict in inner.names.items():
        findings.names.setdefault(name, verdict)
    why = f"{what[:99]}: {inner.safety_why or inner.structure_why}"
    if inner.safety == UNSAFE and findings.safety != UNSAFE:
        findings.safety, findings.safety_why, findings.opens = UNSAFE, why, []
    elif inner.safety != SAFE and findings.safety == SAFE:
        findings.safety, findings.safety_why = UNKNOWN, why


def _list(what: str, names: list[str]) -> str:
    shown = ", ".join(name[:99] for name in names[:5])
    return f"{what}: {shown}{', ...' if len(names) > 5 else ''}"
