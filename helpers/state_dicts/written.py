"""After values were written into tensors: do the tensors hold them?

Save, Load, Ship 0.2.0: helpers/state_dicts/written.py · repairs: CHANGELOG.md
"""

from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress

import torch
from torch import Tensor, UntypedStorage, nn

from helpers.state_dicts.differences import NotComparableError, is_same
from helpers.state_dicts.held_memory import places_of, storages_of
from helpers.state_dicts.kinds import is_empty_shell, kind_of


def unwritten(targets: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> str | None:
    """Return the first name whose target does not hold its value, in the target's dtype.

    A copy into a plain dense tensor with memory of its own cannot go wrong: only the others
    are compared, so that this stays fast. A subclass can have a `copy_` that does nothing,
    and of two entries that are views of one memory, the last one wins.

    Args:
        targets: name -> tensor of a model, after it was written.
        values: name -> what was to be written. Names that `targets` lacks are passed over,
            as are tensors without values and those of which nobody can say it.

    >>> weight = torch.zeros(2, 3)
    >>> targets = {"encoder": weight, "decoder": weight.T}
    >>> values = {"encoder": torch.ones(2, 3), "decoder": torch.rand(3, 2)}
    >>> for name, value in values.items():
    ...     _ = targets[name].copy_(value)
    >>> unwritten(targets, values)
    'encoder'
    """
    names = [name for name in values if name in targets]
    users: defaultdict[UntypedStorage, set[tuple]] = defaultdict(set)
    for name in names:
        for storage in storages_of(targets[name]):
            # Tied names that get one and the same value count once.
            pair = places_of(targets[name]), places_of(values[name])
            users[storage].add(pair)
    for name in names:
        target = targets[name]
        is_plain = type(target) in (Tensor, nn.Parameter) and kind_of(target) == ""
        is_alone = all(len(users[storage]) == 1 for storage in storages_of(target))
        if is_plain and is_alone and torch._debug_has_internal_overlap(target) == 0:
            continue
        if not _holds(target.detach(), values[name].detach()):
            return name
    return None


def _holds(target: Tensor, value: Tensor) -> bool:
    if is_empty_shell(target) or is_empty_shell(value):
        return True
    with suppress(RuntimeError, NotImplementedError, TypeError):
        value = value.to(device=target.device, dtype=target.dtype)
    verdict = False
    try:
        if is_same(target, value):
            return True
    except NotComparableError:
        verdict = True
    # One value can be held in two ways, such as a DTensor with other placements.
    with suppress(RuntimeError, NotImplementedError, TypeError):
        verdict = torch.equal(target, value)
    return verdict
