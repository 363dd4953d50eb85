"""Rename the keys of a state dict: a wrapper's prefix, a layer's new name.

Save, Load, Ship 0.2.0: helpers/state_dicts/keys.py · repairs: CHANGELOG.md
"""

import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor

from helpers.state_dicts.tensors import StateDict, tensors_of


def remap_keys(
    state_dict: StateDict, rules: Sequence[tuple[str, str]]
) -> dict[str, Tensor]:
    r"""Rename keys with ordered (regular expression, replacement) pairs.

    Each rule is applied with `re.sub` to the result of the one before, as in
    `[(r"^module\.", ""), (r"^fc(\d)", r"layer\1")]`. The tensors are the same objects;
    the modules' versions in `_metadata` move along.

    Raises:
        ValueError: a rule is malformed or matches no key, a new name is one that no
            module can have, or two keys become one.

    >>> from torch import nn
    >>> old = nn.Sequential(nn.Linear(3, 2)).state_dict()
    >>> list(remap_keys(old, [(r"^(\d)\.", r"layer\1.")]))
    ['layer0.weight', 'layer0.bias']
    >>> remap_keys(old, [(r"^conv", "layer")])
    Traceback (most recent call last):
    ValueError: rule 1, '^conv' -> 'layer', matches none of the 2 keys: '0.weight', '0.bias'
    """
    state_dict = tensors_of(state_dict, "state_dict")
    names = {name: name for name in state_dict}
    if not isinstance(rules, list | tuple):
        raise ValueError(f"rules is {rules!r}; expected a list of pairs of strings")
    for number, rule in enumerate(rules, start=1):
        match rule:
            case [str(pattern), str(replacement)]:
                label = f"rule {number}, {pattern!r} -> {replacement!r},"
            case _:
                raise ValueError(
                    f"rule {number} is {rule!r}; "
                    "expected a pair of strings, (regular expression, replacement)"
                )
        try:
            changed = {
                old: re.subn(pattern, replacement, new) for old, new in names.items()
            }
        except (re.error, IndexError, OverflowError) as error:
            # IndexError: an unknown group name. OverflowError: a{9999999999}.
            raise ValueError(f"{label} is not valid: {error}") from error
        if not any(count for _, count in changed.values()):
            raise ValueError(f"{label} matches none of the {_some(names.values())}")
        names = {old: new for old, (new, _) in changed.items()}
    return _rename(state_dict, names)


def strip_prefix(state_dict: StateDict, prefix: str) -> dict[str, Tensor]:
    """Take `prefix` (with its dot: "module.") once off each key that starts with it.

    Other keys stay as they are. The tensors are the same objects.

    Raises:
        ValueError: no key starts with the prefix, a new name is one that no module can
            have, or two keys become one.

    >>> from torch import nn
    >>> wrapped = nn.DataParallel(nn.Linear(3, 2)).state_dict()
    >>> list(wrapped), list(strip_prefix(wrapped, "module."))
    (['module.weight', 'module.bias'], ['weight', 'bias'])
    """
    state_dict = tensors_of(state_dict, "state_dict")
    if not isinstance(prefix, str) or not prefix:
        raise ValueError(f"prefix is {prefix!r}; expected a string such as 'module.'")
    if not any(key.startswith(prefix) for key in state_dict):
        raise ValueError(f"prefix {prefix!r} matches none of the {_some(state_dict)}")
    return _rename(state_dict, {key: key.removeprefix(prefix) for key in state_dict})


def _some(keys: Iterable[str]) -> str:
    keys = list(keys)
    more = ", ..." if len(keys) > 3 else ""
    return f"{len(keys)} keys: {', '.join(map(repr, keys[:3]))}{more}"


def _rename(state_dict: StateDict, names: Mapping[str, str]) -> dict[str, Tensor]:
    """Return a new dict under the new names (old -> new); `_metadata` follows."""
    old_name: dict[str, str] = {}
    for old, new in names.items():
        if new != old and "" in new.split("."):
            raise ValueError(
                f"{old!r} would become {new!r}, a name that no module can have: "
                "one of the parts between its dots is empty"
            )
        if new in old_name:
            raise ValueError(f"{old_name[new]!r} and {old!r} would both become {new!r}")
        old_name[new] = old
    if not hasattr(state_dict, "_metadata"):
        return {new: state_dict[old] for new, old in old_name.items()}
    # Path of a module -> its new path: "module.fc" -> "fc", "module" -> "".
    moved: dict[str, str] = {}
    for old, new in names.items():
        old_path, new_path = old.split(".")[:-1], new.split(".")[:-1]
        moved.setdefault(".".join(old_path), ".".join(new_path))
        while old_path and new_path and old_path.pop() == new_path.pop():
            moved.setdefault(".".join(old_path), ".".join(new_path))

    def follow(path: str) -> str:
        if path in moved or not path:
            return moved.get(path, path)
        parent, _, leaf = path.rpartition(".")  # no tensors of its own, such as ReLU
        return f"{follow(parent)}.{leaf}".removeprefix(".")

    renamed = OrderedDict((new, state_dict[old]) for new, old in old_name.items())
    # Copied, since load_state_dict(assign=True) writes into these entries.
    moved_metadata = OrderedDict(
        (follow(path), dict(entry)) for path, entry in state_dict._metadata.items()
    )
    renamed._metadata = moved_metadata  # type: ignore[attr-defined]  # as torch does
    return renamed
