"""The trade-off explorer: one evaluation in Python, and slider moved to all painted."""

import statistics
import tempfile
import time
from pathlib import Path

import nbformat
import pandas as pd
import torch

from helpers.digits import load_digits
from helpers.models import load_reference_model
from helpers.quantization import Evaluator, Scheme, Setting
from tests import browser as lab
from tests.benchmarks.slider import key, move

MOVES, DRAGS = 40, 10
# The evaluations are forgotten before each move, or every second one would be free.
CELLS = {
    "ours, all that is on the panel": """
import torch
from helpers.explorers.trade_off import SHOW, trade_off
torch.set_num_threads(1)
panel = trade_off()
panel.press(SHOW)
evaluator = panel._draw.__self__.evaluator
panel
""",
    "interact + matplotlib, the front only": """
%matplotlib inline
import matplotlib.pyplot as plt
from ipywidgets import IntSlider, interact
from helpers.quantization import Scheme, Setting

def plot(bits):
    found = evaluator(Setting(Scheme(bits)))
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2))
    left.plot(found.bytes, found.accuracy, "o")
    right.barh(list(found.sqnr), list(found.sqnr.values()))
    left.set_title(f"{found.accuracy:.1%}, {found.bytes} bytes")
    plt.show()

interact(plot, bits=IntSlider(3, 2, 8))
None
""",
}
HANDLES = (".sls-panel input[type=range] >> nth=1", ".noUi-handle")
FORGET = "evaluator._found.clear()"
# From the release of the mouse to the frame in which nothing is behind any more.
SETTLED = """(panel) => {
    const picture = panel.querySelector(".picture");
    window.settled = new Promise((resolve) => {
        window.addEventListener("pointerup", (event) => {
            const look = () => {
                if (picture.hasAttribute("aria-busy")) return requestAnimationFrame(look);
                const channel = new MessageChannel();
                channel.port1.onmessage = () =>
                    resolve(performance.now() - event.timeStamp);
                requestAnimationFrame(() => channel.port2.postMessage(0));
            };
            look();
        }, { capture: true, once: true });
    });
}"""
SETTINGS = {
    "3 bits per tensor": Setting(Scheme(3)),
    "3 bits per channel": Setting(Scheme(3, granularity="channel")),
    "3 bits per group": Setting(Scheme(3, granularity="group")),
    "3 bits per tensor, mse": Setting(Scheme(3, observer="mse")),
    "8 bits, activations too": Setting(Scheme(8), Scheme(8)),
}


def reevaluations() -> pd.DataFrame:
    """Time one evaluation of each setting on one thread; the settings take turns."""
    torch.set_num_threads(1)
    digits = load_digits()
    images = (digits.test_images, digits.test_labels, digits.train_images)
    evaluator = Evaluator(load_reference_model(), *images)
    times: dict[str, list[float]] = {name: [] for name in SETTINGS}
    for k in range(16):
        for name, setting in SETTINGS.items():
            evaluator._found.clear()
            start = time.perf_counter()
            evaluator(setting)
            if k:  # the first one calibrates and warms up
                times[name].append(1000 * (time.perf_counter() - start))
    rows = [(name, *_figures(found)) for name, found in times.items()]
    return pd.DataFrame(rows, columns=["one evaluation", *FIGURES])


FIGURES = ["median ms", "95th percentile ms", "fastest ms"]


def _figures(found: list[float]) -> list[str]:
    late = statistics.quantiles(found, n=20)[-1]
    return [f"{value:.0f}" for value in (statistics.median(found), late, min(found))]


def drag(page, index: int) -> float:
    """Drag the weight bits from end to end and back; return ms from release to the end."""
    cell = page.locator(f"[data-windowed-list-index='{index}'] .jp-Cell-outputWrapper")
    cell.locator(".sls-panel").evaluate(SETTLED)
    box = cell.locator(HANDLES[0]).bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 8, middle)
    page.mouse.down()
    for share in (1, 0, 0.5):
        page.mouse.move(box["x"] + 8 + share * (box["width"] - 16), middle, steps=30)
    page.mouse.up()
    return page.evaluate("() => window.settled")


def main() -> None:
    """Print the evaluations, the moves and the drags."""
    print("\nQuantize all weights and run 719 images, in Python, one thread")
    print(reevaluations().to_string(index=False))
    cells = [nbformat.v4.new_code_cell(source.strip()) for source in CELLS.values()]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=kernel)
    times: dict[str, list[float]] = {name: [] for name in CELLS}
    with (
        tempfile.TemporaryDirectory() as folder,
        lab.chromium() as browser,
        lab.lab(Path(folder)) as url,
    ):
        nbformat.write(notebook, Path(folder) / "notebooks" / "trade_off.ipynb")
        page = browser.new_page(viewport={"width": 1280, "height": 2400})
        lab.open_notebook(page, url, "trade_off.ipynb")
        if errors := lab.run_all(page):
            raise RuntimeError(errors)
        for k in range(MOVES):
            for index, name in enumerate(CELLS):
                lab.execute(page, FORGET)
                times[name].append(move(page, index, HANDLES[index], key(k)))
        dragged = []
        for _ in range(DRAGS):
            lab.execute(page, FORGET)
            dragged.append(drag(page, 0))
        lab.close(page)
    times["ours, mouse released to final state"] = dragged
    rows = [(name, *_figures(found)) for name, found in times.items()]
    print(f"\nKey pressed to all painted, headless Chromium, {MOVES} moves, {DRAGS} drags")
    print(pd.DataFrame(rows, columns=["explorer", *FIGURES]).to_string(index=False))
