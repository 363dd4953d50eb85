"""From the key pressed to the picture painted, in Chromium, for three kinds of sliders."""

import statistics
import tempfile
from pathlib import Path

import nbformat
import pandas as pd

from tests import browser as lab

MOVES = 40
CELLS = {
    "ours, held in the browser": """
from helpers.models import load_reference_model
from helpers.explorers.weight_row import draw, weight_row
row = load_reference_model().blocks[0][3].weight[0].detach().flatten()
weight_row(row)
""",
    "ours, drawn by Python": """
from helpers.panel import Panel, Range
Panel("Row", [Range("bits", "Bits", 2, 8, 3)], lambda bits: draw(row, bits))
""",
    "interact + matplotlib": """
%matplotlib inline
import matplotlib.pyplot as plt
from ipywidgets import IntSlider, interact
from helpers.quantization import Scheme, fake_quantize

def plot(bits):
    plt.figure(figsize=(6, 3.2))
    plt.plot(row, "o", fillstyle="none")
    plt.plot(fake_quantize(row, Scheme(bits)), ".")
    plt.title(f"24 weights at {bits} bits")
    plt.show()

interact(plot, bits=IntSlider(3, 2, 8))
None
""",
}
HANDLES = (".sls-panel input", ".sls-panel input", ".noUi-handle")
# Waits for the next change of a picture, for its decoding, and for the frame in which it
# is painted: a message posted from a frame's callback arrives after that frame's paint.
WATCH = """(cell) => {
    window.painted = new Promise((resolve) => {
        let start = 0;
        window.addEventListener("keydown", (event) => { start = event.timeStamp; },
            { capture: true, once: true });
        const observer = new MutationObserver(async () => {
            const image = cell.querySelector("img");
            if (!start || !(image || cell.querySelector("svg"))) return;
            observer.disconnect();
            if (image) await image.decode();
            requestAnimationFrame(() => {
                const channel = new MessageChannel();
                channel.port1.onmessage = () => resolve(performance.now() - start);
                channel.port2.postMessage(0);
            });
        });
        const what = { childList: true, subtree: true, attributeFilter: ["src"] };
        observer.observe(cell, what);
    });
}"""


def move(page, index: int, selector: str, key: str) -> float:
    """Press a key on the slider of cell `index`; return milliseconds to the paint."""
    cell = page.locator(f"[data-windowed-list-index='{index}'] .jp-Cell-outputWrapper")
    cell.locator(selector).focus()
    # The picture, not the slider beside it.
    picture = cell.locator(".picture, .jp-OutputArea .jp-OutputArea").last
    picture.evaluate(WATCH)
    page.keyboard.press(key)
    milliseconds = page.evaluate("() => window.painted")
    page.wait_for_timeout(60)
    return milliseconds


def key(k: int) -> str:
    """Up and down between 2 and 8 bits, so that every press moves the slider."""
    return "ArrowRight" if (k // 5) % 2 == 0 else "ArrowLeft"


def main() -> None:
    """Print median and 95th percentile over the moves; the ways take turns."""
    cells = [nbformat.v4.new_code_cell(source.strip()) for source in CELLS.values()]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=kernel)
    times: dict[str, list[float]] = {name: [] for name in CELLS}
    with (
        tempfile.TemporaryDirectory() as folder,
        lab.chromium() as browser,
        lab.lab(Path(folder)) as url,
    ):
        nbformat.write(notebook, Path(folder) / "notebooks" / "slider.ipynb")
        page = browser.new_page(viewport={"width": 1280, "height": 2400})
        lab.open_notebook(page, url, "slider.ipynb")
        if errors := lab.run_all(page):
            raise RuntimeError(errors)
        for k in range(MOVES):
            for index, name in enumerate(CELLS):
                times[name].append(move(page, index, HANDLES[index], key(k)))
        lab.keep_busy(page, 60)
        times["ours, held, kernel busy"] = [
            move(page, 0, HANDLES[0], key(k)) for k in range(MOVES)
        ]
        lab.close(page)
    rows = [
        {
            "slider": name,
            "median ms": f"{statistics.median(found):.0f}",
            "95th percentile ms": f"{statistics.quantiles(found, n=20)[-1]:.0f}",
            "fastest ms": f"{min(found):.0f}",
        }
        for name, found in times.items()
    ]
    print(f"\nKey pressed to picture painted, headless Chromium, {MOVES} moves each")
    print(pd.DataFrame(rows).to_string(index=False))
