"""The key-mapping workbench: rules as text, and what becomes of every key."""

from collections.abc import Sequence
from html import escape

import ipywidgets
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
from helpers.classroom.panel import Choice, Panel
from helpers.state_dicts import StateDict

SHOW = ("every key", "only what is open")
# A sign and a colour for each finding; white on it is readable (WCAG 2.2, 1.4.3).
SIGNS = {
    "match": ("=", "#3f6f2a"),
    "other shape": ("≠", "#8a4fa3"),
    "collision": ("×", "#b3261e"),
    "left over": ("?", "#a04a0b"),
    "missing": ("○", "#2f6fb7"),
}
LEGEND = (14, 116, 254, 368, 486)  # where the words for each stand, below the bar
CHUNK = 25  # rows that the browser lays out together
# Rows that are out of sight are not laid out: three times as fast with 300 keys.
STYLE = """<style>
.sls-keys { border: 1px solid #888; contain: content; font: 12px monospace; height: 300px;
  max-width: 620px; overflow: auto; }
.sls-keys [role="row"] { display: grid; gap: 6px; grid-template-columns: 1fr 94px 1fr;
  line-height: 1.6; padding: 0 6px; }
.sls-keys .rows { content-visibility: auto; contain-intrinsic-height: auto 600px; }
.sls-keys [role="row"] > * { overflow-wrap: anywhere; }
.sls-keys [role="columnheader"] { font: bold 13px sans-serif; }
.sls-keys b { border-radius: 3px; color: #fff; font: 12px sans-serif; padding: 1px 6px; }
.sls-keys i { font-style: normal; white-space: nowrap; }
"""
STYLE += "".join(
    f".sls-keys .f{k} {{ background: {colour}; }}\n"
    for k, (_, colour) in enumerate(SIGNS.values())
)
STYLE += "</style>"


class KeyMapping(ipywidgets.GridBox):
    """The workbench.

    Attributes:
        mapped: what the rules make of the old keys, a `key_rules.Mapped`.
        call: the line of Python that does the same; "" while the rules are not sound.
    """

    def __init__(
        self, old: nn.Module | StateDict, new: nn.Module | StateDict, rules: str = ""
    ):
        """Build it over the keys of a file (old) and of a model (new).

        Raises:
            TypeError: one is neither a module nor a dict of tensors.
        """
        self._old, self._new = shapes_of(old, "old"), shapes_of(new, "new")
        self._text = ipywidgets.Textarea(
            rules,
            description="Rules, one a line: regular expression -> replacement",
            rows=4,
            layout=_wide(),
            style={"description_width": "auto"},
        )
        self._buttons = [ipywidgets.Button(layout=_wide()) for _ in range(3)]
        for button in self._buttons:
            button.on_click(lambda pressed: self.add(pressed.tooltip))
        self._map()
        show = Choice("show", "Show", SHOW, SHOW[0])
        self._panel = Panel("Old keys and new keys", [show], self._draw)
        self._table = ipywidgets.HTML()
        self._call = ipywidgets.Textarea(
            description="The call to copy",
            rows=5,
            layout=_wide(),
            style={"description_width": "auto"},
        )
        super().__init__([self._text, *self._buttons, self._panel, self._table, self._call])
        self._text.observe(self._changed, "value")
        self._panel.observe(self._show, "values")
        self._show()

    @property
    def rules(self) -> str:
        """The rules as text."""
        return self._text.value

    @rules.setter
    def rules(self, text: str) -> None:
        """Do what typing them does."""
        self._text.value = text

    @property
    def call(self) -> str:
        """The line of Python that renames; "" while the rules are not sound."""
        return "" if self._faults else self.mapped.call

    @property
    def text(self) -> str:
        """What the panel says: faults first, then the counts."""
        refusal = [f"remap_keys refuses: {self.mapped.refusal}."]
        return " ".join(
            [*self._faults, *(refusal if self.mapped.refusal else []), self.mapped.text]
        )

    def add(self, line: str) -> None:
        """Add a rule below the others, as a suggestion's button does."""
        self.rules = f"{self.rules.rstrip()}\n{line}".lstrip()

    def _map(self) -> None:
        rules, self._faults = read_rules(self.rules)
        self.mapped: Mapped = map_keys(self._old, self._new, rules)

    def _changed(self, change: dict) -> None:
        self._map()
        self._panel.redraw()
        self._show()

    def _show(self, change: dict | None = None) -> None:
        everything = self._panel.values["show"] == SHOW[0]
        rows = [row for row in self.mapped.rows if everything or row.finding != "match"]
        self._table.value = STYLE + table(rows)
        self._call.value = self.call or "not yet: see the sentence above"
        # Last, since it takes the longest: the rest is on its way by now.
        self.suggestions = suggest(self.mapped, self._old, self._new)
        for button, k in zip(self._buttons, range(3), strict=True):
            here = self.suggestions[k : k + 1]
            button.layout.display = None if here else "none"
            for some in here:
                button.description = f"Add  {some.line}  ({some.reason})"
                button.tooltip = some.line

    def _draw(self, show: str) -> Chart:
        return draw(self.mapped, self.text, everything=show == SHOW[0])

    def __repr__(self) -> str:
        """Say in words what the workbench shows; the same on every machine."""
        rules = "; ".join(self.rules.split("\n")) or "none"
        lines = "; ".join(some.line for some in self.suggestions) or "nothing"
        return f"KeyMapping(rules: {rules}): {self.text} Suggested: {lines}."

    def _repr_mimebundle_(self, **kwargs) -> dict:
        data = super()._repr_mimebundle_(**kwargs)
        data["text/plain"] = repr(self)
        data["text/html"] = STYLE + table(self.mapped.rows)
        return data


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
    heads = ("Old key, in the file", "Finding", "Name after the rules")
    head = " ".join(f'<span role="columnheader">{head}</span>' for head in heads)
    groups = [f'<div role="rowgroup"><div role="row">{head}</div></div>']
    for k in range(0, len(rows), CHUNK):
        lines = "\n".join(map(_line, rows[k : k + CHUNK]))
        groups.append(f'<div role="rowgroup" class="rows">{lines}</div>')
    return (
        '<div class="sls-keys" role="table" tabindex="0" aria-label="Keys, one a row">'
        f"{''.join(groups)}</div>"
    )


def _line(row: Row) -> str:
    sign, _ = SIGNS[row.finding]
    chip = f'<b class="f{list(SIGNS).index(row.finding)}">{sign} {row.finding}</b>'
    cells = (_key(row.old, row.old_shape), chip, _key(row.name, row.new_shape))
    return f'<div role="row">{" ".join(f"<span role=cell>{c}</span>" for c in cells)}</div>'


def key_mapping(
    old: nn.Module | StateDict, new: nn.Module | StateDict, rules: str = ""
) -> KeyMapping:
    """Return the workbench over a file's keys (old) and a model's (new).

    `rules` is the text to begin with, one rule a line, as `read_rules` takes it.

    Raises:
        TypeError: one is neither a module nor a dict of tensors.
    """
    return KeyMapping(old, new, rules)


def _key(name: str, shape: tuple[int, ...] | None) -> str:
    # A long name may break behind a dot or an underscore, a shape nowhere.
    shown = escape(name)
    if len(name) > 28:
        shown = shown.replace(".", ".<wbr>").replace("_", "_<wbr>")
    return shown if shape is None else f"{shown} <i>{shape}</i>"


def _wide() -> ipywidgets.Layout:
    # As wide as the grid but for the margins, and the label above the box.
    return ipywidgets.Layout(width="calc(100% - 4px)", flex_flow="column")
