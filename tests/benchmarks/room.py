"""A room: learners who run the longest notebook at the same moment on one machine."""

import asyncio
import contextlib
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pandas as pd
import psutil
from nbclient.exceptions import CellControlSignal, DeadKernelError
from nbconvert.filters import strip_ansi

from tests.browser import lab
from tests.make_notebooks import NOTEBOOKS, client

LEARNERS = 8
NOTEBOOK = NOTEBOOKS / "09_trade_offs.ipynb"
PATIENCE = 900  # seconds for one cell: waiting is reported, but is not a failure


@dataclass
class Learner:
    """What one learner had: seconds, peak of resident memory in bytes, what failed."""

    seconds: float = 0.0
    peak: int = 0
    slowest: float = 0.0
    slowest_cell: str = ""
    failure: str = "none"


def resident(pid: int) -> int:
    """Return the bytes of a process and of those that it started, mapped files included."""
    total = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                total += each.memory_info().rss
    return total


async def learn(path: Path) -> Learner:
    """Run one notebook in a kernel of its own, and watch it."""
    learner, executor = Learner(), client(nbformat.read(path, as_version=4))
    executor.timeout = PATIENCE
    start = time.perf_counter()

    async def watch() -> None:
        while True:
            pid = executor.km.provisioner.pid
            learner.peak = max(learner.peak, await asyncio.to_thread(resident, pid))
            await asyncio.sleep(0.2)

    try:
        async with executor.async_setup_kernel():
            watcher = asyncio.create_task(watch())
            try:
                for index, cell in enumerate(executor.nb.cells):
                    began = time.perf_counter()
                    await executor.async_execute_cell(cell, index)
                    took = time.perf_counter() - began
                    if took > learner.slowest:
                        learner.slowest, learner.slowest_cell = took, cell.id
            finally:
                watcher.cancel()
    except (CellControlSignal, DeadKernelError) as error:
        learner.failure = strip_ansi(str(error)).strip().splitlines()[-1]
    learner.seconds = time.perf_counter() - start
    return learner


async def room(path: Path, learners: int) -> tuple[list[Learner], float, int]:
    """Let them all start at once.

    Returns:
        The learners, seconds until the last one is done, and by how many bytes the
        machine's free memory fell: files that all kernels share count once in it.
    """
    free = lowest = psutil.virtual_memory().available

    async def watch() -> None:
        nonlocal lowest
        while True:
            lowest = min(lowest, psutil.virtual_memory().available)
            await asyncio.sleep(0.2)

    watcher = asyncio.create_task(watch())
    start = time.perf_counter()
    found = await asyncio.gather(*(learn(path) for _ in range(learners)))
    wall = time.perf_counter() - start
    watcher.cancel()
    return found, wall, free - lowest


def table(found: list[Learner]) -> pd.DataFrame:
    """Return one row for each learner."""
    rows = [
        {
            "learner": k,
            "seconds": f"{learner.seconds:.0f}",
            "slowest cell": f"{learner.slowest_cell}, {learner.slowest:.0f} s",
            "peak MB": f"{learner.peak / 1e6:.0f}",
            "failure": learner.failure,
        }
        for k, learner in enumerate(found, start=1)
    ]
    return pd.DataFrame(rows)


def report(path: Path, learners: int) -> None:
    """Run a room, and print it."""
    found, wall, memory = asyncio.run(room(path, learners))
    failed = sum(learner.failure != "none" for learner in found)
    print(f"\n{learners} at once, {path.name}, {os.cpu_count()} processors")
    print(table(found).to_string(index=False))
    each = memory / learners / 1e6
    print(f"{wall:.0f} s until all are done, {failed} failed")
    print(f"free memory fell by {memory / 1e6:.0f} MB, {each:.0f} MB each")


def server_memory() -> int:
    """Return the resident bytes of a JupyterLab that has opened nothing yet."""
    with tempfile.TemporaryDirectory() as folder, lab(Path(folder)):
        [server] = psutil.Process().children()
        return resident(server.pid)


def main() -> None:
    """Print JupyterLab itself, a learner alone, then the whole room."""
    print(f"\nJupyterLab's server before a kernel: {server_memory() / 1e6:.0f} MB")
    for learners in (1, LEARNERS):
        report(NOTEBOOK, learners)
