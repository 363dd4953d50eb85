"""Rules that might map what is still open, from the keys' shapes and names."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from operator import eq

from helpers.classroom.explorers.key_rules import Mapped, Row, Shapes, map_keys

TRIED = 12  # candidates whose effect is counted: each takes about a millisecond


@dataclass(frozen=True)
class Suggestion:
    """A rule, as text, and why it is worth a try.

    Attributes:
        line: `regular expression -> replacement`, to be added below the other rules.
        reason: what it would do, in words.
    """

    line: str
    reason: str


def suggest(mapped: Mapped, old: Shapes, new: Shapes, *, most: int = 3) -> list[Suggestion]:
    """Return up to `most` rules, the most helpful first; none where nothing is found.

    Left-over keys are paired with missing ones of the same shape and last part
    ("weight"), in their order: a guess, and the reader's to judge. What differs between
    the two names becomes a candidate. It is worth as many parts of names as it brings
    into agreement, and is left out where it makes two keys one.

    Args:
        mapped: the result of the rules so far, from `map_keys(old, new, rules)`.
        old: name -> shape in the file.
        new: name -> shape in the model.
        most: suggestions at most.
    """
    pairs = list(_pairs(mapped.rows))
    votes = Counter(change for a, b in pairs for change in _changes(a, b))
    worth, backers = {}, {}
    for change, count in votes.most_common(TRIED):
        pattern, replacement = rule = _rule(*change)
        sub = re.compile(pattern).sub
        gain = 0
        for a, b in pairs:
            after = sub(replacement, a)
            if after != a:
                gain += _agreement(after, b) - _agreement(a, b)
        if gain > 0:
            worth[rule], backers[rule] = gain, count
    found = []
    for rule in sorted(worth, key=worth.get, reverse=True):
        after = map_keys(old, new, [*mapped.rules, rule])
        if after.counts["collision"] > mapped.counts["collision"]:
            continue
        gain = after.counts["match"] - mapped.counts["match"]
        reason = f"{gain} more match" if gain > 0 else f"{backers[rule]} come nearer"
        found.append(Suggestion(" -> ".join(rule).strip(), reason))
        if len(found) == most:
            break
    return found


def _pairs(rows: tuple[Row, ...]) -> Iterator[tuple[str, str]]:
    """Pair left-over and missing names of the same shape and last part, in their order."""
    waiting = defaultdict(list)
    for row in reversed(rows):
        if row.finding == "missing":
            waiting[row.new_shape, row.name.rpartition(".")[2]].append(row.name)
    for row in rows:
        if row.finding == "left over":
            same = waiting[row.old_shape, row.name.rpartition(".")[2]]
            if same:
                yield row.name, same.pop()


def _agreement(a: str, b: str) -> int:
    """Count the parts that are the same in both names, seen from their ends."""
    x, y = a.split(".")[::-1], b.split(".")[::-1]
    return sum(map(eq, x, y)) - abs(len(x) - len(y))


def _changes(old: str, new: str) -> Iterator[tuple]:
    """Yield changes that lead from one name to the other, or nearer to it.

    A change is (parts to be replaced, parts in their place, whether the first one is the
    name's first, whether the last one is the name's last).
    """
    a, b = tuple(old.split(".")), tuple(new.split("."))
    if len(a) > len(b):
        yield a[:1], (), True, False  # a wrapper's prefix too many
    if len(a) < len(b):
        yield (), b[:1], True, False  # a prefix is missing
    if len(a) == len(b):
        for k, (x, y) in enumerate(zip(a, b, strict=True)):
            if x != y:
                yield (x,), (y,), k == 0, k == len(a) - 1
    tail = 0
    while tail < min(len(a), len(b)) - 1 and a[-1 - tail] == b[-1 - tail]:
        tail += 1
    yield a[: len(a) - tail], b[: len(b) - tail], True, tail == 0


def _rule(x: tuple, y: tuple, first: bool, last: bool) -> tuple[str, str]:
    """Return the rule that puts the parts y in the place of the parts x."""
    before, after = "" if first else ".", "" if last else "."
    pattern = re.escape(before + ".".join(x) + after) if x else ""
    replacement = before + ".".join(y) + after if y else before
    return ("^" if first else "") + pattern + ("$" if last else ""), replacement
