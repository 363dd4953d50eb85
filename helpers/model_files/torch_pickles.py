"""Readers of pickles: bare ones, and those of torch before 1.6.

Save, Load, Ship 0.2.0: helpers/model_files/torch_pickles.py · repairs: CHANGELOG.md
"""

import os
import tarfile
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from helpers.model_files.budgets import TOO_MUCH, Budget, Followed
from helpers.model_files.checkpoint_kinds import kind_of
from helpers.model_files.following import follow
from helpers.model_files.global_names import ALLOWED, DANGEROUS, UNKNOWN_NAME, judge
from helpers.model_files.opening_lines import opening_lines
from helpers.model_files.pickle_instructions import could_be_meant
from helpers.model_files.pickled_containers import pairs
from helpers.model_files.pickled_tensors import read_content
from helpers.model_files.verdicts import DAMAGED, SAFE, UNKNOWN, UNSAFE, WHOLE, Findings
from helpers.model_files.wrapper_names import note_wrappers

_LEGACY = 0x1950A86A20F9469CFC6C  # the number that torch.save began with before 1.6
_BARE = "a bare pickle"
_MANY = "stand one after the other in it: what opens it reads the first."
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
    size, budget = file.seek(0, os.SEEK_END), Budget()
    parts = follow_all(file, findings, budget=budget)
    main, how = parts[0], _BARE
    if parts[0].value == _LEGACY:
        how, main = "in the format of torch before 1.6", parts[min(3, len(parts) - 1)]
    storages, wrong = describe(path, findings, main, how)
    end, saves = parts[-1].end, len(parts)
    if how != _BARE:
        end, saves = _behind_storages(parts, storages, size), 1
        while end < size and (more := follow_all(file, findings, end, budget)):
            if more[0].value != _LEGACY or more[-1].problem:
                break
            inner = read_content(more[3].value, Findings(path))[0] if more[3:] else {}
            end, saves = _behind_storages(more, inner, size), saves + 1
    elif len(parts) > 1 and parts[-1].problem and parts[-1].problem != TOO_MUCH:
        end, saves = parts[-2].end, saves - 1  # what is behind is no pickle
    if saves > 1:
        findings.notes.append(f"{saves} {'pickles' if how == _BARE else 'saves'} {_MANY}")
    if main.problem and main.problem != TOO_MUCH:
        wrong.insert(0, f"its pickle cannot be followed: {main.problem}")
    elif end != size and findings.structure != UNKNOWN:
        wrong.append(f"it ends at byte {end} instead of {size}")
    findings.bytes_checked = _NO_SUMS if verify else findings.bytes_checked
    conclude(findings, wrong)


def _behind_storages(parts: list[Followed], storages: dict[str, int], size: int) -> int:
    """Return where a file of torch before 1.6 ends: behind its storages and counts."""
    if parts[-1].problem == TOO_MUCH:
        return size
    if len(parts) < 5 or not isinstance(parts[4].value, list):
        raise ValueError("the list of its storages is missing")
    keys = [str(key) for key in parts[4].value]
    if not storages.keys() >= {*keys}:
        return size  # one in an unknown object has an unknown size
    return parts[4].end + sum(8 + storages[key] for key in keys)


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
        headers: Any = _Headers(file)
        with tarfile.open(fileobj=headers, mode="r:") as archive:
            members = {some.name: some for some in islice(archive, 10_000)}
    except (tarfile.TarError, EOFError) as error:
        raise ValueError(f"its tar archive breaks off: {error}") from error
    is_torch = {"pickle", "storages"} <= members.keys()
    whose = "of torch before 0.2" if is_torch else "but not of torch"
    findings.is_ = f"a tar archive, {whose}"
    findings.evidence.append(f"its members: {', '.join(list(members)[:5])}")
    budget = Budget()
    for name in ("pickle", "storages", "tensors", "sys_info"):
        if is_torch and name in members:
            follow_all(file, findings, members[name].offset_data, budget)
    conclude(findings, [], "weights_only=True does not read it")


class _Headers:
    """The headers in a tar archive: of another size, they would fill the memory."""

    def __init__(self, file: BinaryIO):
        self.read_on, self.seek, self.tell = file.read, file.seek, file.tell

    def read(self, size: int) -> bytes:
        if size > 1 << 20:
            raise tarfile.ReadError("a header in it is too large")
        return self.read_on(size)


def follow_all(
    data: bytes | BinaryIO, findings: Findings, at: int = 0, budget: Budget | None = None
) -> list[Followed]:
    """Follow pickles that stand behind each other, and judge what they would import.

    Of a file of torch before 1.6, these are the first five: its storages follow.

    >>> import pickle
    >>> found = Findings(Path("a.pkl"))
    >>> len(follow_all(pickle.dumps(1) + pickle.dumps(print), found)), found.names
    (2, {'builtins.print': 'dangerous'})
    """
    parts: list[Followed] = []
    budget = budget or Budget()
    size = len(data) if isinstance(data, bytes) else data.seek(0, os.SEEK_END)
    while at < size and not (len(parts) == 5 and parts[0].value == _LEGACY):
        found = follow(data, at, budget=budget)
        at = found.end
        is_noise = parts and found.problem and found.problem != TOO_MUCH
        for name, is_inside in found.names.items():
            # Behind the first, a pickle that breaks off is no pickle: its names are noise.
            if is_noise and not could_be_meant(name):
                continue
            judged = findings.names.setdefault(name, judge(name))
            if judged != ALLOWED and is_inside:
                findings.notes.append(f"{name} is named by a pickle inside a pickle.")
        parts.append(found if len(parts) < 5 else Followed(end=at, problem=found.problem))
        if found.problem == TOO_MUCH:
            findings.structure = UNKNOWN
            findings.structure_why = f"what its pickles hold is {TOO_MUCH}"
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
    is_bare = how == _BARE
    if is_untyped := not record and "torch.storage.UntypedStorage" in findings.names:
        followed.foreign.add("an untyped storage")
    if followed.foreign and not is_bare:
        shown = ", ".join(sorted(followed.foreign)[:4])
        what = "torch.load(weights_only=True) does not read its instructions"
        findings.notes.append(f"{what}: {shown}.")
    is_read = is_bare and not is_untyped
    if not followed.problem and (is_read or record or not followed.foreign):
        unread = record if followed.foreign else ""
        findings.opens = opening_lines(path, findings.names, kind, unread, is_bare)
    if kind.weights is not None:
        begins = "".join(f"{key}." for key in kind.weights)
        names = [e.name for e in findings.entries if e.name.startswith(begins)]
        inner = followed.value
        for key in kind.weights:
            inner = next((part for step, part in pairs(inner) or () if step == key), None)
        are_text = all(type(key) is str for key, _ in pairs(inner) or ())
        names = [name.removeprefix(begins) for name in names]
        note_wrappers(findings, names, are_text or kind.is_model)
    return read


def conclude(findings: Findings, wrong: list[str], unjudged: str = "") -> None:
    """Write the verdicts: on the names that a pickle would import, and on the structure.

    `unjudged` is why it is not safe, whatever the names are.

    >>> conclude(found := Findings(Path("a.pt"), names={"os.system": "dangerous"}), [])
    >>> found.safety, found.safety_why
    ('unsafe', 'it asks for os.system')
    """
    if wrong:
        findings.structure, findings.structure_why = DAMAGED, "; ".join(wrong[:4])
        findings.opens = []  # what opens it would read damage
        unjudged = "its structure is damaged"
    elif findings.structure == UNKNOWN:
        unjudged = findings.structure_why
    else:
        findings.structure = WHOLE
    if not wrong and not findings.opens:
        findings.notes.append(f"No line opens it safely. {ASK}")
    for verdict, safety in ((DANGEROUS, UNSAFE), (UNKNOWN_NAME, UNKNOWN)):
        named = [name for name, judged in findings.names.items() if judged == verdict]
        if named:
            more = f" and {len(named) - 4} more" if len(named) > 4 else ""
            findings.safety = safety
            findings.safety_why = f"it asks for {', '.join(named[:4])}{more}"
            return
    findings.safety = UNKNOWN if unjudged else SAFE
    findings.safety_why = unjudged or _SAFE
