"""Peak memory of a call: run in a fresh Python process, read from outside.

Imports with the standard library alone: the measured process begins with this module,
and its baseline stays small. cloudpickle and psutil are imported where they are used.

Save, Load, Ship 0.2.0: helpers/measurement/memory.py · repairs: CHANGELOG.md
"""

from __future__ import annotations

import ctypes
import gc
import os
import pickle
import platform
import queue
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

_LINUX = platform.system() == "Linux"


@dataclass(frozen=True)
class PeakMemory:
    """The most memory a call held at any moment, in bytes above what was there before.

    Attributes:
        total: Both kinds together, at the moment when their sum was highest. Linux keeps
            this mark itself (VmHWM), so that nothing is missed; elsewhere it is the
            highest of many readings.
        allocated: Memory of its own, the highest of the readings. Where `mapped` is None,
            mapped pages are in it.
        mapped: Resident pages of files, likewise, which may be at another moment; None
            where the system does not tell the two kinds apart.
        result: What the function returned.

    >>> PeakMemory(total=12, allocated=9, mapped=3, result=None).counted.partition(",")[0]
    'Counted are allocated memory (RssAnon) and'
    """

    total: int
    allocated: int
    mapped: int | None
    result: Any

    @property
    def counted(self) -> str:
        """One sentence that says what was counted on this system."""
        if self.mapped is None:
            return (
                "Counted is the growth of the resident set (psutil's rss), where pages "
                "of memory-mapped files cannot be told from allocated memory."
            )
        return (
            "Counted are allocated memory (RssAnon) and, apart from it, resident pages "
            "of mapped files (RssFile, RssShmem), which the system can share or drop."
        )


def peak_memory(function: Callable[..., Any], *args: Any) -> PeakMemory:
    """Call `function(*args)` in a fresh Python process and measure its peak memory.

    The function travels by value (cloudpickle), so one from a notebook cell, a lambda
    or a closure will do. What it refers to (modules, global variables, `args`) is there
    before the baseline is taken and is not counted: pass paths, not tensors. What it
    imports itself is counted, and so is program code that runs for the first time
    (some MB of `mapped`). What it prints is thrown away. The process starts with the
    default number of threads.

    This process reads the other's counters every millisecond or faster, and once more
    after the function has returned, while its result is alive. What comes and goes between
    two readings is in `total`, on Linux, and in neither `allocated` nor `mapped`: the
    kernel's mark does not tell the kinds apart.

    Raises:
        TypeError: if the function or its arguments cannot be sent to a process.
        RuntimeError: if the function raises, its result cannot be sent back, or the
            process dies.

    >>> measured = peak_memory(lambda: b"x" * 50_000_000)
    >>> len(measured.result), measured.total // 10_000_000
    (50000000, 5)
    """
    import cloudpickle

    if not callable(function):
        kind = type(function).__name__
        raise TypeError(f"function is of type {kind}: pass a function, do not call it.")
    try:
        payload = cloudpickle.dumps((function, args))
    except Exception as error:
        raise TypeError(
            f"The function or its arguments cannot be sent to a process: {error}. Pass "
            "paths and plain values; make everything else inside the function."
        ) from error
    inbox: queue.SimpleQueue = queue.SimpleQueue()
    with _start_process() as child:
        listener = threading.Thread(target=_listen, args=(child.stdout, inbox))
        listener.start()
        try:
            _tell(child, payload)
            _next_answer(child, inbox)
            readings = [_read(child.pid)]
            _tell(child, "call it")
            start = time.perf_counter()
            while inbox.empty():
                readings.append(_read(child.pid))
                # A call of a few milliseconds needs readings that are closer together.
                time.sleep(min(0.001, (time.perf_counter() - start) / 20))
            _next_answer(child, inbox)
            readings.append(_read(child.pid))
            _tell(child, "send the result")
            result = cloudpickle.loads(_next_answer(child, inbox))
        finally:
            child.kill()
            listener.join()
    return _highest(readings, result)


class _Reading(NamedTuple):
    """Bytes of a process at one moment; `mark` is the highest sum until then."""

    allocated: int
    mapped: int
    mark: int


def _read(pid: int) -> _Reading:
    if not _LINUX:
        import psutil

        with suppress(psutil.Error):
            resident = psutil.Process(pid).memory_info().rss
            return _Reading(resident, 0, resident)
        return _Reading(0, 0, 0)
    counts = dict.fromkeys(("RssAnon", "RssFile", "RssShmem", "VmHWM"), 0)
    with suppress(OSError):  # the process may be gone
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            key, _, value = line.partition(":")
            if key in counts:
                counts[key] = 1024 * int(value.split()[0])
    allocated, file, shared, mark = counts.values()
    # A mapped file in a memory file system (/dev/shm, often /tmp) counts as RssShmem.
    return _Reading(allocated, file + shared, mark)


def _highest(readings: list[_Reading], result: Any) -> PeakMemory:
    first, last = readings[0], readings[-1]
    highest = max(reading.allocated + reading.mapped for reading in readings)
    if last.mark > first.mark:  # otherwise it is of a time before the call
        highest = max(highest, last.mark)
    return PeakMemory(
        total=highest - first.allocated - first.mapped,
        allocated=max(reading.allocated for reading in readings) - first.allocated,
        mapped=max(r.mapped for r in readings) - first.mapped if _LINUX else None,
        result=result,
    )


def _start_process() -> subprocess.Popen[bytes]:
    path = [*sys.path, str(Path(__file__).parents[2])]
    serve = "from helpers.measurement.memory import _serve; _serve()"
    return subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.path[:] = {path!r}; {serve}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def _tell(child: subprocess.Popen[bytes], message: object) -> None:
    assert child.stdin is not None  # a pipe, see _start_process
    with suppress(OSError):  # it has died: the next answer says so
        pickle.dump(message, child.stdin)
        child.stdin.flush()


def _listen(stream: BinaryIO, inbox: queue.SimpleQueue) -> None:
    with suppress(EOFError, pickle.UnpicklingError):
        while True:
            inbox.put(pickle.load(stream))
    inbox.put(("ended", None))


def _next_answer(child: subprocess.Popen[bytes], inbox: queue.SimpleQueue) -> Any:
    kind, value = inbox.get()
    if kind == "ended":
        code = child.wait()
        how = f"exit status {code}" if code >= 0 else signal.Signals(-code).name
        hint = " The memory may have run out." if how == "SIGKILL" else ""
        kind, value = "error", f"The measured process ended early: {how}.{hint}"
    if kind == "error":
        raise RuntimeError(value)
    return value


def _serve() -> None:
    """Receive a function, call it, send its result: the other process's side."""
    commands, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # What the function reads and prints must not mix with this conversation.
    for standard in (0, 1):
        os.dup2(os.open(os.devnull, os.O_RDWR), standard)

    def answer(kind: str, value: object = None) -> None:
        pickle.dump((kind, value), answers)
        answers.flush()

    try:
        import cloudpickle

        function, args = cloudpickle.loads(pickle.load(commands))
        _settle()
        answer("ready")
        pickle.load(commands)
        result = function(*args)
        answer("done")
        pickle.load(commands)
    except BaseException as error:
        last_line = "".join(traceback.format_exception_only(error)).strip()
        answer("error", f"The measured function failed: {last_line}")
        return
    try:
        answer("result", cloudpickle.dumps(result))
    except Exception as error:
        kind = type(result).__name__
        problem = f"The function's result, a {kind}, cannot be sent back: {error}."
        answer("error", f"{problem} Return something plain, such as a number.")


def _settle() -> None:
    """Give freed memory back and reset the high-water mark, where that is possible."""
    gc.collect()
    with suppress(OSError, AttributeError, TypeError):  # glibc only
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):  # Linux only
        Path("/proc/self/clear_refs").write_text("5")
