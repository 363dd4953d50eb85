"""Ahead of the learner: what is likely to be asked next, computed while nobody waits."""

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from torch.overrides import TorchFunctionMode

from helpers.classroom.panel.controls import Control, Range, Sliders, Stops, Ticks

PAUSE = 0.05  # seconds: the answer leaves first, and a key held down begins nothing


def neighbours(control: Control, value: object, before: object = None) -> list:
    """Return the values that one more move of the control can lead to.

    Args:
        control: that has moved.
        value: on which it stands.
        before: on which it stood: of many sliders, those that have moved go on.
    """
    if isinstance(control, Sliders):
        return [
            (*value[:k], stop, *value[k + 1 :])
            for k in range(len(value))
            if before is None or value[k] != before[k]
            for stop in _beside(control.stops, value[k])
        ]
    if isinstance(control, Ticks):
        # In the order of the names, as the control accepts them.
        return [
            tuple(name for name in control.names if (name in value) != (name == other))
            for other in control.names
        ]
    options = list(control.options)
    if isinstance(control, Range | Stops):
        return _beside(options, value)
    return [option for option in options if option != value]


def _beside(stops: Sequence, value: object) -> list:
    here = list(stops).index(value)
    return [*stops[max(here - 1, 0) : here], *stops[here + 1 : here + 2]]


class Ahead:
    """Does work for the neighbours of the control that moved last.

    A thread does it between one answer and the next move, and then ends: two computations
    at once would slow the one that somebody waits for.
    """

    def __init__(
        self,
        controls: Sequence[Control],
        work: Callable[..., object],
        pause: float = PAUSE,
    ):
        """Take the controls as they stand; nothing begins before one has moved.

        Args:
            controls: the panel's.
            work: called with one keyword argument for each control, in another thread,
                never twice at once. It keeps what it finds. What it raises is ignored:
                whoever moves there hears of it then.
            pause: seconds before the first call.
        """
        self._controls, self._work, self._pause = controls, work, pause
        self._values = {control.name: control.value for control in controls}
        self._moved: list[Control] = []
        self._before: Mapping = {}  # the values before the last move
        self._thread, self._unwanted = None, threading.Event()

    def begin(self, values: Mapping) -> None:
        """Begin, after the panel has answered for the values."""
        self.stop()
        moved = [c for c in self._controls if values[c.name] != self._values[c.name]]
        if moved:
            self._moved, self._before = moved, self._values
        self._values = dict(values)
        if self._moved:
            self._unwanted = threading.Event()
            self._thread = threading.Thread(target=self._run, name="ahead")
            self._thread.start()

    def stop(self) -> None:
        """Cancel what is under way; it ends before it next calls torch."""
        self._unwanted.set()
        if self._thread:
            self._thread.join()

    def _run(self) -> None:
        if self._unwanted.wait(self._pause):
            return
        for control in self._moved:
            name = control.name
            now, before = self._values[name], self._before.get(name)
            for value in neighbours(control, now, before):
                # Cancelled or failed: it is computed again when it is asked for.
                with suppress(Exception), _While(self._is_wanted):
                    self._work(**{**self._values, name: value})
                if not self._is_wanted():
                    return

    def _is_wanted(self) -> bool:
        # A kernel that ends waits for its threads.
        return not self._unwanted.is_set() and threading.main_thread().is_alive()


class _While(TorchFunctionMode):
    """Lets its own thread call torch as long as somebody wants the result."""

    def __init__(self, is_wanted: Callable[[], bool]):
        super().__init__()
        self._is_wanted = is_wanted

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if not self._is_wanted():
            raise InterruptedError("nobody wants the result any more")
        return func(*args, **(kwargs or {}))
