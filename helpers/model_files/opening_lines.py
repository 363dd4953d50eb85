"""The lines that open a pickle safely, ready to copy.

Save, Load, Ship 0.2.0: helpers/model_files/opening_lines.py · repairs: CHANGELOG.md
"""

import re
from collections.abc import Collection
from pathlib import Path

from helpers.model_files.checkpoint_kinds import PickleKind
from helpers.model_files.global_names import ALLOWED, HARMLESS, judge

# Layers of torch, which run nothing when they are made.
_LAYER = re.compile(r"torch\.nn\.modules\.[a-z_]+\.[A-Z]\w+")
_SAFE = """\
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
"""
_BARE = """\
with open({path!r}, "rb") as file:
    {target} = Safe(file).load()"""
# Tensors of one storage have to share it again.
_ZIPPED = """\
    def persistent_load(self, about):
        _, kind, key, _, count = about
        if key not in storages:
            data = bytearray(archive.read({folder!r} + key)) or bytearray(16)
            flat = torch.frombuffer(data, dtype=torch.uint8).untyped_storage()
            dtype = getattr(kind, "_dtype", torch.uint8)
            made = torch.TypedStorage(wrap_storage=flat, dtype=dtype, _internal=True)
            storages[key] = made
        return storages[key]
storages = {{}}
with zipfile.ZipFile({path!r}) as archive:
    {target} = Safe(archive.open({pickle!r})).load()"""


def opening_lines(
    path: Path,
    names: Collection[str],
    kind: PickleKind,
    record: str = "",
    is_bare: bool = False,
) -> list[str]:
    """Return lines that open a pickle; none where one of its names could do harm.

    Args:
        path: the file.
        names: what the pickle would import.
        kind: what is in it.
        record: the pickle in an archive, if torch.load does not read its instructions.
        is_bare: whether the file is a pickle that torch.save did not write.

    >>> opening_lines(Path("a.pt"), [], PickleKind("a bare state dict", ""))[1:]
    ["state = torch.load('a.pt', map_location='cpu', weights_only=True)"]
    """
    names = sorted(set(names) - ({"torch.storage._load_from_bytes"} if is_bare else set()))
    extra = [name for name in names if judge(name) != ALLOWED]
    if any(name not in HARMLESS and not _LAYER.fullmatch(name) for name in extra):
        return []
    where = "".join(f"[{key!r}]" for key in kind.weights or ())
    result = "model" if kind.is_model else "state"
    target = "content" if kind.weights is None or where else result
    # Python 2 had another word for "builtins".
    old = [f"__builtin__{name[8:]}" for name in names if name.startswith("builtins.")]
    slots = {"path": str(path), "target": target, "allowed": names + old}
    if is_bare:
        lines = (_SAFE + _BARE).format(**slots).splitlines()
    elif record:
        slots |= {"folder": f"{record[:-8]}data/", "pickle": record}
        lines = ["import zipfile", *(_SAFE + _ZIPPED).format(**slots).splitlines()]
    else:
        lines = _torch_load(path, extra, target)
    if where:
        lines.append(f"{result} = content{where}")
    if kind.is_model:
        lines.append("state = model.state_dict()")
    return lines


def _torch_load(path: Path, extra: list[str], target: str) -> list[str]:
    call = f"torch.load({str(path)!r}, map_location='cpu', weights_only=True)"
    if not extra:
        return ["import torch", f"{target} = {call}"]
    places = {name: name.replace("numpy.core.", "numpy._core.") for name in extra}
    modules = {"torch", *(place.rpartition(".")[0] for place in places.values())}
    imported = sorted(m for m in modules if not m.startswith(("torch.", "builtins")))
    lines = [f"import {module}" for module in imported]
    lines.append("allowed = [")
    for name, place in places.items():
        lines.append(f"    ({place.removeprefix('builtins.')}, {name!r}),")
    lines.append("]")
    if "numpy.dtype" in extra:
        lines.append("allowed += {type(numpy.dtype(c)) for c in numpy.typecodes['All']}")
    lines.append("with torch.serialization.safe_globals(allowed):")
    return [*lines, f"    {target} = {call}"]
