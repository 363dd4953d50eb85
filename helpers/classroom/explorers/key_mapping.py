"""The key-mapping workbench: rules as text, and what becomes of every key."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from html import escape

from torch import nn

from helpers.classroom.charts import Chart
from helpers.classroom.charts.drawing import WIDTH, label, picture
from helpers.classroom.explorers.key_rules import (
    Mapped,
    Row,
    map_keys,
    read_rules,
    shapes_of,
)
from helpers.classroom.explorers.key_suggestions import suggest
from helpers.classroom.panel import Choice, Panel, Text
from helpers.state_dicts import StateDict

SHOW = ("every key", "only what is open")
HEADINGS = ("Old key, in the file", "Finding", "Name after the rules")
# A sign and a colour for each finding: white on it is readable (WCAG 2.2, 1.4.3), and it
# stands out from the paper of both themes (1.4.11).
SIGNS = {
    "match": ("=", "#4b7f32"),
    "other shape": ("≠", "#9558ae"),
    "collision": ("×", "#cc3b31"),
    "left over": ("?", "#b8560f"),
    "missing": ("○", "#2f6fb7"),
}
LEGEND = (14, 116, 254, 368, 486)  # where the words for each stand, below the bar


class KeyMapping:
    """The workbench.

    Attributes:
        mapped: what the rules make of the old keys, a `key_rules.Mapped`.
        suggestions: rules that might help, each with a button of its own.
        panel: shows them.
    """

    def __init__(
        self, old: nn.Module | StateDict, new: nn.Module | StateDict, rules: str = ""
    ):
        """Build it over the keys of a file (old) and of a model (new).

        Raises:
            TypeError: one is neither a module nor a dict of tensors.
        """
        self._old, self._new = shapes_of(old, "old"), shapes_of(new, "new")
        self._map(rules)
        controls = [
            Text(
                "rules",
                "Rules, one a line: regular expression -> replacement",
                rules,
                lines=4,
                monospace=True,
            ),
            Choice("show", "Show", SHOW, SHOW[0]),
        ]
        self.panel = Panel("Old keys and new keys", controls, self._draw)
        # Last, since it takes the longest: the picture is on its way by now.
        self.panel.observe(lambda change: self._suggest(), "values")
        self._suggest()

    @property
    def rules(self) -> str:
        """The rules as text."""
        return self.panel.values["rules"]

    @rules.setter
    def rules(self, text: str) -> None:
        """Do what typing them does."""
        self.panel.values = {**self.panel.values, "rules": text}

    @property
    def call(self) -> str:
        """The line of Python that renames; "" while the rules are not sound."""
        return "" if self._faults else self.mapped.call

    @property
    def text(self) -> str:
        """What is said in words: faults first, then the counts."""
        return " ".join([*self._faults, self._findings])

    @property
    def _findings(self) -> str:
        # Python's message doubles the backslashes, which the learner has typed once.
        refusal = self.mapped.refusal.replace("\\\\", "\\")
        return (f"remap_keys refuses: {refusal}. " if refusal else "") + self.mapped.text

    def add(self, line: str) -> None:
        """Add a rule below the others, as a suggestion's button does."""
        self.rules = f"{self.rules.rstrip()}\n{line}".lstrip()

    def _map(self, text: str) -> None:
        self._read = text
        rules, self._faults = read_rules(text)
        self.mapped: Mapped = map_keys(self._old, self._new, rules)

    def _suggest(self) -> None:
        self.suggestions = suggest(self.mapped, self._old, self._new)
        self.panel.offer(
            {
                f"Add {some.line} ({some.reason})": partial(self.add, some.line)
                for some in self.suggestions
            }
        )

    def _draw(self, rules: str, show: str) -> Chart:
        if rules != self._read:
            self._map(rules)
        everything = show == SHOW[0]
        shown = [row for row in self.mapped.rows if everything or row.finding != "match"]
        return replace(
            draw(self.mapped, self._findings, everything=everything),
            table=(HEADINGS, *map(_cells, shown)) if shown else (),
            code=self.call,
            faults={"rules": " ".join(self._faults)},
        )

    def __repr__(self) -> str:
        """Say in words what the workbench shows; the same on every machine."""
        rules = "; ".join(self.rules.split("\n")) or "none"
        lines = "; ".join(some.line for some in self.suggestions) or "nothing"
        return f"KeyMapping(rules: {rules}): {self.text} Suggested: {lines}."

    def _repr_mimebundle_(self, **kwargs) -> tuple[dict, dict]:
        data, metadata = self.panel._repr_mimebundle_(**kwargs)
        del data["image/svg+xml"]  # the table says more
        data["text/plain"] = repr(self)
        data["text/html"] = table(self.mapped.rows)
        return data, metadata


def draw(mapped: Mapped, text: str, *, everything: bool = True) -> Chart:
    """Draw one bar with a piece for each finding, as wide as its share of what is shown."""
    counts = mapped.counts if everything else {**mapped.counts, "match": 0}
    parts, left, total = [], 14.0, max(sum(counts.values()), 1)
    for (finding, count), x in zip(counts.items(), LEGEND, strict=True):
        sign, colour = SIGNS[finding]
        width = (WIDTH - 28) * count / total
        parts.append(
            f'<rect x="{left:.1f}" y="34" width="{width:.1f}" height="16" fill="{colour}"/>'
        )
        parts.append(f'<rect x="{x}" y="60" width="12" height="12" fill="{colour}"/>')
        # The number is the whole one, also where matches are left out of the bar.
        words = f"{sign} {mapped.counts[finding]} {finding}"
        parts.append(label(x + 17, 71, words, size=12))
        left += width
    title = "What becomes of the keys" if everything else "What is open"
    return picture(title, 82, parts, text)


def table(rows: Sequence[Row]) -> str:
    """Return the rows as an HTML table: old key, finding, new name, with their shapes."""
    head = "".join(f'<th scope="col">{head}</th>' for head in HEADINGS)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(_text(cell))}</td>' for cell in _cells(row))}</tr>"
        for row in rows
    )
    style = "max-height: 300px; overflow: auto"
    return (
        f'<div tabindex="0" style="{style}"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cells(row: Row) -> tuple[str, tuple[str, str], str]:
    sign, colour = SIGNS[row.finding]
    label = f"{sign} {row.finding}", colour
    return _key(row.old, row.old_shape), label, _key(row.name, row.new_shape)


def _text(cell: str | tuple[str, str]) -> str:
    return cell if isinstance(cell, str) else cell[0]


def _key(name: str, shape: tuple[int, ...] | None) -> str:
    # A shape does not break at its spaces.
    return name if shape is None else f"{name} {shape}".replace(", ", ",\N{NO-BREAK SPACE}")


def key_mapping(
    old: nn.Module | StateDict, new: nn.Module | StateDict, rules: str = ""
) -> KeyMapping:
    """Return the workbench over a file's keys (old) and a model's (new).

    `rules` is the text to begin with, one rule a line, as `read_rules` takes it.

    Raises:
        TypeError: one is neither a module nor a dict of tensors.
    """
    return KeyMapping(old, new, rules)
