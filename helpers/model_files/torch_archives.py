"""Reader of zip archives: of torch.save, TorchScript, torch.export, and others.

Save, Load, Ship 0.2.0: helpers/model_files/torch_archives.py · repairs: CHANGELOG.md
"""

import io
import re
import zlib
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from helpers.model_files.budgets import TOO_MUCH, Budget, TooMuchError
from helpers.model_files.torch_pickles import conclude, describe, follow_all
from helpers.model_files.torch_programs import read_exported, read_script
from helpers.model_files.verdicts import DAMAGED, UNKNOWN, WHOLE, Findings
from helpers.model_files.zip_records import (
    MOST_AT_ONCE,
    SEAL,
    STORED,
    ZipRecord,
    chunks,
    digest,
    read_directory,
    read_record,
)

_Records = list[ZipRecord]
_STORAGE = re.compile(r"[^/]*/data/\w+")
_PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".bin")
_MOST_DEEP, _MOST_INSIDE = 2, 1 << 14  # archives in archives, and records of one


def read_zip(path: Path, file: BinaryIO, findings: Findings, verify: bool) -> None:
    """Read a zip archive: what it is, what its pickles would import, what is in it.

    Raises:
        ValueError: its directory cannot be read.

    >>> import zipfile
    >>> from tempfile import TemporaryFile
    >>> with TemporaryFile() as file:
    ...     with zipfile.ZipFile(file, "w") as archive:
    ...         archive.writestr("a.txt", "hello")
    ...     read_zip(Path("a.zip"), file, found := Findings(Path("a.zip")), verify=False)
    >>> found.is_
    'a zip archive, but not of torch'
    """
    if type(file) is io.BufferedReader and isinstance(file.raw, io.FileIO):
        file = file.raw  # headers stand far apart: a buffer would be filled for each
    records, wrong, end = read_directory(file)
    inner = {record.name.partition("/")[2].lower(): record for record in records}
    is_script = "constants.pkl" in inner or "bytecode.pkl" in inner
    main = None if is_script else inner.get("data.pkl")
    budget = Budget()
    wrong += _look_inside(file, [r for r in records if r is not main], findings, budget)
    if wrong and records and (first := records[0].start) < MOST_AT_ONCE:
        file.seek(0)
        with suppress(ValueError):  # another archive may stand before this one
            before = io.BytesIO(file.read(first))
            wrong += _look_inside(before, read_directory(before)[0], findings, budget)
    unjudged = "it is a program: its author's code runs when it is loaded or used"
    if main is not None:
        unjudged = ""
        wrong += _saved(path, file, findings, inner, budget)
    elif is_script:
        read_script(path, file, findings, inner)
    elif "archive_format" in inner or "serialized_exported_program.json" in inner:
        wrong += read_exported(path, file, findings, inner)
    elif ".data/extern_modules" in inner:
        findings.is_ = "an archive of torch.package"
        code = [name for name in inner if name.endswith(".py")]
        findings.evidence.append(f"{len(code)} files of code are in it")
    else:
        findings.is_ = "a zip archive, but not of torch"
        findings.evidence.append(f"{len(records)} records, none is called data.pkl")
        unjudged = "not all of it was judged"
    file.seek(end)
    seal = file.read(len(SEAL) + 65)
    is_sealed, end = seal.startswith(SEAL), end + len(SEAL)
    if is_sealed and not wrong and digest(file, records, end) != seal[len(SEAL) :]:
        wrong.append("its headers or its directory are not those that were written")
    if verify:
        _check_bytes(file, records, findings, wrong)
        if not is_sealed and findings.bytes_checked in (WHOLE, DAMAGED):
            unsealed = "Its headers and its directory have no checksum of their own."
            findings.notes.append(unsealed)
    conclude(findings, wrong, unjudged)


def _saved(
    path: Path,
    file: BinaryIO,
    findings: Findings,
    inner: dict[str, ZipRecord],
    budget: Budget,
) -> list[str]:
    """Follow the pickle of torch.save; return what is wrong."""
    findings.kind, main = "torch zip", inner["data.pkl"]
    if any(record.method != STORED for record in inner.values()):
        findings.notes.append("Records are compressed; torch.save never does that.")
    order = inner.get("byteorder")
    is_swapped = order and order.size < 99 and read_record(file, order) != b"little"
    if is_swapped:
        findings.notes.append("Its bytes are in the order of a big-endian machine.")
    data = read_record(file, main)
    wrong = [_bad_sum(main)] if main.crc not in (0, zlib.crc32(data)) else []
    if len({record.name.partition("/")[0] for record in inner.values()}) > 1:
        wrong.append("its records stand in several folders: readers disagree on them")
    parts = follow_all(data, findings, 0, budget)
    if not parts:
        return [*wrong, "its pickle is empty"]
    record = "" if is_swapped else main.name
    storages, lies = describe(path, findings, parts[0], "torch zip", record)
    if parts[0].problem == TOO_MUCH:
        return wrong
    if parts[0].problem:
        wrong.append(f"its pickle cannot be followed: {parts[0].problem}")
    elif parts[0].end != len(data):
        wrong.append(f"{len(data) - parts[0].end} bytes follow its pickle")
    for key, claimed in storages.items():
        stored = inner.get(f"data/{key}".lower())
        if stored is None or stored.size < claimed:
            there = f"has {stored.size}" if stored else "is missing"
            wrong.append(f"storage {key!r} claims {claimed} bytes, its record {there}")
    return wrong + lies


def _look_inside(
    file: BinaryIO, records: _Records, findings: Findings, budget: Budget, depth: int = 0
) -> list[str]:
    """Judge the pickles among the records, and those of archives among them."""
    wrong, is_storage = [], _STORAGE.fullmatch
    for record in records:
        if is_storage(record.name) or not record.size:
            continue  # the bytes of a tensor: nobody takes them for anything else
        try:
            file.seek(max(0, record.start))
            is_stored = record.method == STORED  # and perhaps gigabytes
            head = file.read(4) if is_stored else next(chunks(file, record), b"")
            is_pickle = head[:1] == b"\x80" or record.name.lower().endswith(_PICKLES)
            is_archive = head[:4] == b"PK\x03\x04" and depth < _MOST_DEEP
            budget.unpacked -= len(head) + record.size * (is_pickle or is_archive)
            if budget.is_spent:
                raise TooMuchError(f"what is nested in it is {TOO_MUCH}")
            if record.size > MOST_AT_ONCE:
                large = f"Record {record.name!r} is too large to look for pickles in it."
                findings.notes += [large] * (is_pickle or is_archive)
            elif is_archive:
                part = io.BytesIO(read_record(file, record))
                inner = read_directory(part, _MOST_INSIDE)[0]
                wrong += _look_inside(part, inner, findings, budget, depth + 1)
            elif is_pickle:
                follow_all(read_record(file, record), findings, 0, budget)
        except TooMuchError as error:
            findings.structure, findings.structure_why = UNKNOWN, str(error)
            break
        except ValueError as error:
            wrong.append(f"record {record.name!r}: {error}")
    return wrong


def _check_bytes(
    file: BinaryIO, records: _Records, findings: Findings, wrong: list[str]
) -> None:
    """Compare every record with its CRC-32."""
    if not any(record.crc for record in records if record.size):
        findings.bytes_checked = "no checksums: the writer left them out"
        return
    bad = []
    for record in records:
        crc = 0
        try:
            for chunk in chunks(file, record):
                crc = zlib.crc32(chunk, crc)
            bad += [_bad_sum(record)] if crc != record.crc else []
        except ValueError as error:
            bad.append(str(error))
    wrong += [sentence for sentence in bad if sentence not in wrong]
    findings.bytes_checked = DAMAGED if bad else WHOLE


def _bad_sum(record: ZipRecord) -> str:
    return f"record {record.name!r} of {record.size} bytes has another CRC-32 than written"
