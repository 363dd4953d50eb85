"""A folder of checkpoints: the last few, the best, and a way past a damaged one.

Save, Load, Ship 0.2.0: helpers/checkpoints/folders.py · repairs: CHANGELOG.md
"""

import dataclasses
import math
import os
import re
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import nn

from helpers.arguments import require_one_of, whole_number
from helpers.checkpoints.archive.errors import (
    CheckpointError,
    CorruptCheckpointError,
    UnsafeCheckpointError,
)
from helpers.checkpoints.loading import Checkpoint, load_checkpoint
from helpers.checkpoints.saving import save_checkpoint
from helpers.checkpoints.verifying import read_metadata

_NAME = re.compile(r"epoch_(\d{4,})_step_(\d{8,})\.pt")


class CheckpointFolder:
    """Keeps the newest and the best checkpoints of one training run in a folder.

    The newest is the one with the highest (epoch, step), which its name holds. Files
    with other names are left alone.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as directory:
    ...     folder = CheckpointFolder(directory, keep_last=1, keep_best=1)
    ...     for epoch, loss in enumerate([0.9, 0.2, 0.4, 0.3]):
    ...         metrics = {"loss": loss}
    ...         path = folder.save(model=nn.Linear(3, 2), epoch=epoch, metrics=metrics)
    ...     [path.name for path in folder.paths()]
    ['epoch_0001_step_00000000.pt', 'epoch_0003_step_00000000.pt']
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        *,
        keep_last: int = 3,
        keep_best: int = 1,
        metric: str = "loss",
        mode: str = "min",
    ):
        """Make the folder if it is not there.

        Args:
            directory: where the files are.
            keep_last: how many of the newest to keep, at least 1. More than one, as the
                newest may be damaged.
            keep_best: how many of the best to keep beside them, 0 or more.
            metric: the name in `metrics` that tells which is best.
            mode: "min" where smaller is better, "max" where larger is.

        Raises:
            ValueError: a count or the mode is not one of these.
        """
        self.keep_last = whole_number("keep_last", keep_last, least=1)
        self.keep_best = whole_number("keep_best", keep_best, least=0)
        require_one_of("mode", mode, ("min", "max"))
        self.directory = Path(directory)
        self.metric, self.mode = metric, mode
        self.directory.mkdir(parents=True, exist_ok=True)

    def save(
        self,
        *,
        model: nn.Module | Mapping[str, nn.Module],
        epoch: int = 0,
        step: int = 0,
        metrics: Mapping[str, float] | None = None,
        **parts: Any,
    ) -> Path:
        """Save as `save_checkpoint` does, then delete what need not be kept.

        Raises:
            ValueError: `metrics` lacks the folder's metric; or as `save_checkpoint`.
            OSError: the file cannot be written; every older one is still there.
        """
        if self.keep_best and self.metric not in (metrics or {}):
            raise ValueError(
                f"metrics has no {self.metric!r}, by which this folder tells the best; "
                "give it, or make the folder with keep_best=0"
            )
        epoch = whole_number("epoch", epoch, least=0)
        step = whole_number("step", step, least=0)
        path = self.directory / f"epoch_{epoch:04d}_step_{step:08d}.pt"
        save_checkpoint(path, model=model, epoch=epoch, step=step, metrics=metrics, **parts)
        self._delete_others(path)
        return path

    def paths(self) -> list[Path]:
        """Return the checkpoints, oldest first."""
        found = [path for path in self.directory.iterdir() if _NAME.fullmatch(path.name)]
        return sorted(found, key=lambda path: [*map(int, path.stem.split("_")[1::2])])

    def latest(self) -> Path | None:
        """Return the newest checkpoint, whole or not; None in an empty folder."""
        return next(reversed(self.paths()), None)

    def best(self) -> Path | None:
        """Return the checkpoint with the best metric, None if none can be read."""
        return next(iter(self._rank(self._metrics())), None)

    def load_latest(
        self, *, model: nn.Module | Mapping[str, nn.Module], **parts: Any
    ) -> Checkpoint | None:
        """Load the newest whole checkpoint; None if the folder has none at all.

        A damaged one is skipped with a warning, and listed in `skipped` of the result.
        Arguments are those of `load_checkpoint`.

        Raises:
            CorruptCheckpointError: there are checkpoints, and none is whole.
            IncompatibleCheckpointError: the newest whole one does not fit.
        """
        skipped: list[tuple[Path, str]] = []
        for path in reversed(self.paths()):
            try:
                checkpoint = load_checkpoint(path, model=model, **parts)
            except (CorruptCheckpointError, UnsafeCheckpointError) as error:
                skipped.append((path, str(error)))
                warnings.warn(f"skipped a checkpoint: {error}", stacklevel=2)
            else:
                return dataclasses.replace(checkpoint, skipped=tuple(skipped))
        if not skipped:
            return None
        reasons = "\n".join(reason for _, reason in skipped)
        raise CorruptCheckpointError(
            f"none of the {len(skipped)} checkpoints in {self.directory} is whole:\n"
            f"{reasons}"
        )

    def _metrics(self) -> dict[Path, float]:
        """Return the metric of every checkpoint that can be read, oldest first."""
        found = {}
        for path in self.paths():
            with suppress(CheckpointError, OSError):
                found[path] = read_metadata(path)["metrics"].get(self.metric, math.nan)
        return found

    def _rank(self, metrics: dict[Path, float]) -> list[Path]:
        sign = 1 if self.mode == "min" else -1
        ranked = [path for path, value in metrics.items() if not math.isnan(value)]
        return sorted(ranked, key=lambda path: sign * metrics[path])

    def _delete_others(self, new: Path) -> None:
        # A file that cannot be read does not count among those kept, and is left alone.
        metrics = self._metrics()
        kept = {new, *list(metrics)[-self.keep_last :]}
        kept |= set(self._rank(metrics)[: self.keep_best])
        for path in metrics:
            if path not in kept:
                with suppress(OSError):  # Windows keeps a file that somebody has open
                    path.unlink()
