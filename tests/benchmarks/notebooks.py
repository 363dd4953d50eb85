"""Run time and peak memory of each notebook, beside a kernel that only imports torch."""

import statistics
import threading
import time
from pathlib import Path

import nbformat
import pandas as pd
import psutil

from tests.make_notebooks import NOTEBOOKS, client

ROUNDS = 3
FLOOR = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("import torch")])


def run(notebook: nbformat.NotebookNode) -> tuple[float, float]:
    """Execute once; return seconds and the kernel's peak resident memory in MB.

    Counted is the kernel's own resident set (mapped files included), read every 20 ms.
    Processes that a notebook starts for its exhibits are not in it.
    """
    peak, done = 0, threading.Event()

    def watch(pid: int) -> None:
        nonlocal peak
        process = psutil.Process(pid)
        while not done.wait(0.02):
            try:
                peak = max(peak, process.memory_info().rss)
            except psutil.NoSuchProcess:
                return

    start = time.perf_counter()
    executor = client(notebook.copy())
    with executor.setup_kernel():
        watcher = threading.Thread(target=watch, args=[executor.km.provisioner.pid])
        watcher.start()
        for index, cell in enumerate(notebook.cells):
            executor.execute_cell(cell, index)
        done.set()
        watcher.join()
    return time.perf_counter() - start, peak / 1e6


def main() -> None:
    """Print the table: notebooks and the floor in turn, so that a drift hits all alike."""
    paths: dict[str, Path | None] = {"kernel + import torch": None}
    paths |= {path.name: path for path in sorted(NOTEBOOKS.glob("*.ipynb"))}
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in paths}
    for _ in range(ROUNDS):
        for name, path in paths.items():
            runs[name].append(run(nbformat.read(path, 4) if path else FLOOR))
    floor = statistics.median(seconds for seconds, _ in runs["kernel + import torch"])
    rows = []
    for name, results in runs.items():
        seconds = [result[0] for result in results]
        median = statistics.median(seconds)
        rows.append(
            {
                "notebook": name,
                "seconds": f"{median:.1f}",
                "spread": f"{min(seconds):.1f} to {max(seconds):.1f}",
                "times the floor": f"{median / floor:.1f}",
                "peak MB": f"{max(result[1] for result in results):.0f}",
            }
        )
    print(f"\nNotebooks, {ROUNDS} rounds, one after the other, median and spread")
    print(pd.DataFrame(rows).to_string(index=False))
