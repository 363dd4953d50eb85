"""What int8, float16 and int4 gain on this processor, and why: times above a roofline."""

import threading
from collections.abc import Callable

from helpers.classroom.charts import Chart
from helpers.classroom.explorers.kernel_pictures import MEASURE, Setting, draw
from helpers.classroom.panel import Panel, Range, Stops
from helpers.classroom.runtimes.kernels import KINDS, STEPS, KernelRun, LayerKernels

CANCEL = "Cancel"
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Cancelled(Exception):
    """Another setting is wanted, or none."""


class Measuring:
    """Measures one setting at a time in a thread of its own; the last request wins.

    Attributes:
        results: setting -> what was measured.
        status: what is being done, in words.
        done: how many of the STEPS are done.
        failed: what went wrong with the newest request, in words.
    """

    def __init__(self, changed: Callable[[], None], layers: type = LayerKernels):
        """Begin with nothing measured.

        Args:
            changed: called, in that thread, at each step and at the end.
            layers: makes the kernels for a width.
        """
        self.results: dict[Setting, KernelRun] = {}
        self.status, self.done, self.failed = "", 0, ""
        self._changed, self._layers = changed, layers
        self._kernels: LayerKernels | None = None
        self._wanted: Setting | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def request(self, width: int, batch: int) -> None:
        """Measure this setting instead of what is being measured, and return at once.

        A setting that has a result is measured again: the machine may have been busy.
        """
        with self._lock:
            self._wanted = (width, batch)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, daemon=True)
                self._thread.start()

    def cancel(self) -> None:
        """Stop at the next step."""
        with self._lock:
            self._wanted = None
        self.status, self.done = "Cancelled.", 0
        self._changed()

    def wait(self) -> None:
        """Return when nothing is being measured."""
        if thread := self._thread:
            thread.join()

    @property
    def busy(self) -> bool:
        """Whether something is wanted that is not there yet."""
        return self._wanted is not None

    def _work(self) -> None:
        while True:
            with self._lock:
                setting = self._wanted
                if setting is None:
                    self._thread = None
                    return
            self.done, self.failed = 0, ""
            try:
                self.results[setting] = self._measure(setting)
                self.status, self.done = "Done.", STEPS
            except Cancelled:
                self.status, self.done = "Cancelled.", 0
            except Exception as error:  # nobody would see it in a thread
                self.done = 0
                self.status = self.failed = f"Failed. {type(error).__name__}: {error}"
            with self._lock:
                if self._wanted == setting:
                    self._wanted = None
            self._changed()

    def _measure(self, setting: Setting) -> KernelRun:
        def step(what: str) -> None:
            if self._wanted != setting:
                raise Cancelled
            self.done += 1
            self.status = f"{what} ({self.done} of {STEPS})"
            self._changed()

        width, batch = setting
        # The largest take 60 MB, so those of one width only are kept.
        if self._kernels is None or self._kernels.width != width:
            self._kernels = None
            self._kernels = self._layers(width, progress=step)
        else:
            self.done = len(KINDS)
        return self._kernels.measure(batch, progress=step)


class RealKernels:
    """The panel with what it has measured.

    Attributes:
        panel: sliders, buttons, progress and picture.
        measuring: the state, with everything that was measured.
    """

    def __init__(self, width: int = 1024, batch: int = 64, layers: type = LayerKernels):
        """Show the setting to begin with; nothing is measured before the button is pressed.

        Args:
            width: of the layer, a multiple of 64 up to 2048.
            batch: one of BATCHES.
            layers: makes the kernels for a width.
        """
        self.measuring = Measuring(self._show, layers)
        controls = [
            Range("width", "Width of the layer", 64, 2048, width, step=64),
            Stops("batch", "Batch size", BATCHES, batch),
        ]
        buttons = {MEASURE: self.measure, CANCEL: self.measuring.cancel}
        self.panel = Panel("Real kernels", controls, self._draw, buttons=buttons)
        self.panel.disabled = [CANCEL]

    def measure(self) -> None:
        """Begin to measure what the sliders stand on."""
        self.measuring.request(**self.panel.values)
        self._show()

    def _draw(self, width: int, batch: int) -> Chart:
        return draw(self.measuring.results, width, batch, failed=self.measuring.failed)

    def _show(self) -> None:
        # Called in the thread that measures, while a slider may be moved.
        with self.panel.lock:
            busy, done = self.measuring.busy, self.measuring.done
            now = {"done": done, "of": STEPS, "says": self.measuring.status}
            self.panel.progress = now if busy else None
            self.panel.disabled = [] if busy else [CANCEL]
            if not busy:
                self.panel.redraw()

    def __repr__(self) -> str:
        """Say in words what the panel shows."""
        return repr(self.panel)

    def _repr_mimebundle_(self, **kwargs) -> tuple[dict, dict]:
        return self.panel._repr_mimebundle_(**kwargs)


def real_kernels(width: int = 1024, batch: int = 64) -> RealKernels:
    """Return the explorer, with its sliders on a setting that is not measured yet."""
    return RealKernels(width, batch)
