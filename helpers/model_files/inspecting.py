"""What is this file, is it safe, is it whole, and what is in it?

Save, Load, Ship 0.2.0: helpers/model_files/inspecting.py · repairs: CHANGELOG.md
"""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from helpers.model_files.distributed_folders import read_dcp
from helpers.model_files.file_findings import DAMAGED, UNSAFE, Findings
from helpers.model_files.gguf_files import read_gguf
from helpers.model_files.global_names import DANGEROUS
from helpers.model_files.judging import judging
from helpers.model_files.model_folders import read_folder, read_index
from helpers.model_files.numpy_arrays import read_npy, read_npz
from helpers.model_files.onnx_models import read_onnx
from helpers.model_files.recognizing import recognize
from helpers.model_files.reporting import FileReport
from helpers.model_files.safetensors_files import read_safetensors
from helpers.model_files.torch_archives import read_zip
from helpers.model_files.torch_pickles import note_wrappers, read_pickle, read_tar

_READERS: dict[str, Callable[[Path, Any, Findings, bool], None]] = {
    **dict.fromkeys(("torch zip", "torchscript", "pt2", "torch.package", "zip"), read_zip),
    **dict.fromkeys(("legacy torch", "pickle"), read_pickle),
    **dict.fromkeys(("legacy tar", "tar"), read_tar),
    **dict.fromkeys(("adapter", "hub model"), read_folder),
    "dcp": read_dcp,
    "shard index": read_index,
    "safetensors": read_safetensors,
    "onnx": read_onnx,
    "gguf": read_gguf,
    "npy": read_npy,
    "npz": read_npz,
}
# What a name promises.
_SUFFIXES = {
    ".safetensors": "safetensors",
    ".onnx": "onnx",
    ".gguf": "gguf",
    ".npz": "npz",
    ".npy": "npy",
    ".pt2": "pt2",
    **dict.fromkeys(
        (".pt", ".pth", ".ckpt"), "torch zip, legacy torch, torchscript, legacy tar"
    ),
}


def inspect_file(path: str | os.PathLike, verify: bool = False) -> FileReport:
    """Say what a file is, without running anything in it.

    Whatever is wrong with the file stands in the report; a hostile one ends in a sentence.

    Args:
        path: a file, or a folder that is a model.
        verify: whether every byte is read, and compared where the file has checksums.

    Raises:
        OSError: it cannot be opened or read, as FileNotFoundError and PermissionError.

    >>> inspect_file(__file__).kind
    'text'
    """
    path = Path(path)
    report = FileReport(path)
    try:
        status = path.stat()
    except ValueError as error:  # a name that no file can have
        raise FileNotFoundError(f"{str(path)!r} is no path: {error}") from error
    if not stat.S_ISREG(status.st_mode):
        return _recognized(report, None, verify)
    # Without O_NONBLOCK, a named pipe that has just taken the file's place makes one wait.
    waits = getattr(os, "O_NONBLOCK", 0)
    with open(path, "rb", opener=lambda p, flags: os.open(p, flags | waits)) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise FileNotFoundError(f"{path} was replaced while it was opened: try again")
        report.size = status.st_size
        return _recognized(report, file, verify)


def _recognized(report: FileReport, file: BinaryIO | None, verify: bool) -> FileReport:
    found = recognize(report.path, file)
    report.kind, report.is_, report.evidence = found.kind, found.is_, [found.evidence]
    promised = _SUFFIXES.get(report.path.suffix.lower())
    if promised and found.kind not in promised:
        report.notes.append(f"Its suffix {report.path.suffix} promises something else.")
    reader = _READERS.get(found.kind)
    if reader:
        with judging(report):
            try:
                reader(report.path, file, report, verify)
            except (LookupError, TypeError, AttributeError, MemoryError) as error:
                name = type(error).__name__
                raise ValueError(f"it is not as its format wants it ({name})") from error
    else:
        report.notes.append(f"Next: {found.next_step}.")
    if found.kind in ("safetensors", "shard index"):
        note_wrappers(report, [entry.name for entry in report.entries])
    if found.kind in ("cut zip", "empty", "zeros"):
        report.structure = DAMAGED
    dangerous = [name for name, verdict in report.names.items() if verdict == DANGEROUS]
    if dangerous and report.safety != UNSAFE:  # the reader broke off before its verdict
        report.safety, report.safety_why = UNSAFE, f"it asks for {dangerous[0]}"
    if report.structure == DAMAGED or (report.safety == UNSAFE and not dangerous):
        report.opens = []
    if report.structure == DAMAGED and not report.safety_why:
        report.safety_why = "it cannot be read to its end"
    if report.structure == DAMAGED:
        report.notes.append("It is damaged: restore it from a copy.")
    return report
