"""Read safetensors files, and what keeps them together: shard indexes, folders of models.

The format: https://github.com/huggingface/safetensors#format

Save, Load, Ship 0.2.0: helpers/model_files/safetensors_files.py · repairs: CHANGELOG.md
"""

import json
import math
import os
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from helpers.model_files.file_findings import SAFE, WHOLE, Findings, TensorEntry
from helpers.model_files.judging import (
    LONGEST_NAME,
    HostileError,
    add_entry,
    bytes_of,
    inside,
    judging,
)
from helpers.model_files.wording import WEIGHTS

# The largest headers of models take 30 MB; memory for more could be a bomb's aim.
_LARGEST_JSON, _MOST_PARTS = 64 << 20, 4_000_000
_WORDS = """
    BOOL bool, I8 int8, I16 int16, I32 int32, I64 int64, U8 uint8, U16 uint16, U32 uint32,
    U64 uint64, F16 float16, F32 float32, F64 float64, BF16 bfloat16, C64 complex64,
    F4 float4_e2m1fn, F6_E2M3 float6_e2m3fn, F6_E3M2 float6_e3m2fn, F8_E4M3 float8_e4m3fn,
    F8_E5M2 float8_e5m2, F8_E8M0 float8_e8m0fnu, F8_E4M3FNUZ float8_e4m3fnuz,
    F8_E5M2FNUZ float8_e5m2fnuz"""
_DTYPES = dict(map(str.split, _WORDS.split(",")))


def read_safetensors(path: Path, file: BinaryIO, findings: Findings, verify: bool) -> None:
    """Fill in what a safetensors file holds.

    Raises:
        HostileError, ValueError: the file is not as its header says.

    >>> import io
    >>> header = b'{"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}'
    >>> file = io.BytesIO(len(header).to_bytes(8, "little") + header + bytes(8))
    >>> read_safetensors(Path("a"), file, found := Findings(Path("a")), verify=False)
    >>> found.entries
    [TensorEntry(name='w', shape=(2,), dtype='float32', bytes=8, ...)]
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if length > size - 8:
        raise ValueError(f"its header claims {length:,} bytes of {size:,}")
    header = _json(file, 8, length, _once)
    for key, value in header.pop("__metadata__", {}).items():
        findings.values[key[:200]] = str(value)[:200]
    entries = [_entry(name, value) for name, value in header.items()]
    for _, _, entry in entries:
        add_entry(findings, entry)
    behind, held = 0, size - 8 - length
    for begin, end, entry in sorted(entries, key=lambda found: found[:2]):
        if end - begin != entry.bytes:
            what = f"tensor {entry.name!r} takes {entry.bytes}"
            raise ValueError(f"{what}, not {end - begin} bytes")
        if begin != behind:
            raise ValueError(
                f"bytes {begin} and {behind}: its tensors overlap or leave holes"
            )
        behind = end
    if behind != held:
        raise ValueError(f"its tensors take {behind:,} bytes, and {held:,} are there")


def _json(
    file: BinaryIO, start: int = 0, length: int | None = None, pairs: Callable = dict
) -> dict[str, Any]:
    """Return the JSON object in some bytes of a file, or in all of them."""
    length = file.seek(0, os.SEEK_END) if length is None else length
    if length > _LARGEST_JSON:
        raise HostileError(f"its JSON of {length:,} bytes is larger than any model's")
    file.seek(start)
    data = file.read(length)
    if sum(map(data.count, (b",", b"[", b"{"))) > _MOST_PARTS:
        raise HostileError("its JSON lists more than any model's")
    try:
        found = json.loads(data.decode(), object_pairs_hook=pairs)
    except ValueError as error:
        raise ValueError(f"its JSON is damaged: {error}") from None
    if not isinstance(found, dict):
        raise ValueError("its JSON is no object")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        name, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"it names {name[:99]!r} twice")
    return found


def _entry(name: str, value: Any) -> tuple[int, int, TensorEntry]:
    match value:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [begin, end]}:
            numbers = (*shape, begin, end)
            is_known = all(type(n) is int and 0 <= n < 1 << 63 for n in numbers)
            if is_known and len(shape) <= 64:
                word, held = _DTYPES.get(dtype), end - begin
                if word:
                    held = bytes_of(word, math.prod(shape))
                return begin, end, TensorEntry(name, tuple(shape), word or dtype, held)
    raise ValueError(f"its header describes {name[:99]!r} in no known way")


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
    index = _json(file, pairs=_once)
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
    load = "torch.load(path, map_location='cpu', weights_only=True)"
    findings.opens = [
        "import json",
        "from pathlib import Path",
        "import safetensors.torch" if is_safe else "import torch",
        f"index = Path({str(path)!r})",
        "state_dict = {}",
        "for name in sorted(set(json.loads(index.read_text())['weight_map'].values())):",
        "    path = index.parent / name",
        f"    state_dict |= {'safetensors.torch.load_file(path)' if is_safe else load}",
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
    weights = [place for name in WEIGHTS for place in sorted(path.glob(name))]
    if not weights:
        raise ValueError("there are no weights in it")
    first, *others = weights
    if inside(path, first.name) is None:
        raise ValueError(f"{first.name} is no regular file")
    findings.notes += [f"Read here: {first.name}."] if others else []
    findings.size += first.stat().st_size
    return first


def _show(said: dict[str, Any], findings: Findings) -> None:
    for key, value in list(said.items())[:200]:
        findings.values[key[:200]] = str(value)[:200]


def _compared(path: Path, name: str, promised: set[str], findings: Findings) -> list[str]:
    """Return how a shard differs from what the index says of it."""
    inner = Findings(path)
    with judging(inner), path.open("rb") as file:
        read_safetensors(path, file, inner, verify=False)
    for entry in inner.entries:
        add_entry(findings, entry)
    if inner.structure != WHOLE:
        return [f"shard {name}: {inner.structure_why or inner.safety_why}"]
    there = {entry.name for entry in inner.entries}
    lacks, more = sorted(promised - there), sorted(there - promised)
    wrong = [_list(f"shard {name} lacks {len(lacks)} tensors", lacks)] if lacks else []
    what = f"shard {name} has {len(more)} that the index has not"
    return [*wrong, _list(what, more)] if more else wrong


def _list(what: str, names: list[str]) -> str:
    shown = ", ".join(name[:99] for name in names[:5])
    return f"{what}: {shown}{', ...' if len(names) > 5 else ''}"
