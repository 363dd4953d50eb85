"""Which old key becomes which new one? Rules as text, and what comes of them.

`helpers.state_dicts.remap_keys` renames, and refuses whatever is not sound. Here every
key gets its finding while the rules are still being written, mistakes included.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from helpers.state_dicts import StateDict, remap_keys, tensors_of

Rules = Sequence[tuple[str, str]]
Shapes = Mapping[str, tuple[int, ...]]
# Each finding, and what it means when the result is loaded.
FINDINGS = {
    "match": "the names and the shapes agree",
    "other shape": "the names agree, the shapes do not",
    "collision": "two old keys want one name",
    "left over": "the new model has no such key",
    "missing": "no old key becomes this one",
}

SHOWN = 3  # names of each finding that are said in words


@dataclass(frozen=True)
class Row:
    """One old key with what becomes of it, or one new key that nothing becomes.

    Attributes:
        finding: a key of FINDINGS.
        old: the key in the file; "" where the finding is "missing".
        name: the same after all rules.
        old_shape: its shape, or None where there is no old key.
        new_shape: the shape in the model, or None where the model has no such name.
    """

    finding: str
    old: str
    name: str
    old_shape: tuple[int, ...] | None
    new_shape: tuple[int, ...] | None


@dataclass(frozen=True)
class Mapped:
    """What a list of rules makes of the old keys.

    Attributes:
        rules: as remap_keys takes them.
        rows: the old keys in their order, then the new keys that are missing.
        refusal: the message with which remap_keys would refuse the rules; "" if it
            would not.
    """

    rules: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]
    refusal: str

    @property
    def counts(self) -> dict[str, int]:
        """Finding -> number of rows, all of FINDINGS in their order."""
        found = Counter(row.finding for row in self.rows)
        return {finding: found[finding] for finding in FINDINGS}

    @property
    def text(self) -> str:
        """The counts in one sentence, with the first names of what is open."""
        parts = [f"{self.counts['match']} match"]
        for finding, count in self.counts.items():
            if count and finding != "match":
                names = [row.old or row.name for row in self.rows if row.finding == finding]
                more = ", ..." if count > SHOWN else ""
                parts.append(f"{count} {finding} ({', '.join(names[:SHOWN])}{more})")
        state = "Complete" if len(parts) == 1 else "Not complete"
        return f"{state}: {'; '.join(parts)}."

    @property
    def call(self) -> str:
        """The line of Python that renames; "" where remap_keys would refuse."""
        if self.refusal:
            return ""
        pairs = [f"({_literal(old)}, {_literal(new)})" for old, new in self.rules]
        if len(pairs) < 2:
            return f"remap_keys(state_dict, [{''.join(pairs)}])"
        lines = "".join(f"        {pair},\n" for pair in pairs)
        return f"remap_keys(\n    state_dict,\n    [\n{lines}    ],\n)"


def shapes_of(model_or_state_dict: nn.Module | StateDict, argument: str) -> Shapes:
    """Return name -> shape.

    Raises:
        TypeError: it is neither a module nor a dict of tensors; `argument` is named.
    """
    tensors = tensors_of(model_or_state_dict, argument)
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def read_rules(text: str) -> tuple[list[tuple[str, str]], list[str]]:
    r"""Read one rule a line, `regular expression -> replacement`.

    `^module\. ->` takes a prefix off. Spaces around both halves do not count. Empty lines
    do nothing, nor does a line that starts with #.

    Returns:
        The rules as remap_keys takes them, and a sentence for each line that is not a rule.
    """
    rules, faults = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        old, arrow, new = (part.strip() for part in line.partition("->"))
        fault = ""
        if not arrow or not old:
            fault = "is not a rule; expected old -> new"
        else:
            try:
                re.sub(old, new, "")  # also reads the replacement, whether used or not
            except (re.error, IndexError, OverflowError) as error:
                # IndexError: an unknown group name. OverflowError: a{9999999999}.
                fault = f"cannot be read: {error}"
        if fault:
            faults.append(f"Line {number}: '{line.strip()}' {fault}.")
        else:
            rules.append((old, new))
    return rules, faults


def map_keys(old: Shapes, new: Shapes, rules: Rules) -> Mapped:
    """Rename the old keys by the rules and lay them beside the new ones.

    Args:
        old: name -> shape in the file.
        new: name -> shape in the model.
        rules: sound ones, from `read_rules`.
    """
    names = _rename(old, rules)
    count = Counter(names.values())
    rows = []
    for key, name in names.items():
        if count[name] > 1:
            finding = "collision"
        elif name not in new:
            finding = "left over"
        else:
            finding = "match" if old[key] == new[name] else "other shape"
        rows.append(Row(finding, key, name, old[key], new.get(name)))
    rows += [Row("missing", "", name, None, new[name]) for name in new if not count[name]]
    return Mapped(tuple(map(tuple, rules)), tuple(rows), _refusal(old, list(rules)))


def _rename(keys: Iterable[str], rules: Rules) -> dict[str, str]:
    """Return old key -> new name, as remap_keys makes it, with nothing refused."""
    names = {key: key for key in keys}
    for pattern, replacement in rules:
        one = re.compile(pattern)
        names = {key: one.sub(replacement, name) for key, name in names.items()}
    return names


def _refusal(keys: Iterable[str], rules: list[tuple[str, str]]) -> str:
    empty = torch.empty(0)
    try:
        remap_keys(dict.fromkeys(keys, empty), rules)
    except ValueError as error:
        return str(error)
    return ""


def _literal(text: str) -> str:
    """Write a text as Python source: raw where that spares doubled backslashes."""
    if "\\" in text and '"' not in text:
        return f'r"{text}"'
    # repr, with the double quotes that formatters want.
    return repr(text) if '"' in text or "\\" in text else f'"{repr(text)[1:-1]}"'
