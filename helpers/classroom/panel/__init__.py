"""The one live panel: labelled controls, a picture, and the same in words.

`draw(**values)` is a plain function from the controls' values to a `Chart`. What can be
computed ahead is (`ahead=True`): the browser then holds every picture and shows each
within a frame, also while the kernel is busy or gone. Otherwise Python draws at each move.
A button calls a function in Python, and the picture is drawn anew.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path

import anywidget
import traitlets

from helpers.classroom.charts import Chart
from helpers.classroom.panel.controls import (
    Check,
    Choice,
    Control,
    Menu,
    Range,
    Stops,
    Ticks,
)

# Joined in this order: a widget is one module, without a build step.
SCRIPTS = ("controls.js", "answer.js", "dragging.js", "panel.js")

__all__ = ["Check", "Choice", "Control", "Menu", "Panel", "Range", "Stops", "Ticks"]

MOST_FRAMES = 2048  # 798 pictures that share their lines take about 310 kB


def script() -> str:
    """Return the browser's half: its files, joined to the one module that is loaded."""
    texts = [Path(__file__).with_name(name).read_text(encoding="utf-8") for name in SCRIPTS]
    return "\n".join(texts)


class Panel(anywidget.AnyWidget):
    """Controls beside the picture that they change.

    Attributes:
        values: name -> value of each control. Setting it moves the controls.
    """

    _esm = script()
    _css = Path(__file__).with_name("panel.css")
    title = traitlets.Unicode().tag(sync=True)
    controls = traitlets.List().tag(sync=True)
    lines = traitlets.List().tag(sync=True)
    frames = traitlets.Dict().tag(sync=True)
    frame = traitlets.Dict().tag(sync=True)
    values = traitlets.Dict().tag(sync=True)
    buttons = traitlets.List().tag(sync=True)
    beside = traitlets.Bool().tag(sync=True)

    def __init__(
        self,
        title: str,
        controls: Sequence[Control],
        draw: Callable[..., Chart],
        *,
        ahead: bool = False,
        buttons: Mapping[str, Callable[[], None]] | None = None,
        beside: bool = False,
    ):
        """Draw the first picture, or all of them.

        Args:
            title: names the panel for those who hear it.
            controls: in the order in which they stand.
            draw: called with one keyword argument for each control.
            ahead: draw every combination of values now.
            buttons: what is written on each -> what it does; see `press`.
            beside: where there is room, the controls stand beside the picture, so that
                many of them fit on one screen with it.

        Raises:
            ValueError: two controls share a name, there are too many combinations to be
                drawn ahead, or buttons although they are.
            TypeError: `draw` returns something else than a Chart.
        """
        names = [control.name for control in controls]
        if len(set(names)) < len(names):
            raise ValueError(f"two controls share a name: {', '.join(names)}")
        if ahead and buttons:
            raise ValueError("a button changes pictures; leave out ahead=True")
        self._controls, self._draw, self._charts = tuple(controls), draw, {}
        self._buttons = dict(buttons or {})
        values = {control.name: control.value for control in controls}
        frames, lines = {}, {}
        if ahead:
            options = [control.options for control in controls]
            combinations = list(product(*options))
            if len(combinations) > MOST_FRAMES:
                raise ValueError(
                    f"{len(combinations)} pictures are too many to hold in the browser "
                    f"(at most {MOST_FRAMES}); leave out ahead=True"
                )
            for combination in combinations:
                key = _key(combination)
                some = dict(zip(names, combination, strict=True))
                self._charts[key] = _drawn(draw, some)
                frames[key] = _frame(key, self._charts[key])
                frames[key]["svg"] = _shared(frames[key]["svg"], lines)
        super().__init__(
            title=title,
            controls=[_spec(control) for control in controls],
            lines=list(lines),
            frames=frames,
            values=values,
            buttons=list(self._buttons),
            beside=beside,
        )
        self.on_msg(lambda panel, message, buffers: self._receive(message))

    @property
    def chart(self) -> Chart:
        """The Chart for the values that the controls stand on."""
        key = _key(self.values.values())
        if key not in self._charts:
            self._charts = {key: _drawn(self._draw, self.values)}
        return self._charts[key]

    def press(self, button: str) -> None:
        """Do what the button does, and draw the picture anew.

        Raises:
            ValueError: there is no such button.
        """
        if button not in self._buttons:
            offered = ", ".join(map(repr, self._buttons)) or "none"
            raise ValueError(f"there is no button {button!r}; there are: {offered}")
        self._buttons[button]()
        self.redraw()

    def redraw(self) -> None:
        """Draw the picture anew for the same values, since something else has changed."""
        self._charts = {}
        self._send_frame()

    def _receive(self, message: dict) -> None:
        # The values come along: while the kernel is busy, they could arrive later.
        self.values = message["values"]
        self.press(message["pressed"])

    @traitlets.validate("values")
    def _only_offered(self, proposal: dict) -> dict:
        values = proposal["value"]
        for control in self._controls:
            if control.name not in values:
                raise ValueError(f"there is no value for the control {control.name!r}")
            control.accept(values[control.name])
        if unknown := values.keys() - {control.name for control in self._controls}:
            raise ValueError(f"there is no control {min(unknown)!r}")
        # In the order of the controls, since the key of a picture is made from it.
        return {c.name: _frozen(values[c.name]) for c in self._controls}

    @traitlets.observe("values")
    def _redraw(self, change: dict) -> None:
        if not self.frames:
            self._send_frame()

    def _send_frame(self) -> None:
        key = _key(self.values.values())
        try:
            self.frame = _frame(key, self.chart)
        except Exception as error:
            # ipywidgets would tell only JupyterLab's log, where no learner looks.
            text = f"No picture for this setting. {type(error).__name__}: {error}"
            self.frame = _frame(key, Chart("", text))
            raise

    def __repr__(self) -> str:
        """Say in words what the panel shows; the same on every machine."""
        values = ", ".join(f"{name}={value!r}" for name, value in self.values.items())
        return f"Panel({self.title}: {values}): {self.chart.text}"

    def _repr_mimebundle_(self, **kwargs) -> tuple[dict, dict]:
        # The view for a live page; words and picture for nbval, for print and for a page
        # without a kernel.
        data, metadata = super()._repr_mimebundle_(**kwargs)
        data["text/plain"] = repr(self)
        data["image/svg+xml"] = self.chart.svg
        return data, metadata


def _spec(control: Control) -> dict:
    # Of ticks, the browser needs the names, not the sets that they make: of 30 names
    # there are a billion.
    options = control.names if isinstance(control, Ticks) else control.options
    return {**asdict(control), "options": list(options)}


def _frozen(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _key(values) -> str:
    # Compact, as JavaScript's JSON.stringify writes it: both sides must agree.
    return json.dumps(list(values), separators=(",", ":"), ensure_ascii=False)


def _frame(key: str, chart: Chart) -> dict:
    return {
        "key": key,
        "svg": chart.svg,
        "text": chart.text,
        "links": [list(link) for link in chart.links],
        "table": [list(row) for row in chart.table],
        "code": chart.code,
    }


def _shared(svg: str, lines: dict[str, int]) -> list[int]:
    """Return the picture as the numbers of its lines, adding new ones to `lines`.

    Pictures drawn ahead differ in a few lines only: axes, labels and most marks are in
    all of them, and are sent once.
    """
    # Each picture's name differs; in a panel, the words below the picture serve.
    svg = re.sub(r'\nrole="img" aria-label="[^"]*"', "\n", svg)
    return [lines.setdefault(line, len(lines)) for line in svg.splitlines()]


def _drawn(draw: Callable[..., Chart], values: dict) -> Chart:
    try:
        chart = draw(**values)
    except Exception as error:
        error.add_note(f"while drawing the panel for {values}")
        raise
    if not isinstance(chart, Chart):
        raise TypeError(f"draw returned a {type(chart).__name__}; expected a Chart")
    return chart
