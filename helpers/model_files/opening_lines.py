"""The lines that open a pickle safely, ready to copy.

Save, Load, Ship 0.2.0: helpers/model_files/opening_lines.py · repairs: CHANGELOG.md
"""

import re
from collections.abc import Collection
from pathlib import Path

from helpers.model_files.checkpoint_kinds import PickleKind
from helpers.model_files.global_names import ALLOWED, HARMLESS, judge

# What wrappers put into the names of a model's tensors.
WRAPPERS = {
    "_orig_mod.": "torch.compile",
    "_fsdp_wrapped_module.": "FullyShardedDataParallel",
    "_checkpoint_wrapped_module.": "activation checkpointing",
    "module.": "nn.DataParallel",
    "base_model.model.": "peft",
    "model.": "a class around the model, such as Lightning's,",
}
# The first three stand anywhere in a name, the others begin it.
_ANYWHERE, _FIRST = list(WRAPPERS)[:3], list(WRAPPERS)[3:]
_LAYER = re.compile(r"torch\.nn\.modules\.[a-z_]+\.[A-Z]\w+")
_LOADS = "torch.storage._load_from_bytes"
_UNPICKLE = """\
import io
import pickle
import torch
class Safe(pickle.Unpickler):
    def find_class(self, module, name):
        if f"{{module}}.{{name}}" == "torch.storage._load_from_bytes":
            return lambda data: torch.load(io.BytesIO(data), weights_only=True)
        if f"{{module}}.{{name}}" in {allowed}:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"refused: {{module}}.{{name}}")
with open({path!r}, "rb") as file:
    state = Safe(file).load()"""
# A copy without the program, and plain objects in place of its modules.
_SCRIPT = """\
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
_EXPORTED = """\
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


def is_torch_layer(name: str) -> bool:
    """Return whether it is a layer of torch.nn, which runs nothing when it is made.

    >>> is_torch_layer("torch.nn.modules.linear.Linear")
    True
    """
    return _LAYER.fullmatch(name) is not None


def torch_lines(path: Path, names: Collection[str], kind: PickleKind) -> list[str]:
    """Return lines for a file of torch.save; none where a name could do harm.

    >>> torch_lines(Path("a.pt"), [], PickleKind("a bare state dict", ""))[1:]
    ["state = torch.load('a.pt', map_location='cpu', weights_only=True)"]
    """
    extra = sorted(name for name in names if judge(name) != ALLOWED)
    if any(name not in HARMLESS and not is_torch_layer(name) for name in extra):
        return []
    call = f"torch.load({str(path)!r}, map_location='cpu', weights_only=True)"
    where = "".join(f"[{key!r}]" for key in kind.weights or ())
    target = "model" if kind.is_model else "state"
    if kind.weights is None or where:
        target = "content"
    lines = [f"{target} = {call}"]
    modules = {"torch"}
    if extra:
        places = {name: name.replace("numpy.core.", "numpy._core.") for name in extra}
        modules |= {place.rpartition(".")[0] for place in places.values()}
        modules = {m for m in modules if not m.startswith(("torch.", "builtins"))}
        shown = [
            f"({place.removeprefix('builtins.')}, {name!r}),"
            for name, place in places.items()
        ]
        lines = [
            "allowed = [",
            *(f"    {line}" for line in shown),
            "]",
            "with torch.serialization.safe_globals(allowed):",
            f"    {lines[0]}",
        ]
        if "numpy.dtype" in extra:
            codes = "allowed += {type(numpy.dtype(c)) for c in numpy.typecodes['All']}"
            lines.insert(-2, codes)
    imports = [f"import {module}" for module in sorted(modules)]
    if where:
        lines.append(f"{'model' if kind.is_model else 'state'} = content{where}")
    if kind.is_model:
        lines.append("state = model.state_dict()")
    return [*imports, *lines]


def pickle_lines(path: Path, names: Collection[str]) -> list[str]:
    """Return lines for a file of `pickle.dump`; none where a name could do harm.

    >>> pickle_lines(Path("a.pkl"), ["os.system"])
    []
    """
    allowed = sorted(set(names) - {_LOADS})
    if any(judge(name) != ALLOWED and name not in HARMLESS for name in allowed):
        return []
    # Python 2 had another word for it.
    allowed += [
        f"__{name[:7]}__{name[8:]}" for name in allowed if name.startswith("builtins.")
    ]
    return _UNPICKLE.format(allowed=allowed, path=str(path)).splitlines()


def script_lines(path: Path, names: Collection[str]) -> list[str]:
    """Return lines that take the tensors out of a TorchScript program, and run none of it.

    >>> "torch.jit.load" in "".join(script_lines(Path("a.pt"), ["__torch__.Net"]))
    False
    """
    return _SCRIPT.format(names=sorted(names), path=str(path)).splitlines()


def exported_lines(path: Path, config: str, dtypes: dict[int, str]) -> list[str]:
    """Return lines that take the weights out of a program of torch.export.

    `config` is the record that names them, `dtypes` what its numbers mean.

    >>> exported_lines(Path("a.pt2"), "a/weights.json", {7: "float32"})[3]
    "dtypes = {7: 'float32'}"
    """
    folder = config.rpartition("/")[0] + "/"
    lines = _EXPORTED.format(dtypes=dtypes, folder=folder, config=config, path=str(path))
    return lines.splitlines()


def left_by_wrappers(names: Collection[str]) -> list[str]:
    """Return what wrappers put into the names of a model's tensors.

    >>> left_by_wrappers(["module._orig_mod.fc.weight", "module._orig_mod.fc.bias"])
    ['_orig_mod.', 'module.']
    """
    found = [inner for inner in _ANYWHERE if any(inner in name for name in names)]
    for inner in found:
        names = [name.replace(inner, "") for name in names]
    for first in _FIRST:
        if names and all(name.startswith(first) for name in names):
            found.append(first)
            names = [name.removeprefix(first) for name in names]
    return found


def strip_line(found: Collection[str], state: str = "state") -> str:
    """Return the line that takes out of a state dict's names what surely does not belong.

    >>> strip_line(["module."])
    "state = {key.removeprefix('module.'): value for key, value in state.items()}"
    """
    calls = [f".replace({some!r}, '')" for some in found if some in _ANYWHERE]
    calls += [".removeprefix('module.')"] if "module." in found else []
    key = "key" + "".join(calls)
    return f"{state} = {{{key}: value for key, value in {state}.items()}}" if calls else ""
