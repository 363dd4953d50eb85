"""The checks for notebook 03's exercises."""

import pickle
import pickletools
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.serialization import add_safe_globals, clear_safe_globals, get_safe_globals

from helpers.classroom.exercises.checking import Exercise, kind, no_answer
from helpers.classroom.exercises.rescuing import check_rescue


@dataclass
class Settings:
    """What a colleague keeps beside the weights."""

    width: int


@dataclass
class Author:
    """Another class that a file may want."""

    name: str


class Payload:
    """Run `exec` when it is unpickled: here it makes an empty file, and no more."""

    def __init__(self, marker: Path):
        """Take the path of the file to make."""
        self.marker = str(marker)

    def __reduce__(self):
        """Return the instruction that pickle writes."""
        return exec, (f"open({self.marker!r}, 'w').close()",)


IT_RAN = (
    "your function has run code from the file: the check's payload made a file of its own. "
)


def refused(function: Callable) -> str | None:
    """List the names in a file that weights_only does not allow, without opening it."""
    weights = torch.ones(2)
    with tempfile.TemporaryDirectory() as folder:
        marker = Path(folder) / "ran"
        for kept in (
            [Settings(2), Author("Ada")],
            [],
            [Payload(marker), Settings(2)],
        ):
            path = Path(folder) / "file.pt"
            torch.save({"weights": weights, "more": kept}, path)
            spec = _refused_slowly(path)
            try:
                answer = function(path)
            except pickle.UnpicklingError:
                return (
                    "your function opens the file, and is refused: torch.serialization has "
                    "a function that only reads the names."
                )
            if marker.exists():
                return IT_RAN + "Read the names without torch.load."
            if answer is None:
                return no_answer(function)
            if fault := _wrong_names(answer, spec):
                return fault
    return None


def _wrong_names(answer: object, spec: list[str]) -> str | None:
    if isinstance(answer, set | tuple):
        return (
            f"expected a list; your function returns a {kind(answer)}: sorted() makes one."
        )
    if not isinstance(answer, list) or not all(isinstance(a, str) for a in answer):
        return "expected a list of names, such as ['project.Settings']."
    if answer == spec:
        return None
    if sorted(answer) == spec:
        return "the names are right, their order is not: sort them."
    if any(name.startswith(("torch.", "collections.")) for name in answer):
        return (
            "what weights_only allows anyway, such as tensors, does not belong in the list."
        )
    if wrong := [name for name in answer if name not in spec]:
        return f"{wrong[0]!r} is nothing that is refused; take the pickle's own names."
    missing = next((name for name in spec if name not in answer), None)
    if missing is None:
        return "a name stands in your list twice."
    return f"{missing!r} is missing: the file names {len(spec)} that are not allowed."


def _refused_slowly(path: Path) -> list[str]:
    """Every global in the pickle's instructions, less those that tensors need."""
    with zipfile.ZipFile(path) as archive:
        data = archive.read(f"{path.stem}/data.pkl")
    names = {
        argument.replace(" ", ".").replace("__builtin__", "builtins")
        for code, argument, _ in pickletools.genops(data)
        if code.name == "GLOBAL"
    }
    return sorted(name for name in names if not name.startswith(("torch.", "collections.")))


def open_with(function: Callable) -> str | None:
    """Open a file, letting some classes through and nothing else, and for once."""
    before = get_safe_globals()
    with tempfile.TemporaryDirectory() as folder:
        try:
            return _fault_of_opening(function, Path(folder), before)
        finally:
            clear_safe_globals()
            add_safe_globals(before)


def _fault_of_opening(function: Callable, folder: Path, before: list) -> str | None:
    path, marker = folder / "file.pt", folder / "ran"
    for thing in (Settings(2), Author("Ada")):
        torch.save({"weights": torch.ones(2), "more": thing}, path)
        try:
            content = function(path, [type(thing)])
        except pickle.UnpicklingError:
            return (
                f"your function refuses a file with a {kind(thing)}, which was in "
                "`allowed`: pass the list on to safe_globals, and load inside its with."
            )
        if content is None:
            return no_answer(function)
        if not isinstance(content, dict) or content.get("more") != thing:
            return "return what torch.load gives, all of it."
        if set(get_safe_globals()) - set(before):
            return (
                f"after your function {kind(thing)} is still allowed, for every file to "
                "come: use the context manager safe_globals, not add_safe_globals."
            )
    for thing, what in ((Payload(marker), "exec"), (Author("Ada"), "Author")):
        torch.save({"weights": torch.ones(2), "more": thing}, path)
        try:
            function(path, [Settings])
        except pickle.UnpicklingError:
            continue
        if marker.exists():
            return IT_RAN + "Keep weights_only=True and allow the given classes alone."
        return (
            f"a file that wants {what}, which is not in `allowed`, has to be refused; your "
            "function returns something instead. Let torch.load's error through."
        )
    return None


EXERCISES = {
    "03.1": Exercise(
        refused,
        "it agrees with reading the pickle's instructions one by one, and nothing ran.",
        of_function=True,
    ),
    "03.2": Exercise(
        open_with,
        "two classes came through when they were asked for; exec did not, and no "
        "permission was left behind.",
        of_function=True,
    ),
    "03.3": Exercise(
        check_rescue,
        "the file needs no class any more, and a damaged one did not get past you.",
        of_function=True,
    ),
}

QUIZZES = {
    "03.q1": (
        "An unknown uploader offers the same weights in four files. Which do you open?",
        [
            (
                "model.pt, with weights_only=False",
                False,
                "A pickle may call anything, and has done so before you see a tensor.",
            ),
            (
                "model.pt2, since it needs no class",
                False,
                "Its example input is a pickle, and here it ran our code.",
            ),
            (
                "model.torchscript",
                False,
                "It is a program. Ours wrote a file while it was being opened.",
            ),
            (
                "model.safetensors",
                True,
                "Names, shapes and numbers: there is no place for code. Then check what "
                "the model answers: wrong weights are still possible.",
            ),
        ],
    ),
}
