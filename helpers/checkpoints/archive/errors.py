"""What can be wrong with a checkpoint: not whole, not safe, or not yours.

Save, Load, Ship 0.2.0: helpers/checkpoints/archive/errors.py · repairs: CHANGELOG.md
"""


class CheckpointError(Exception):
    """The file cannot be used; the message names it and says why and what to do.

    >>> issubclass(CorruptCheckpointError, CheckpointError)
    True
    """


class CorruptCheckpointError(CheckpointError):
    """Bytes are missing, or are not those that were written.

    >>> from helpers.checkpoints import verify
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder, open(f"{folder}/empty.pt", "wb") as file:
    ...     try:
    ...         verify(file.name)
    ...     except CorruptCheckpointError as error:
    ...         print("is empty" in str(error))
    True
    """


class UnsafeCheckpointError(CheckpointError):
    """Opening the file could run code, hang, or fill the memory.

    >>> import pickle
    >>> from helpers.checkpoints import verify
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder, open(f"{folder}/model.pkl", "wb") as file:
    ...     count = file.write(pickle.dumps({"weight": 1.0}))
    ...     file.flush()
    ...     try:
    ...         verify(file.name)
    ...     except UnsafeCheckpointError as error:
    ...         print("a bare pickle" in str(error))
    True
    """


class IncompatibleCheckpointError(CheckpointError):
    """The file is another format's, or does not fit the model, optimizer or scheduler.

    >>> from helpers.checkpoints import verify
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     try:
    ...         verify(folder)
    ...     except IncompatibleCheckpointError as error:
    ...         print("expected a .pt file" in str(error))
    True
    """
