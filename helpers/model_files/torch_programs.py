"""What is in the programs of TorchScript and of torch.export.

Save, Load, Ship 0.2.0: helpers/model_files/torch_programs.py · repairs: CHANGELOG.md
"""

import json
from pathlib import Path
from typing import BinaryIO

from helpers.model_files.file_findings import Findings, TensorEntry
from helpers.model_files.following import follow
from helpers.model_files.global_names import ALLOWED, judge
from helpers.model_files.opening_lines import exported_lines, script_lines
from helpers.model_files.pickled_tensors import read_content
from helpers.model_files.zip_records import ZipRecord, read_record

# Types of TorchScript's own reader, which imports nothing, and what are lists of them.
_LISTS = ("int", "tensor", "double", "bool")
_SCRIPT = ("__torch__.", "torch.jit._pickle.")
_PARTS = ("__torch__.", *(f"torch.jit._pickle.build_{x}list" for x in _LISTS))
# Numbers of dtypes in the schema of torch.export.
_DTYPES = (
    "? uint8 int8 int16 int32 int64 float16 float32 float64 complex32 complex64 complex128 "
    "bool bfloat16 ? ? ? ? ? ? ? ? ? ? ? ? ? ? uint16 float8_e4m3fn float8_e5m2 "
    "float8_e4m3fnuz float8_e5m2fnuz float8_e8m0fnu uint32 uint64"
)


def read_script(
    path: Path, file: BinaryIO, findings: Findings, inner: dict[str, ZipRecord]
) -> None:
    """Look at a TorchScript program: its tensors, not its code.

    `inner` is the archive's records by their names in it, in small letters.

    >>> from io import BytesIO
    >>> found = Findings(Path("a.pt"))
    >>> read_script(Path("a.pt"), BytesIO(), found, {})
    >>> found.is_
    'a TorchScript program'
    """
    kept = {n: v for n, v in findings.names.items() if not n.startswith(_SCRIPT)}
    findings.names = kept
    code = [name for name in inner if name.startswith("code/") and name.endswith(".py")]
    findings.is_ = "a TorchScript program"
    findings.evidence.append(f"{len(code)} files of code are in it")
    if "data.pkl" in inner:
        followed = follow(read_record(file, inner["data.pkl"]))
        content = read_content(followed.value)
        findings.entries, findings.values = content.entries, content.values
        findings.held = sum(size for size, _ in content.storages.values())
        parts = [name for name in followed.names if name.startswith(_PARTS)]
        if all(judge(name) == ALLOWED for name in followed.names if name not in parts):
            findings.opens = script_lines(path, parts)


def read_exported(
    path: Path, file: BinaryIO, findings: Findings, inner: dict[str, ZipRecord]
) -> list[str]:
    """Look at a program of torch.export: its weights, not its graph; return what is wrong.

    >>> from io import BytesIO
    >>> found = Findings(Path("a.pt2"))
    >>> read_exported(Path("a.pt2"), BytesIO(), found, {})
    []
    >>> found.is_
    'a program of torch.export (.pt2)'
    """
    findings.is_ = "a program of torch.export (.pt2)"
    findings.evidence.append("a graph as JSON and weights are in it")
    wrong, dtypes = [], {}
    for name, record in inner.items():
        if not name.endswith(("weights_config.json", "constants_config.json")):
            continue
        config = json.loads(read_record(file, record))["config"]
        for key, about in config.items():
            meta, place = about["tensor_meta"], name.rpartition("/")[0]
            stored = inner.get(f"{place}/{about['path_name']}".lower())
            if stored is None:
                wrong.append(f"the bytes of {key!r} are missing")
            elif meta and not about["use_pickle"]:
                shape = tuple(size["as_int"] for size in meta["sizes"])
                dtype = dtypes[meta["dtype"]] = _DTYPES.split()[meta["dtype"]]
                device, offset = meta["device"]["type"], meta["storage_offset"]["as_int"]
                entry = TensorEntry(
                    key, shape, dtype, stored.size, stored.name, offset, device
                )
                findings.entries.append(entry)
        are_plain = not any(about["use_pickle"] for about in config.values())
        if name.endswith("weights_config.json") and are_plain:
            findings.opens = exported_lines(path, record.name, dtypes)
    findings.held = sum({entry.storage: entry.bytes for entry in findings.entries}.values())
    return wrong
