"""From the key pressed to the picture painted, in Chromium, for three kinds of sliders."""

import tempfile
from pathlib import Path

from tests import browser as lab
from tests.benchmarks._painting import figures, press

MOVES = 40
CELLS = {
    "ours, held in the browser": """
from helpers.classroom.data.networks import load_reference_model
from helpers.classroom.explorers.weight_row import draw, weight_row
row = load_reference_model().blocks[0][3].weight[0].detach().flatten()
weight_row(row)
""",
    "ours, drawn by Python": """
from helpers.classroom.panel import Panel, Range
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
OURS = ".sls-panel .sls-controls input"
HANDLES = (OURS, OURS, ".noUi-handle")


def move(page, index: int, selector: str, key: str) -> float:
    """Press a key on the slider of cell `index`; return milliseconds to the paint."""
    cell = page.locator(f"[data-windowed-list-index='{index}'] .jp-Cell-outputWrapper")
    cell.locator(selector).focus()
    # The picture, not the slider beside it.
    picture = cell.locator(".picture, .jp-OutputArea .jp-OutputArea").last
    return press(picture, key, "img, svg")


def key(k: int) -> str:
    """Up and down between 2 and 8 bits, so that every press moves the slider."""
    return "ArrowRight" if (k // 5) % 2 == 0 else "ArrowLeft"


def main() -> None:
    """Print median and 95th percentile over the moves; the ways take turns."""
    times: dict[str, list[float]] = {name: [] for name in CELLS}
    with (
        tempfile.TemporaryDirectory() as folder,
        lab.chromium() as browser,
        lab.own_notebook(browser, Path(folder), CELLS.values(), height=2400) as page,
    ):
        for button in page.get_by_role("button", name="Show the answer").all():
            button.click()
        for k in range(MOVES):
            for index, name in enumerate(CELLS):
                times[name].append(move(page, index, HANDLES[index], key(k)))
        lab.keep_busy(page, 60)
        times["ours, held, kernel busy"] = [
            move(page, 0, HANDLES[0], key(k)) for k in range(MOVES)
        ]
    print(f"\nKey pressed to picture painted, headless Chromium, {MOVES} moves each")
    print(figures("slider", times).to_string(index=False))
