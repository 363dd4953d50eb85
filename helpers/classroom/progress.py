"""How far a long cell is, for as long as it runs; nothing of it stays in the output."""

import contextvars
import math
import threading
import time
from collections.abc import Iterable, Iterator
from html import escape
from typing import TypeVar

from IPython import get_ipython
from IPython.display import display

SHOW_AFTER = 1.0  # seconds; what is done before needs no telling
WIDTH = 10  # of the bar, in characters
Step = TypeVar("Step")


def progress(steps: Iterable[Step], name: str = "steps") -> Iterator[Step]:
    """Yield each step; in a notebook show how many are done and how long the rest takes.

    Args:
        steps: what the work goes through, such as seeds.
        name: of many steps, such as "seeds".
    """
    todo = list(steps)
    shown = _Shown(len(todo), name)
    try:
        for done, step in enumerate(todo):
            shown.done(done)
            yield step
    finally:
        shown.end()


class _Shown:
    """A line in the cell's output that comes after a second and goes at the end."""

    def __init__(self, total: int, name: str):
        self._total, self._name, self._done = total, name, 0
        self._start, self._lock, self._handle = time.monotonic(), threading.Lock(), None
        self._shell = get_ipython()
        self._over = not hasattr(self._shell, "kernel")  # a terminal gets nothing
        # The context knows to which cell an output belongs.
        here = contextvars.copy_context()
        self._timer = threading.Timer(SHOW_AFTER, here.run, [self._show])
        self._timer.daemon = True
        if not self._over:
            # IPython keeps what an error or an interrupt has left, and so the generator.
            self._shell.events.register("post_run_cell", self.end)
            self._timer.start()

    def done(self, count: int) -> None:
        with self._lock:
            self._done = count
        if time.monotonic() > self._start + SHOW_AFTER:
            self._show()

    def end(self, _result: object = None) -> None:
        self._timer.cancel()
        with self._lock:
            if self._over:
                return
            self._over = True
            self._shell.events.unregister("post_run_cell", self.end)
            if self._handle:
                self._handle.update({}, raw=True)

    def _show(self) -> None:
        with self._lock:
            if self._over:
                return
            # Empty at first: nbval keeps what is displayed, and takes no updates.
            self._handle = self._handle or display({}, raw=True, display_id=True)
            self._handle.update(self._words(), raw=True)

    def _words(self) -> dict[str, str]:
        text = f"{self._done} of {self._total} {self._name}"
        if self._done:
            each = (time.monotonic() - self._start) / self._done
            text += f", about {math.ceil(each * (self._total - self._done))} s left"
        full = WIDTH * self._done // self._total
        # A screen reader tells of a progress element at its own pace, not at each step.
        bar = f'<progress max="{self._total}" value="{self._done}"></progress>'
        return {
            "text/plain": f"{'■' * full}{'□' * (WIDTH - full)} {text}",
            "text/html": f"<label>{bar} {escape(text)}</label>",
        }
