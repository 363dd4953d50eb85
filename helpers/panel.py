"""The one live panel: labelled controls, a picture, and the same in words.

`draw(**values)` is a plain function from the controls' values to a `Chart`. What can be
computed ahead is (`ahead=True`): the browser then holds every picture and shows each
within a frame, also while the kernel is busy or gone. Otherwise Python draws at each move.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import anywidget
import traitlets

from helpers.charts import Chart

MOST_FRAMES = 512  # at 5 to 10 kB each, what a notebook page still takes with ease


@dataclass(frozen=True)
class Range:
    """A slider over whole numbers, from low to high, both included.

    Raises:
        ValueError: the value is not one that the slider can stand on.
    """

    name: str
    label: str
    low: int
    high: int
    value: int
    step: int = 1
    kind: str = "range"

    def __post_init__(self):
        """Refuse a value that the browser would silently move."""
        _one_of(self)

    @property
    def options(self) -> list[int]:
        """Every value that the slider can stand on."""
        return list(range(self.low, self.high + 1, self.step))


@dataclass(frozen=True)
class Choice:
    """A few named options, of which one is chosen (radio buttons).

    Raises:
        ValueError: the value is not among the options.
    """

    name: str
    label: str
    options: tuple[str, ...]
    value: str
    kind: str = "choice"

    def __post_init__(self):
        """Refuse a value that is not offered."""
        _one_of(self)


@dataclass(frozen=True)
class Check:
    """A box that is ticked or not."""

    name: str
    label: str
    value: bool = False
    kind: str = "check"

    @property
    def options(self) -> list[bool]:
        """Not ticked, ticked."""
        return [False, True]


Control = Range | Choice | Check


class Panel(anywidget.AnyWidget):
    """Controls beside the picture that they change.

    Attributes:
        values: name -> value of each control. Setting it moves the controls.
    """

    _esm = Path(__file__).with_name("panel.js")
    _css = Path(__file__).with_name("panel.css")
    title = traitlets.Unicode().tag(sync=True)
    controls = traitlets.List().tag(sync=True)
    frames = traitlets.Dict().tag(sync=True)
    frame = traitlets.Dict().tag(sync=True)
    values = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        title: str,
        controls: Sequence[Control],
        draw: Callable[..., Chart],
        *,
        ahead: bool = False,
    ):
        """Draw the first picture, or all of them.

        Args:
            title: names the panel for those who hear it.
            controls: in the order in which they stand.
            draw: called with one keyword argument for each control.
            ahead: draw every combination of values now.

        Raises:
            ValueError: two controls share a name, or there are too many combinations to
                be drawn ahead.
        """
        names = [control.name for control in controls]
        if len(set(names)) < len(names):
            raise ValueError(f"two controls share a name: {', '.join(names)}")
        self._controls, self._draw, self._charts = tuple(controls), draw, {}
        values = {control.name: control.value for control in controls}
        frames = {}
        if ahead:
            options = [control.options for control in controls]
            combinations = list(product(*options))
            if len(combinations) > MOST_FRAMES:
                raise ValueError(
                    f"{len(combinations)} pictures are too many to hold in the browser "
                    f"(at most {MOST_FRAMES}); leave out ahead=True"
                )
            for combination in combinations:
                some = dict(zip(names, combination, strict=True))
                chart = self._charts[_key(combination)] = draw(**some)
                frames[_key(combination)] = _frame(_key(combination), chart)
        super().__init__(
            title=title,
            controls=[{**asdict(c), "options": list(c.options)} for c in controls],
            frames=frames,
            values=values,
        )

    @property
    def chart(self) -> Chart:
        """The Chart for the values that the controls stand on."""
        key = _key(self.values.values())
        if key not in self._charts:
            self._charts = {key: self._draw(**self.values)}
        return self._charts[key]

    @traitlets.validate("values")
    def _only_offered(self, proposal: dict) -> dict:
        values = proposal["value"]
        for control in self._controls:
            if control.name not in values:
                raise ValueError(f"there is no value for the control {control.name!r}")
            _one_of(control, values[control.name])
        if unknown := values.keys() - {control.name for control in self._controls}:
            raise ValueError(f"there is no control {min(unknown)!r}")
        # In the order of the controls, since the key of a picture is made from it.
        return {control.name: values[control.name] for control in self._controls}

    @traitlets.observe("values")
    def _redraw(self, change: dict) -> None:
        if not self.frames:
            self.frame = _frame(_key(self.values.values()), self.chart)

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


def _key(values) -> str:
    # Compact, as JavaScript's JSON.stringify writes it: both sides must agree.
    return json.dumps(list(values), separators=(",", ":"), ensure_ascii=False)


def _frame(key: str, chart: Chart) -> dict:
    return {
        "key": key,
        "svg": chart.svg,
        "text": chart.text,
        "links": [list(link) for link in chart.links],
    }


def _one_of(control: Control, *value) -> None:
    value = value[0] if value else control.value
    # True == 1 in Python, so the type has to fit as well.
    if not any(value == o and type(value) is type(o) for o in control.options):
        offered = ", ".join(map(repr, control.options))
        raise ValueError(f"{control.name} is {value!r}; expected one of {offered}")
