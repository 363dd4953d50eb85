"""What can be wrong with a checkpoint: not whole, not safe, or not yours."""


class CheckpointError(Exception):
    """The file cannot be used; the message names it and says why and what to do."""


class CorruptCheckpointError(CheckpointError):
    """Bytes are missing, or not those that were written."""


class UnsafeCheckpointError(CheckpointError):
    """Opening the file could run code, hang, or fill the memory."""


class IncompatibleCheckpointError(CheckpointError):
    """The file is another format's, or does not fit the model, optimizer or scheduler."""
