"""What is this file, is it safe, is it whole, and what is in it? Nothing in it is run.

Save, Load, Ship 0.2.0: helpers/model_files/inspecting.py · repairs: CHANGELOG.md
"""

import argparse
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from helpers.model_files.array_files import read_gguf, read_numpy
from helpers.model_files.distributed_folders import read_dcp
from helpers.model_files.global_names import DANGEROUS
from helpers.model_files.judging import FETCH, judging
from helpers.model_files.model_folders import find_weights, judge_beside, read_index
from helpers.model_files.onnx_models import read_onnx
from helpers.model_files.recognizing import open_now, recognize
from helpers.model_files.reporting import FileReport
from helpers.model_files.safetensors_files import read_safetensors
from helpers.model_files.second_looks import look_again
from helpers.model_files.torch_archives import read_zip
from helpers.model_files.torch_pickles import note_wrappers, read_pickle, read_tar
from helpers.model_files.verdicts import (
    DAMAGED,
    NOT_CHECKED,
    SAFE,
    UNKNOWN,
    UNSAFE,
    Findings,
)

_COMMAND = "python -m helpers inspect"
_NO_CHECKSUMS = "the format has no checksums: a flipped bit in the values cannot be seen"


def _read_index(path: Path, file: BinaryIO, findings: Findings, verify: bool) -> None:
    read_index(path, file, findings, verify, inspect_file)


_READERS: dict[str, Callable[[Path, Any, Findings, bool], None]] = {
    **dict.fromkeys(("torch zip", "torchscript", "pt2", "torch.package", "zip"), read_zip),
    **dict.fromkeys(("legacy torch", "pickle"), read_pickle),
    **dict.fromkeys(("legacy tar", "tar"), read_tar),
    "dcp": read_dcp,
    "shard index": _read_index,
    "safetensors": read_safetensors,
    "onnx": read_onnx,
    "gguf": read_gguf,
    "npy": read_numpy,
    "npz": read_numpy,
}
# What cannot hold code: why, and the line that opens it.
_NO_CODE = "the format has no place for code"
_OPERATORS = "a graph of operators: it names them, and holds no code"
_NUMBERS = "its arrays are plain numbers", "arrays = numpy.load({}, allow_pickle=False)"
_PLAIN = {
    "safetensors": (_NO_CODE, "state_dict = safetensors.torch.load_file({})"),
    "gguf": (_NO_CODE, "reader = gguf.GGUFReader({})"),
    "onnx": (_OPERATORS, "session = onnxruntime.InferenceSession({})"),
    "npy": _NUMBERS,
    "npz": _NUMBERS,
}
_LONGEST = 1000  # characters of what is shown at once
_HUB = "adapter", "hub model"
# What a name promises.
_SAME = ".safetensors", ".onnx", ".gguf", ".npz", ".npy", ".pt2"
_PT = "torch zip, torchscript, torch.package, legacy torch, legacy tar"
_SUFFIXES = {suffix: suffix[1:] for suffix in _SAME}
_SUFFIXES |= dict.fromkeys((".pt", ".pth", ".ckpt"), _PT)


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
    with open_now(path) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise FileNotFoundError(f"{path} was replaced while it was opened: try again")
        report.size = status.st_size
        return _recognized(report, file, verify)


def main(argv: list[str] | None = None) -> int:
    """Print the report of a file: ``python -m helpers inspect FILE``.

    Returns:
        0; 1 for a file that is unsafe or damaged; 2 for one that cannot be opened, and
        for a report that cannot be written.

    >>> main([__file__, "--json"])  # doctest: +ELLIPSIS
    {...
    0
    """
    parser = argparse.ArgumentParser(_COMMAND, description=__doc__.split("\n")[0])
    parser.add_argument("file", help="a model file, or a folder that is one")
    parser.add_argument("--verify", action="store_true", help="read and check every byte")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    arguments = parser.parse_args(argv)
    try:
        report = inspect_file(arguments.file, verify=arguments.verify)
    except OSError as error:
        print(f"{_COMMAND}: {error}", file=sys.stderr)
        return 2
    text = report.to_json() if arguments.json else str(report)
    known = sys.stdout.encoding or "utf-8"  # a terminal may not have every letter
    try:
        print(text.encode(known, "backslashreplace").decode(known), flush=True)
    except OSError as error:  # the disk is full, or nobody reads on
        print(f"{_COMMAND}: the report cannot be written: {error}", file=sys.stderr)
        # Python flushes again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2
    is_bad = report.safety == UNSAFE or DAMAGED in (report.structure, report.bytes_checked)
    return int(is_bad)


def _recognized(report: FileReport, file: BinaryIO | None, verify: bool) -> FileReport:
    found = recognize(report.path, file)
    report.kind, report.is_, report.evidence = found.kind, found.is_, [found.evidence]
    promised = _SUFFIXES.get(report.path.suffix.lower())
    if promised and found.kind not in promised:
        report.notes.append(f"Its suffix {report.path.suffix} promises something else.")
    if found.kind in _READERS or found.kind in _HUB:
        with judging(report):
            _read(found.kind, report.path, file, report, verify)
    else:
        report.notes.append(f"Next: {found.next_step}.")
        if file is not None:
            look_again(found.kind, report.path, file, report)
    if report.kind in ("safetensors", "shard index"):  # the others have their own
        note_wrappers(report, [entry.name for entry in report.entries])
    if found.kind in _HUB:  # the reader of its weights said what those are
        report.kind, report.is_ = found.kind, found.is_
    if found.kind in ("cut zip", "empty", "zeros"):
        report.structure = DAMAGED
    dangerous = [name for name, verdict in report.names.items() if verdict == DANGEROUS]
    if dangerous and report.safety != UNSAFE:  # the reader did not come to a verdict
        report.safety, report.safety_why = UNSAFE, f"it asks for {dangerous[0]}"
        report.opens = []
    if report.structure == DAMAGED:
        if report.safety == SAFE:  # what cannot be read was not judged
            report.safety, report.safety_why = UNKNOWN, "its structure is damaged"
        report.safety_why = report.safety_why or "it cannot be read to its end"
        if FETCH not in report.notes:
            report.notes.append("It is damaged: restore it from a copy.")
    for name in [name for name in report.names if len(name) > _LONGEST]:
        report.names[_cut(name, 200)] = report.names.pop(name)  # such a name is dangerous
    report.is_, report.safety_why = _cut(report.is_), _cut(report.safety_why)
    report.evidence = [*map(_cut, report.evidence)]
    report.notes = [*map(_cut, report.notes)]
    return report


def _cut(text: str, most: int = _LONGEST) -> str:
    return text if len(text) <= most else f"{text[:most]}..."


def _read(
    kind: str, path: Path, file: BinaryIO | None, findings: Findings, verify: bool
) -> None:
    """Read a file as what it is, and a folder of Hugging Face's by its weights."""
    try:
        if kind in _HUB:
            weights = path
            try:
                weights = find_weights(path, findings)
                with open_now(weights) as opened:
                    found = recognize(weights, opened)
                    if found.kind not in _READERS:
                        raise ValueError(f"{weights.name} in it is {found}")
                    findings.kind = found.kind
                    return _read(found.kind, weights, opened, findings, verify)
            finally:
                judge_beside(path, weights, findings, _look_beside)
        if kind in _PLAIN:
            findings.safety, (findings.safety_why, line) = SAFE, _PLAIN[kind]
            module = line.split()[2].partition("(")[0].rpartition(".")[0]
            findings.opens = [f"import {module}", line.format(repr(str(path)))]
        others = [] if file is None else look_again(kind, path, file, findings)
        try:
            _READERS[kind](path, file, findings, verify)
        finally:
            if others and findings.safety == SAFE:
                findings.safety, findings.safety_why = UNKNOWN, f"it is {others[0]}, too"
    except (LookupError, TypeError, AttributeError, MemoryError) as error:
        name = type(error).__name__
        raise ValueError(f"it is not as its format wants it ({name})") from error
    if verify and findings.bytes_checked == NOT_CHECKED and findings.safety == SAFE:
        findings.bytes_checked = _NO_CHECKSUMS
    return None


def _look_beside(path: Path) -> FileReport | None:
    try:
        kind = recognize(path).kind
        # The index is that of the weights, or has its shards beside it.
        return (
            inspect_file(path) if kind in _READERS.keys() - {"shard index", "dcp"} else None
        )
    except FileNotFoundError:  # a link to nothing
        return None
    except OSError as error:
        return FileReport(path, safety_why=f"it cannot be read: {error.strerror}")
