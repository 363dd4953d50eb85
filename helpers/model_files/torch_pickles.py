"""Readers of pickles: bare ones, and those of torch before 1.6.

Save, Load, Ship 0.2.0: helpers/model_files/torch_pickles.py · repairs: CHANGELOG.md
"""

import mmap
import tarfile
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from helpers.model_files.checkpoint_kinds import kind_of
from helpers.model_files.file_findings import (
    DAMAGED,
    SAFE,
    UNKNOWN,
    UNSAFE,
    WHOLE,
    Findings,
)
from helpers.model_files.following import MOST_STEPS, Followed, follow
from helpers.model_files.global_names import ALLOWED, DANGEROUS, UNKNOWN_NAME, judge
from helpers.model_files.opening_lines import opening_lines
from helpers.model_files.pickled_tensors import read_content

# What wrappers put into the names of a model's tensors.
_WRAPPERS = {
    "_orig_mod.": "torch.compile",
    "_fsdp_wrapped_module.": "FullyShardedDataParallel",
    "_checkpoint_wrapped_module.": "activation checkpointing",
    "module.": "nn.DataParallel",
    "base_model.model.": "peft",
    "model.": "a class around the model, such as Lightning's,",
}
# The first three stand anywhere in a name, the others begin it.
_ANYWHERE, _FIRST = list(_WRAPPERS)[:3], list(_WRAPPERS)[3:]
_LEGACY = 0x1950A86A20F9469CFC6C  # the number that torch.save began with before 1.6
_MOST_PICKLES = 20
_BARE = "a bare pickle"
_NO_SUMS = "no checksums: a changed byte goes unseen"
_SAFE = "all that it asks for is what torch.load(weights_only=True) allows"
ASK = "Ask its author for model.state_dict(), saved with torch.save."


def read_pickle(path: Path, file: BinaryIO, findings: Findings, verify: bool) -> None:
    """Read a bare pickle, or a file of torch before 1.6.

    >>> import pickle
    >>> from tempfile import TemporaryFile
    >>> with TemporaryFile() as file:
    ...     _ = file.write(pickle.dumps({"epoch": 3})), file.flush()
    ...     read_pickle(Path("a"), file, found := Findings(Path("a")), verify=False)
    >>> found.is_, found.values
    ('a dictionary without weights (a bare pickle)', {'epoch': '3'})
    """
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        parts = follow_all(data, findings)
        is_legacy = parts[0].value == _LEGACY and len(parts) > 3
        main = parts[3 if is_legacy else 0]
        how = "in the format of torch before 1.6" if is_legacy else _BARE
        storages, wrong = describe(path, findings, main, how)
        end = parts[0].end
        if is_legacy:  # its storages follow, each behind its count
            if len(parts) < 5 or not isinstance(parts[4].value, list):
                raise ValueError("the list of its storages is missing")
            keys = [str(key) for key in parts[4].value]
            end = parts[4].end + sum(8 + storages.get(key, 0) for key in keys)
            # One in an unknown object has an unknown size.
            end = end if storages.keys() >= {*keys} else len(data)
        if main.problem:
            wrong.insert(0, f"its pickle cannot be followed: {main.problem}")
        elif end != len(data):
            wrong.append(f"it ends at byte {end} instead of {len(data)}")
    findings.bytes_checked = _NO_SUMS if verify else findings.bytes_checked
    conclude(findings, wrong)


def read_tar(path: Path, file: BinaryIO, findings: Findings, verify: bool) -> None:
    """Read a tar archive, as of torch before 0.2: only its names, as nothing opens it.

    Raises:
        ValueError: it is no whole tar archive.

    >>> from tempfile import TemporaryFile
    >>> with TemporaryFile() as file:
    ...     tarfile.open(fileobj=file, mode="w").close()
    ...     read_tar(Path("a.tar"), file, found := Findings(Path("a.tar")), verify=False)
    >>> found.is_
    'a tar archive, but not of torch'
    """
    file.seek(0)
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            members = {some.name: some for some in islice(archive, 10_000)}
    except (tarfile.TarError, EOFError) as error:
        raise ValueError(f"its tar archive breaks off: {error}") from error
    is_torch = {"pickle", "storages"} <= members.keys()
    findings.is_ = "a tar archive, " + (
        "of torch before 0.2" if is_torch else "but not of torch"
    )
    findings.evidence.append(f"its members: {', '.join(list(members)[:5])}")
    if is_torch:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for name in ("pickle", "storages", "tensors", "sys_info"):
                if name in members:
                    follow_all(data, findings, members[name].offset_data)
    conclude(findings, [], "weights_only=True does not read it")


def follow_all(
    data: bytes | mmap.mmap, findings: Findings, at: int = 0, most: int = MOST_STEPS
) -> list[Followed]:
    """Follow pickles that stand behind each other, and judge what they would import.

    >>> import pickle
    >>> found = Findings(Path("a.pkl"))
    >>> len(follow_all(pickle.dumps(1) + pickle.dumps(print), found)), found.names
    (2, {'builtins.print': 'dangerous'})
    """
    parts: list[Followed] = []
    while at < len(data) and len(parts) < _MOST_PICKLES:
        found = follow(data, at, most)
        at, most = found.end, most - found.steps
        for name, is_inside in found.names.items():
            # Behind the first, a pickle that breaks off is no pickle: its names are noise.
            if parts and found.problem and not all(map(str.isidentifier, name.split("."))):
                continue
            judged = findings.names.setdefault(name, judge(name))
            if judged != ALLOWED and is_inside:
                findings.notes.append(f"{name} is named by a pickle inside a pickle.")
        parts.append(found)
        if found.problem:
            break
    return parts


def describe(
    path: Path, findings: Findings, followed: Followed, how: str, record: str = ""
) -> tuple[dict[str, int], list[str]]:
    """Fill in what a pickle holds, and the lines that open it; return as `read_content`.

    `record` is its name where it stands in an archive.

    >>> describe(Path("a.pt"), found := Findings(Path("a.pt")), follow(b"}."), "torch zip")
    ({}, [])
    >>> found.is_
    'a dictionary without weights (torch zip)'
    """
    kind, read = kind_of(followed.value), read_content(followed.value, findings)
    findings.is_ = f"{kind.what} ({how})"
    findings.evidence.append(kind.why)
    for place in kind.optimizers[:100]:  # a hostile file has more
        begins = f"{place}." if place else ""
        sizes = [e.bytes for e in findings.entries if e.name.startswith(begins)]
        findings.optimizer = (findings.optimizer or 0) + sum(sizes)
    if followed.foreign and how != _BARE:
        shown = ", ".join(sorted(followed.foreign)[:4])
        findings.notes.append(
            f"torch.load(weights_only=True) does not read its instructions: {shown}."
        )
    is_bare = how == _BARE
    if not followed.problem and (is_bare or record or not followed.foreign):
        unread = record if followed.foreign else ""
        findings.opens = opening_lines(path, findings.names, kind, unread, is_bare)
    if kind.weights is not None:
        begins = "".join(f"{key}." for key in kind.weights)
        names = [e.name for e in findings.entries if e.name.startswith(begins)]
        note_wrappers(findings, [name.removeprefix(begins) for name in names])
    return read


def note_wrappers(findings: Findings, names: list[str]) -> None:
    """Say what wrappers left in the names of tensors, and add the line that takes it out.

    >>> note_wrappers(found := Findings(Path("a.pt")), ["module.fc.weight"])
    >>> found.notes
    ["Names hold 'module.', which nn.DataParallel leaves."]
    """
    found = [inner for inner in _ANYWHERE if any(inner in name for name in names)]
    calls = [f".replace({some!r}, '')" for some in found]
    for inner in found:
        names = [name.replace(inner, "") for name in names]
    for first in _FIRST:
        if names and all(name.startswith(first) for name in names):
            found.append(first)
            names = [name.removeprefix(first) for name in names]
    # The other two could belong to the model.
    calls += [".removeprefix('module.')"] if "module." in found else []
    for some in found:
        findings.notes.append(f"Names hold {some!r}, which {_WRAPPERS[some]} leaves.")
    if calls and findings.opens:
        state, key = findings.opens[-1].split()[0], "key" + "".join(calls)
        line = f"{state} = {{{key}: value for key, value in {state}.items()}}"
        findings.opens.append(line)


def conclude(findings: Findings, wrong: list[str], unjudged: str = "") -> None:
    """Write the verdicts: on the names that a pickle would import, and on the structure.

    `unjudged` is why it is not safe, whatever the names are.

    >>> conclude(found := Findings(Path("a.pt"), names={"os.system": "dangerous"}), [])
    >>> found.safety, found.safety_why
    ('unsafe', 'it asks for os.system')
    """
    findings.structure = DAMAGED if wrong else WHOLE
    findings.structure_why = "; ".join(wrong[:4])
    if wrong:
        findings.opens = []  # what opens it would read damage
    elif not findings.opens:
        findings.notes.append(f"No line opens it safely. {ASK}")
    for verdict, safety in ((DANGEROUS, UNSAFE), (UNKNOWN_NAME, UNKNOWN)):
        named = [name for name, judged in findings.names.items() if judged == verdict]
        if named:
            more = f" and {len(named) - 4} more" if len(named) > 4 else ""
            findings.safety = safety
            findings.safety_why = f"it asks for {', '.join(named[:4])}{more}"
            return
    findings.safety = UNKNOWN if wrong or unjudged else SAFE
    findings.safety_why = "its structure is damaged" if wrong else unjudged or _SAFE
