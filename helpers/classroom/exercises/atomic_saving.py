"""The check for exercise 02.1: what a save does, and leaves, step by step."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import torch

from helpers.classroom.exercises.checking import no_answer


class _Crash(Exception):
    """Stands for whatever ends a save in its middle."""


class _Breaks:
    """A value that cannot be pickled: saving it fails after a part was written."""

    def __reduce__(self):
        raise _Crash("the save was interrupted")


def check_atomic_save(function: Callable) -> str | None:
    """Save so that a crash never costs the old file, and nothing is left beside it."""
    old, new = {"weights": torch.zeros(1000)}, {"weights": torch.ones(1000)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint.pt"
        torch.save(old, path)
        watch = _Watch(path)
        with watch:
            function(new, path)
        if hint := _after_success(watch, function, path, old):
            return hint
        torch.save(old, path)
        # Large, so that something has been written when the save breaks.
        broken = {"weights": torch.ones(1000), "broken": _Breaks()}
        try:
            function(broken, path)
        except _Crash:
            pass
        else:
            return "a save that failed raised nothing: let the error out after clean-up."
        if not _holds(path, old):
            return "an error in the middle of the save cost the old file."
        if left := _beside(path):
            return (
                f"a save that failed left {left[0]!r} behind: remove the temporary file "
                "in a finally, or in an except that raises again."
            )
    return None


def _after_success(watch: "_Watch", function: Callable, path: Path, old: dict):
    if _holds(path, old) and not watch.replaced:
        nothing = "path still holds the old state: save the new one there."
        return no_answer(function, nothing)
    if not watch.replaced:
        if watch.renamed:
            return (
                "on Windows, rename refuses a name that exists; os.replace does the same "
                "on every system."
            )
        return (
            "you wrote into the good file itself: from its first byte on there is neither "
            "the old state nor the new one. Write a temporary file, then os.replace it."
        )
    if not watch.old_was_there:
        return (
            "when os.replace was called, the old file was gone already: a crash before it "
            "leaves nothing. os.replace removes the old one by itself."
        )
    if watch.source.parent != path.parent:
        return (
            "the temporary file lies in another folder. That may be another disk, where "
            "nothing can be renamed in one step: use path.with_name(...)."
        )
    if not watch.complete:
        return (
            "os.replace was called before the temporary file was complete: leave the with "
            "block, or call file.flush(), first."
        )
    if not watch.synced:
        return (
            "nothing was forced to the disk: after a power cut the new name may belong to "
            "an empty file. Before os.replace, file.flush() and os.fsync(file.fileno())."
        )
    if not _holds(path, {"weights": torch.ones(1000)}):
        return "after the save, path does not hold the new state."
    if left := _beside(path):
        return f"{left[0]!r} was left beside the checkpoint."
    return None


class _Watch:
    """Looks on while a file is replaced: what was there, and what had been done before."""

    def __init__(self, path: Path):
        self.path, self.before = path, path.read_bytes()
        self.replaced = self.renamed = self.synced = False
        self.old_was_there = self.complete = False
        self.source = path

    def __enter__(self):
        real = {name: getattr(os, name) for name in ("replace", "rename", "fsync")}

        def replace(source, target, **kwargs):
            self.replaced, self.source = True, Path(source).absolute()
            same = self.path.exists() and self.path.read_bytes() == self.before
            self.old_was_there = same
            self.complete = _holds(self.source, {"weights": torch.ones(1000)})
            return real["replace"](source, target, **kwargs)

        def rename(source, target, **kwargs):
            self.renamed = True
            return real["replace"](source, target, **kwargs)

        def fsync(descriptor):
            self.synced |= not self.replaced
            return real["fsync"](descriptor)

        patches = {"replace": replace, "rename": rename, "fsync": fsync}
        self._patch = mock.patch.multiple(os, **patches)
        self._patch.start()
        return self

    def __exit__(self, *error):
        self._patch.stop()


def _holds(path: Path, state: dict) -> bool:
    try:
        found = torch.load(path, weights_only=True)
        return torch.equal(found["weights"], state["weights"])
    except Exception:
        return False


def _beside(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.iterdir() if file != path)
