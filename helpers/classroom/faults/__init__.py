"""Damage on purpose: flip a bit, cut a file, kill a process in the middle of a save.

What a helper for checkpoints promises can only be believed after trying to break it.
Everything here works on files that somebody else wrote; give it copies.
"""

import os
import pickle
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

PAGE = 4096


def flip(path: str | os.PathLike, offset: int, bit: int = 0) -> None:
    """Flip one bit (0 to 7) of the byte at this offset, in place.

    Raises:
        ValueError: the file has no such byte, or a byte no such bit.
    """
    size = Path(path).stat().st_size
    if not 0 <= offset < size or not 0 <= bit < 8:
        raise ValueError(f"{path} has {size} bytes of 8 bits; no bit {bit} of {offset}")
    with Path(path).open("r+b") as file:
        file.seek(offset)
        value = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([value ^ (1 << bit)]))


def truncate(path: str | os.PathLike, size: int) -> None:
    """Cut the file to its first `size` bytes, as a crash or a full disk does.

    Raises:
        ValueError: the file has fewer bytes.
    """
    now = Path(path).stat().st_size
    if not 0 <= size <= now:
        raise ValueError(f"{path} has {now} bytes; it cannot be cut to {size}")
    os.truncate(path, size)


def zero_page(path: str | os.PathLike, page: int, page_size: int = PAGE) -> None:
    """Overwrite one page with zeros: what a power cut leaves of a page never written.

    Args:
        path: the file; its size stays.
        page: 0 for the first. The last one may be shorter.
        page_size: bytes a page.

    Raises:
        ValueError: the file has no such page.
    """
    start = page * page_size
    length = min(page_size, Path(path).stat().st_size - start)
    if page < 0 or length <= 0:
        raise ValueError(f"{path} has no page {page}")
    with Path(path).open("r+b") as file:
        file.seek(start)
        file.write(bytes(length))


def payload_offsets(path: str | os.PathLike, count: int, seed: int = 0) -> list[int]:
    """Return random offsets of bytes that are values: in a record of a storage."""
    inside = []
    for start, end, name in _records(path):
        inside += [start, end] if "/data/" in name else []
    return _choose(inside, count, seed)


def bookkeeping_offsets(path: str | os.PathLike, count: int, seed: int = 0) -> list[int]:
    """Return random offsets of bytes that are in no record: headers, names, directory."""
    edges = [0]
    for start, end, _ in _records(path):
        edges += [start, end]
    return _choose([*edges, Path(path).stat().st_size], count, seed)


def _records(path: str | os.PathLike) -> list[tuple[int, int, str]]:
    """Return (start, end, name) of every record of a zip archive, in the file's order."""
    data = Path(path).read_bytes()
    found = []
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            lengths = data[info.header_offset + 26 : info.header_offset + 30]
            name = int.from_bytes(lengths[:2], "little")
            extra = int.from_bytes(lengths[2:], "little")
            start = info.header_offset + 30 + name + extra
            found.append((start, start + info.file_size, info.filename))
    return sorted(found)


def _choose(edges: list[int], count: int, seed: int) -> list[int]:
    """Return offsets from the spans edges[0]..edges[1], edges[2]..edges[3], and so on."""
    spans = [range(*edges[k : k + 2]) for k in range(0, len(edges), 2)]
    every = [offset for span in spans for offset in span]
    return random.Random(seed).choices(every, k=count)


# ---- Kill a process in the middle of a save


def kill_while_saving(
    save: Callable[[Path, int], object],
    load: Callable[[Path], int],
    path: str | os.PathLike,
    *,
    trials: int = 12,
    seed: int = 0,
) -> dict[str, int]:
    """Kill a process at a random moment of overwriting a good file, many times.

    One Python process is started and warmed up. For each trial it forks a child that
    saves version n + 1 over version n, and that is killed (SIGKILL: nothing can be
    cleaned up) after a random time, up to 1.2 times what a whole save takes.

    Args:
        save: `save(path, version)` writes a file that holds the version.
        load: `load(path)` returns the version, or raises if the file is not whole.
        path: where the file goes, in a folder of its own.
        trials: how many times.
        seed: of the random moments. The outcomes still differ from run to run.

    Returns:
        How often the path held the "old" version, the "new" one, or neither: "lost".

    Raises:
        OSError: the system has no fork (Windows).
        RuntimeError: saving or loading fails without any kill.
    """
    import cloudpickle

    from helpers.classroom.progress import progress

    if not hasattr(os, "fork"):
        raise OSError("the crash trials fork a process, which Windows cannot do")
    paths = [*sys.path, str(Path(__file__).parents[3])]
    serve = "from helpers.classroom.faults import _serve; _serve()"
    code = f"import sys; sys.path[:] = {paths!r}; {serve}"
    # By value: a function of a notebook's cell is in no module that could be imported.
    order = cloudpickle.dumps((save, load, os.fspath(path), trials, seed))
    command = [sys.executable, "-c", code]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with tempfile.TemporaryFile() as said:
        with (
            subprocess.Popen(command, **pipes, stderr=said) as other,
            suppress(OSError, EOFError),  # it has died
        ):
            other.stdin.write(order)
            other.stdin.close()
            found = [pickle.load(other.stdout) for _ in progress(range(trials), "kills")]
            return {kind: found.count(kind) for kind in ("old", "new", "lost")}
        said.seek(0)
        last_line = (said.read().decode().strip().splitlines() or ["it died"])[-1]
        raise RuntimeError(f"the crash trials stopped: {last_line}")


def _serve() -> None:
    """Run the trials: the other process's side of `kill_while_saving`."""
    import cloudpickle
    import torch

    # A forked child has no threads, and would wait for its parent's forever.
    torch.set_num_threads(1)
    save, load, path, trials, seed = cloudpickle.loads(sys.stdin.buffer.read())
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the functions print must not mix with the answer
    for outcome in _trials(save, load, Path(path), trials, seed):
        answer.write(pickle.dumps(outcome))
        answer.flush()


def _trials(
    save: Callable, load: Callable, path: Path, trials: int, seed: int
) -> Iterator[str]:
    choose = random.Random(seed)
    version, durations = 0, deque(maxlen=5)
    for trial in range(trials):
        # Now and then anew: what else the machine does makes a save slower or faster.
        saves = 5 if trial == 0 else 1 if trial % 10 == 0 else 0
        for _ in range(saves):
            version += 1
            durations.append(_save_undisturbed(save, path, version))
            if (found := load(path)) != version:
                raise RuntimeError(
                    f"saved version {version}, and version {found} was loaded"
                )
        child, signs = _fork(save, path, version + 1)
        signs.read(1)
        time.sleep(choose.uniform(0, 1.2 * statistics.median(durations)))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        signs.close()
        outcome, version = _outcome(load, path, version)
        yield outcome
        if outcome == "lost":
            _save_undisturbed(save, path, version)


def _outcome(load: Callable, path: Path, version: int) -> tuple[str, int]:
    with suppress(Exception):
        found = load(path)
        if found in (version, version + 1):
            return ("old" if found == version else "new"), found
    return "lost", version


def _fork(save: Callable, path: Path, version: int) -> tuple[int, BinaryIO]:
    """Start a child that saves; return its number and a pipe.

    It writes one byte to the pipe right before it saves, and one right after.
    """
    receiving, sending = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.write(sending, b"1")
            save(path, version)
            os.write(sending, b"2")
            status = 0
        finally:
            os._exit(status)  # skips the exit handlers inherited from the parent
    os.close(sending)
    return child, os.fdopen(receiving, "rb", buffering=0)


def _save_undisturbed(save: Callable, path: Path, version: int) -> float:
    """Save in a child that nobody kills; return how many seconds it took."""
    child, signs = _fork(save, path, version)
    signs.read(1)
    started = time.perf_counter()
    signs.read(1)
    seconds = time.perf_counter() - started
    signs.close()
    if os.waitpid(child, 0)[1] != 0:
        raise RuntimeError("save fails without being killed")
    return seconds
