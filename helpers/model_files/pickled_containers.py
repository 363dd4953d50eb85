"""What is in a container that a pickle makes, whatever class keeps it.

Save, Load, Ship 0.2.0: helpers/model_files/pickled_containers.py · repairs: CHANGELOG.md
"""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from helpers.model_files.pickle_instructions import Made

_MAPPINGS = {"dict", "collections.OrderedDict", "collections.defaultdict", "builtins.dict"}


def pairs(value: Any) -> list[tuple[Any, Any]] | None:
    """Return the keys and values of a mapping, None for anything else.

    >>> pairs(Made("dict", (), items=["epoch", 3])), pairs([1])
    ([('epoch', 3)], None)
    """
    if not isinstance(value, Made) or value.name not in _MAPPINGS or value.args is None:
        return None
    return [*_in_turn(value.items), *_old_pairs(value)]


def _old_pairs(value: Made) -> Iterator[tuple[Any, Any]]:
    """Return what Python 2 kept an ordered dict as: a list of pairs, the argument."""
    for pair in value.args[0] if value.args and isinstance(value.args[0], list) else ():
        if isinstance(pair, (list, tuple)) and len(pair) == 2:
            yield tuple(pair)


def inside(value: Any) -> Iterator[tuple[Any, Any]] | None:
    """Return what is in a container, None where nothing in it could hold a tensor.

    >>> list(inside([Made("my.Own"), 1])), inside([1, 2])
    ([(0, Made(name='my.Own', args=None, state=None, items=None)), (1, 1)], None)
    """
    if isinstance(value, Made):
        if value.name in _MAPPINGS and value.args is not None:
            return chain(_in_turn(value.items), _old_pairs(value))
        state = value.state
        # Of an object with slots, these stand behind its attributes.
        states = state if isinstance(state, tuple) else (state,)
        parts = [pairs(part) for part in states[:2]]
        made = inside(value.args) or ()
        items = () if value.items is None else _in_items(value)
        found = list(chain(*(part or () for part in parts), made, items))
        return iter(found) if found else None
    is_list = isinstance(value, (list, tuple))
    if is_list and any(isinstance(x, (Made, list, tuple)) for x in value):
        return iter(enumerate(value))
    return None


def _in_turn(items: list | None) -> Iterator[tuple[Any, Any]]:
    return zip(*[iter(items or [])] * 2, strict=False)


def _in_items(value: Made) -> Iterator[tuple[Any, Any]]:
    """Return what was added to an object: pairs to a mapping, else values."""
    items = value.items or []
    are_keys = all(isinstance(key, (str, int)) for key in items[: 2 * 60 : 2])
    return iter(enumerate(items)) if len(items) % 2 or not are_keys else _in_turn(items)


def is_array(value: Any) -> bool:
    """Return whether it is an array of NumPy.

    >>> is_array(Made("numpy._core.multiarray._reconstruct", (), state=()))
    True
    """
    is_made = isinstance(value, Made) and value.name.startswith("numpy.")
    return is_made and value.name.endswith("._reconstruct") and value.state is not None
