"""Look again at a file that is read as one kind: other programs may open it as another.

Save, Load, Ship 0.2.0: helpers/model_files/second_looks.py · repairs: CHANGELOG.md
"""

import os
from pathlib import Path
from typing import BinaryIO

from helpers.model_files.judging import judging
from helpers.model_files.torch_archives import read_zip
from helpers.model_files.torch_pickles import follow_all, read_tar
from helpers.model_files.verdicts import SAFE, Findings

_ARCHIVES = "torch zip", "torchscript", "pt2", "torch.package", "zip", "npz"
_TARS = "legacy tar", "tar"
_PLAIN = "safetensors", "shard index", "onnx", "gguf", "npy"


def look_again(kind: str, path: Path, file: BinaryIO, findings: Findings) -> list[str]:
    """Add the names for which a file asks where it is opened as another kind.

    Returns:
        What else it is, unless it is safe as that.

    >>> from tempfile import TemporaryFile
    >>> with TemporaryFile() as file:
    ...     _ = file.write(b"VGGUF"), file.flush()
    ...     look_again("gguf", Path("a"), file, Findings(Path("a")))
    []
    """
    if kind in _ARCHIVES:  # their own reader looks
        return []
    others = _behind(path, file, findings)
    return others if kind in _TARS else others + _in_front(kind, path, file, findings)


def _behind(path: Path, file: BinaryIO, findings: Findings) -> list[str]:
    """Judge an archive at a file's end, which some programs open in the file's place.

    Returns:
        What is there, unless it is safe, too.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 22 - 65535))
    if b"PK\5\6" not in file.read():
        return []
    with judging(inner := Findings(path)):
        read_zip(path, file, inner, verify=False)
    findings.names |= inner.names
    if inner.is_:
        findings.notes.append(f"At its end stands {inner.is_}, which some programs open.")
    return [inner.is_] if inner.is_ and inner.safety != SAFE else []


def _in_front(kind: str, path: Path, file: BinaryIO, findings: Findings) -> list[str]:
    """Judge a pickle or an old tar archive of torch that a file of another kind is, too.

    `torch.load(weights_only=False)` and `pickle.load` look at nothing but the first
    instructions. Almost any bytes are a few of them; only what is imported counts.
    """
    with judging(tar := Findings(path)):
        read_tar(path, file, tar, verify=False)
    found, others = tar.names, [tar.is_] if tar.is_ else []
    if kind in _PLAIN:
        with judging(front := Findings(path)):
            follow_all(file, front)
        if any(all(map(str.isidentifier, name.split("."))) for name in front.names):
            found, others = found | front.names, [*others, "a pickle"]
    findings.names |= found
    findings.notes += [f"It is {some}, too, which some programs open." for some in others]
    return others
