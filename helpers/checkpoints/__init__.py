"""Training checkpoints that survive: a crash, a flipped bit, the wrong model.

A checkpoint is a plain `.pt` that `torch.load(path, weights_only=True)` reads anywhere.
Begin with `saving.py` and the file that it rests on, `atomic.py`; then `loading.py`.

Save, Load, Ship 0.2.0: helpers/checkpoints/__init__.py · repairs: CHANGELOG.md
"""

from helpers.checkpoints.archive.errors import (
    CheckpointError,
    CorruptCheckpointError,
    IncompatibleCheckpointError,
    UnsafeCheckpointError,
)
from helpers.checkpoints.folders import CheckpointFolder
from helpers.checkpoints.loading import Checkpoint, load_checkpoint
from helpers.checkpoints.saving import save_checkpoint
from helpers.checkpoints.verifying import Verification, read_metadata, verify

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "CheckpointFolder",
    "CorruptCheckpointError",
    "IncompatibleCheckpointError",
    "UnsafeCheckpointError",
    "Verification",
    "load_checkpoint",
    "read_metadata",
    "save_checkpoint",
    "verify",
]
