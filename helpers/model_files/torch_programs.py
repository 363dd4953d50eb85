"""What is in the programs of TorchScript and of torch.export.

Save, Load, Ship 0.2.0: helpers/model_files/torch_programs.py · repairs: CHANGELOG.md
"""

import io
import math
from pathlib import Path
from typing import Any, BinaryIO

from helpers.model_files.following import follow
from helpers.model_files.global_names import ALLOWED, judge
from helpers.model_files.judging import bytes_of
from helpers.model_files.pickle_instructions import Made
from helpers.model_files.pickled_containers import pairs
from helpers.model_files.pickled_tensors import note_large_storages, read_content
from helpers.model_files.safetensors_files import read_json
from helpers.model_files.verdicts import Findings, TensorEntry
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
# A copy without the program, and plain objects in place of its modules.
_SCRIPT_LINES = """\
import io
import zipfile
import torch
class Part: pass
def flat(part, prefix=""):
    for name, value in vars(part).items():
        if isinstance(value, Part):
            yield from flat(value, f"{{prefix}}{{name}}.")
        elif isinstance(value, torch.Tensor):
            yield prefix + name, value
copy = io.BytesIO()
with zipfile.ZipFile({path!r}) as old, zipfile.ZipFile(copy, "w") as new:
    for name in old.namelist():
        if "/code/" not in name and not name.endswith(("constants.pkl", "bytecode.pkl")):
            new.writestr(name, old.read(name))
copy.seek(0)
parts = [(list if name[:6] == "torch." else Part, name) for name in {names}]
with torch.serialization.safe_globals(parts):
    state = dict(flat(torch.load(copy, map_location="cpu", weights_only=True)))"""
_EXPORTED_LINES = """\
import json
import zipfile
import torch
dtypes = {dtypes}
def read(about):
    meta = about["tensor_meta"]
    data = bytearray(archive.read({folder!r} + about["path_name"])) or bytearray(16)
    shape, strides = ([n["as_int"] for n in meta[key]] for key in ("sizes", "strides"))
    flat = torch.frombuffer(data, dtype=getattr(torch, dtypes[meta["dtype"]]))
    return flat.as_strided(shape, strides, meta["storage_offset"]["as_int"])
with zipfile.ZipFile({path!r}) as archive:
    config = json.loads(archive.read({config!r}))["config"]
    state = {{name: read(about) for name, about in config.items()}}"""


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
        read_content(followed.value, findings)
        parts = [name for name in followed.names if name.startswith(_PARTS)]
        are_known = all(judge(name) == ALLOWED for name in followed.names.keys() - {*parts})
        if not _are_plain(followed.value):
            findings.notes.append(
                "It holds objects, such as an Enum or packed weights, that "
                "torch.load(weights_only=True) does not read."
            )
        elif are_known and not followed.problem:
            lines = _SCRIPT_LINES.format(names=sorted(parts), path=str(path))
            findings.opens = lines.splitlines()


def _are_plain(value: Any) -> bool:
    """Return whether the parts of a program are modules: attributes, and nothing else."""
    todo, seen = [value], set()
    for some in todo:  # grows
        if isinstance(some, Made) and id(some) not in seen:
            seen.add(id(some))
            is_part = some.name.startswith("__torch__.") and some.args is not None
            is_odd = some.args or (some.state is not None and pairs(some.state) is None)
            if is_part and is_odd:
                return False
            todo += [some.args, some.state, some.items]
        elif isinstance(some, (list, tuple)) and id(some) not in seen:
            seen.add(id(some))
            todo += some
    return True


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
    wrong, dtypes, storages = [], {}, dict[str, int]()
    for name, record in inner.items():
        if not name.endswith(("weights_config.json", "constants_config.json")):
            continue
        config = read_json(io.BytesIO(read_record(file, record)))["config"]
        for key, about in config.items():
            meta, place = about["tensor_meta"], name.rpartition("/")[0]
            stored = inner.get(f"{place}/{about['path_name']}".lower())
            if stored is None:
                wrong.append(f"the bytes of {key!r} are missing")
            elif meta and not about["use_pickle"]:
                shape = tuple(size["as_int"] for size in meta["sizes"])
                dtype = dtypes[meta["dtype"]] = _DTYPES.split()[meta["dtype"]]
                device, offset = meta["device"]["type"], meta["storage_offset"]["as_int"]
                strides = tuple(stride["as_int"] for stride in meta["strides"])
                # What is expanded repeats its elements.
                axes = zip(shape, strides, strict=True)
                own = (n if step or not n else 1 for n, step in axes)
                held = bytes_of(dtype, math.prod(own))
                where = stored.name, offset, device, strides
                findings.entries.append(TensorEntry(key, shape, dtype, held, *where))
                storages[stored.name] = stored.size
        are_plain = not any(about["use_pickle"] for about in config.values())
        if name.endswith("weights_config.json") and are_plain:
            slots = {"path": str(path), "dtypes": dtypes, "config": record.name}
            folder = record.name.rpartition("/")[0] + "/"
            findings.opens = _EXPORTED_LINES.format(folder=folder, **slots).splitlines()
    findings.held = sum(storages.values())
    note_large_storages(findings, storages)
    return wrong
