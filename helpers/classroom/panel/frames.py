"""Frames: what the browser gets of a picture, under the key that both halves make."""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from itertools import product

from helpers.classroom.charts import Chart
from helpers.classroom.panel.controls import Control, Sliders, Ticks
from helpers.classroom.panel.text import Text

MOST_FRAMES = 2048  # 798 pictures that share their lines take about 310 kB


def key_of(values: Iterable) -> str:
    """Name a picture by the values of its controls, in their order.

    Compact, as JavaScript's JSON.stringify writes it: both halves must agree.
    """
    return json.dumps(list(values), separators=(",", ":"), ensure_ascii=False)


def frame_of(chart: Chart) -> dict:
    """Return all that the browser shows of a chart; of what is empty, nothing."""
    rare = {
        "links": [list(link) for link in chart.links],
        "table": [list(row) for row in chart.table],
        "code": chart.code,
        "brief": chart.brief,
        "faults": dict(chart.faults),
        "items": [asdict(item) for item in chart.items],
        "guess": asdict(chart.guess) if chart.guess else None,
    }
    return {
        "svg": chart.sheets or chart.svg,
        "text": chart.text,
        **{name: part for name, part in rare.items() if part},
    }


def spec_of(control: Control | Text) -> dict:
    """Return what the browser needs to make a control."""
    if isinstance(control, Text):
        return asdict(control)
    # The browser needs the names, not the sets that their boxes make: of 30 names there
    # are a billion.
    named = isinstance(control, Ticks | Sliders)
    options = control.names if named else control.options
    return {**asdict(control), "options": list(options)}


def draw_one(draw: Callable[..., Chart], values: dict) -> Chart:
    """Call `draw`; an error names the values.

    Raises:
        TypeError: `draw` returns something else than a Chart.
    """
    try:
        chart = draw(**values)
    except Exception as error:
        error.add_note(f"while drawing the panel for {values}")
        raise
    if not isinstance(chart, Chart):
        raise TypeError(f"draw returned a {type(chart).__name__}; expected a Chart")
    return chart


def draw_all(
    draw: Callable[..., Chart], controls: Sequence[Control]
) -> tuple[dict[str, Chart], dict[str, dict], list[str]]:
    """Draw every combination of values; return charts and frames by key, shared lines.

    A frame holds the numbers of its picture's lines, and the number of its question.

    Raises:
        ValueError: there are too many, or a text, which has no end of values, or sliders
            by name, which have too many.
    """
    if any(isinstance(control, Text) for control in controls):
        raise ValueError("a text has no end of values; leave out ahead=True")
    if any(isinstance(control, Sliders) for control in controls):
        raise ValueError("sliders by name stand in too many ways; leave out ahead=True")
    names = [control.name for control in controls]
    combinations = list(product(*(control.options for control in controls)))
    if len(combinations) > MOST_FRAMES:
        raise ValueError(
            f"{len(combinations)} pictures are too many to hold in the browser "
            f"(at most {MOST_FRAMES}); leave out ahead=True"
        )
    charts, frames, lines = {}, {}, {}
    for combination in combinations:
        key = key_of(combination)
        charts[key] = draw_one(draw, dict(zip(names, combination, strict=True)))
        frames[key] = frame_of(charts[key])
        frames[key]["svg"] = _shared(frames[key]["svg"], lines)
        if guess := frames[key].get("guess"):
            # A question may be the same for many pictures; so it is a line, too.
            text = json.dumps(guess, separators=(",", ":"), ensure_ascii=False)
            frames[key]["guess"] = lines.setdefault(text, len(lines))
    return charts, frames, list(lines)


def _shared(svg: str, lines: dict[str, int]) -> str:
    """Return the picture as the numbers of its lines, adding new ones to `lines`.

    Pictures drawn ahead differ in a few lines only: axes, labels and most marks are in
    all of them, and are sent once. The numbers are one text, since JupyterLab saves each
    entry of a list in a line of its own.
    """
    # Each picture's name differs; in a panel, the words beside the picture serve.
    svg = re.sub(r'\nrole="img" aria-label="[^"]*"', "\n", svg)
    numbers = (lines.setdefault(line, len(lines)) for line in svg.splitlines())
    return " ".join(map(str, numbers))
