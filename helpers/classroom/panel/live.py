"""The panel's half in Python: it holds the values, draws, and does what buttons say."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import RLock

import anywidget
import traitlets

from helpers.classroom.charts import Chart
from helpers.classroom.panel.controls import Control
from helpers.classroom.panel.frames import draw_all, draw_one, frame_of, key_of, spec_of
from helpers.classroom.panel.guess import Guess
from helpers.classroom.panel.text import Text

# Joined in this order: a widget is one module, without a build step.
SCRIPTS = (
    "controls.js",
    "form.js",
    "contact.js",
    "view.js",
    "answer.js",
    "guessing.js",
    "dragging.js",
    "panel.js",
)


def script() -> str:
    """Return the browser's half: its files, joined to the one module that is loaded."""
    texts = [Path(__file__).with_name(name).read_text(encoding="utf-8") for name in SCRIPTS]
    return "\n".join(texts)


class Panel(anywidget.AnyWidget):
    """Controls beside the picture that they change.

    Attributes:
        values: name -> value of each control. Setting it moves the controls.
        disabled: the buttons that cannot be pressed now.
        progress: {"done": 3, "of": 8, "says": "..."} while something long runs, else None.
        lock: held while a message is dealt with; a thread takes it to change the panel.
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
    disabled = traitlets.List().tag(sync=True)
    progress = traitlets.Dict(allow_none=True, default_value=None).tag(sync=True)
    beside = traitlets.Bool().tag(sync=True)
    guess = traitlets.Dict(allow_none=True, default_value=None).tag(sync=True)
    guessed = traitlets.Dict().tag(sync=True)  # what was said, and to which question

    def __init__(
        self,
        title: str,
        controls: Sequence[Control | Text],
        draw: Callable[..., Chart],
        *,
        ahead: bool = False,
        buttons: Mapping[str, Callable[[], None]] | None = None,
        beside: bool = False,
        guess: Guess | None = None,
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
            guess: asked before the answer is shown; what is asked, the charts say.

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
        self._controls, self._draw = tuple(controls), draw
        self._buttons = dict(buttons or {})
        self.lock = RLock()
        self._charts, frames, lines = draw_all(draw, controls) if ahead else ({}, {}, [])
        super().__init__(
            title=title,
            controls=[spec_of(control) for control in controls],
            lines=lines,
            frames=frames,
            values={control.name: control.value for control in controls},
            buttons=list(self._buttons),
            beside=beside,
            guess=guess and {"slider": spec_of(guess.slider), "write": guess.write},
        )
        self.on_msg(lambda panel, message, buffers: self._receive(message))

    @property
    def chart(self) -> Chart:
        """The Chart for the values that the controls stand on."""
        key = key_of(self.values.values())
        if key not in self._charts:
            self._charts = {key: draw_one(self._draw, self.values)}
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

    def offer(self, buttons: Mapping[str, Callable[[], None]]) -> None:
        """Show these buttons in place of the others, of which a late press still counts."""
        self._buttons |= buttons
        self.buttons = list(buttons)

    def redraw(self) -> None:
        """Draw the picture anew for the same values, since something else has changed."""
        self._charts = {}
        self._send_frame()

    def _handle_msg(self, msg: dict) -> None:
        with self.lock:
            super()._handle_msg(msg)

    def _receive(self, message: dict) -> None:
        # The browser waits for an answer to each message; without a press, it only asks
        # whether there is anybody.
        answer = {"answered": message.get("asks")}
        try:
            if "pressed" in message:
                # The values come along: while the kernel is busy, they could arrive later.
                # Nothing is sent back: it would undo what was done since the press.
                with self._lock_property(values=message["values"]):
                    self.values = message["values"]
                self.press(message["pressed"])
        except Exception as error:
            # ipywidgets would tell only JupyterLab's log, where no learner looks.
            answer["failed"] = f"{type(error).__name__}: {error}"
            raise
        finally:
            self.send(answer)

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
        key = key_of(self.values.values())
        try:
            self.frame = {"key": key, **frame_of(self.chart)}
        except Exception as error:
            text = f"No picture for this setting. {type(error).__name__}: {error}"
            self.frame = {"key": key, **frame_of(Chart("", text))}
            raise

    def __repr__(self) -> str:
        """Say in words what the panel shows; the same on every machine."""
        values = ", ".join(f"{name}={value!r}" for name, value in self.values.items())
        return f"Panel({self.title}: {values}): {self.chart.text}"

    def _repr_mimebundle_(self, **kwargs) -> tuple[dict, dict]:
        # The view for a live page; words and picture for nbval, for print and for a page
        # without a kernel. These show the answer, since nobody can guess there.
        data, metadata = super()._repr_mimebundle_(**kwargs)
        data["text/plain"] = repr(self)
        data["image/svg+xml"] = self.chart.svg
        return data, metadata


def _frozen(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value
