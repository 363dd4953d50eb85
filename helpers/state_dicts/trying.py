"""Try something with a model, and leave no trace of it.

Save, Load, Ship 0.2.0: helpers/state_dicts/trying.py · repairs: CHANGELOG.md
"""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from helpers.state_dicts.restoring import all_or_nothing, what_is_left


class _End(Exception):
    pass


@contextmanager
def unchanged(model: nn.Module) -> Iterator[None]:
    """Put the model back as it was when the block ends, with or without an error.

    Raises:
        TypeError: the model is not a module.
        RuntimeError: something could not be put back; the text says what.

    >>> import torch
    >>> norm = nn.BatchNorm1d(1)
    >>> with unchanged(norm):
    ...     _ = norm(torch.rand(4, 1))
    >>> norm.num_batches_tracked
    tensor(0)
    """
    try:
        with all_or_nothing(model):
            yield
            raise _End
    except _End as end:
        if what_is_left(end) != "the model is unchanged":
            raise RuntimeError(*end.__notes__) from None
