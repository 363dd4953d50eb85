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
    >>> verify(__file__)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    helpers...CorruptCheckpointError: ... is not a checkpoint but a text file, beginning ...
    """


class UnsafeCheckpointError(CheckpointError):
    """Opening the file could run code, hang, or fill the memory.

    >>> from os import devnull
    >>> from helpers.checkpoints import verify
    >>> verify(devnull)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    helpers...UnsafeCheckpointError: ... is a device or socket; expected a regular file. ...
    """


class IncompatibleCheckpointError(CheckpointError):
    """The file is another format's, or does not fit the model, optimizer or scheduler.

    >>> from helpers.checkpoints import verify
    >>> verify(".")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    helpers...IncompatibleCheckpointError: . is not a checkpoint but a folder: give ...
    """
