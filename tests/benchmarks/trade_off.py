"""The trade-off explorer: one evaluation in Python, and slider moved to all painted."""

import os
import tempfile
from functools import partial
from pathlib import Path

import pandas as pd

from helpers.classroom.data.digits import load_digits
from helpers.classroom.data.networks import load_reference_model
from helpers.measurement import time_interleaved
from helpers.quantization import Evaluator, Scheme, Setting
from tests import browser as lab
from tests.benchmarks._painting import FRAME, figures
from tests.benchmarks.slider import key, move

MOVES, DRAGS = 40, 10
CELLS = (
    """
import threading
import torch
from helpers.classroom.explorers.trade_off import SHOW, trade_off
torch.set_num_threads(1)
panel = trade_off()
panel.press(SHOW)
state = panel._draw.__self__
evaluator = state.evaluator

def finish():
    for thread in threading.enumerate():
        if thread.name == "ahead":
            thread.join()

panel
""",
    """
%matplotlib inline
import matplotlib.pyplot as plt
from ipywidgets import IntSlider, interact
from helpers.quantization import Scheme, Setting

def plot(bits):
    found = evaluator(Setting(Scheme(bits)))
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2))
    left.plot(found.bytes, found.value, "o")
    right.barh(list(found.sqnr), list(found.sqnr.values()))
    left.set_title(f"{found.value:.1%}, {found.bytes} bytes")
    plt.show()

interact(plot, bits=IntSlider(3, 2, 8))
None
""",
)
# What is run in the kernel before a move. Evaluations are forgotten, or every second move
# would be free.
NEW = "finish(); evaluator._found.clear()"
AHEAD = "state.ahead.begin(panel.values); finish()"  # this cell has cancelled it
DURING = (
    NEW
    + """
state.ahead._moved = [state.controls()[-1]]  # ten layers: more than the move waits for
state.ahead._pause, pause = 0, state.ahead._pause
state.ahead.begin(panel.values)
state.ahead._pause = pause
"""
)
# name -> the cell, and what goes before each move. They take turns in this order.
WAYS = {
    "ours, a new setting": (0, NEW),
    "ours, evaluated ahead": (0, AHEAD),
    "ours, new, while others are evaluated": (0, DURING),
    "interact + matplotlib, the front only": (1, NEW),
}
HANDLES = (".sls-panel input[type=range] >> nth=1", ".noUi-handle")
# From the release of the mouse to the frame in which nothing is behind any more.
SETTLED = """(panel) => {
    const frame = FRAME;
    const picture = panel.querySelector(".picture");
    window.settled = new Promise((resolve) => {
        window.addEventListener("pointerup", (event) => {
            const look = async () => {
                if (picture.hasAttribute("aria-busy")) return requestAnimationFrame(look);
                await frame();
                resolve(performance.now() - event.timeStamp);
            };
            look();
        }, { capture: true, once: true });
    });
}""".replace("FRAME", FRAME)
SETTINGS = {
    "3 bits per tensor": Setting(Scheme(3)),
    "3 bits per channel": Setting(Scheme(3, granularity="channel")),
    "3 bits per group": Setting(Scheme(3, granularity="group")),
    "3 bits per tensor, mse": Setting(Scheme(3, observer="mse")),
    "8 bits, activations too": Setting(Scheme(8), Scheme(8)),
}


def reevaluations() -> pd.DataFrame:
    """Time one evaluation of each setting on one thread, in shuffled rounds."""
    digits = load_digits()
    images = (digits.test_images, digits.test_labels, digits.train_images)
    evaluator = Evaluator(load_reference_model(), *images)

    def evaluate_again(setting: Setting) -> None:
        evaluator._found.clear()
        evaluator(setting)

    ways = {name: partial(evaluate_again, setting) for name, setting in SETTINGS.items()}
    # The first round calibrates, too.
    return time_interleaved(ways, rounds=15, warmup=1).drop(columns="speedup")


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
    print(reevaluations().round(1).to_string())
    times: dict[str, list[float]] = {name: [] for name in WAYS}
    moves = [0, 0]  # of each slider
    with (
        tempfile.TemporaryDirectory() as folder,
        lab.chromium() as browser,
        lab.own_notebook(browser, Path(folder), CELLS, height=2400) as page,
    ):
        for _ in range(MOVES):
            for name, (index, before) in WAYS.items():
                lab.execute(page, before)
                times[name].append(move(page, index, HANDLES[index], key(moves[index])))
                moves[index] += 1
        dragged = []
        for _ in range(DRAGS):
            lab.execute(page, NEW)
            dragged.append(drag(page, 0))
    times["ours, mouse released to final state"] = dragged
    load, _, _ = os.getloadavg()
    print(f"\nKey pressed to all painted, headless Chromium, {MOVES} moves, {DRAGS} drags")
    print(f"{os.cpu_count()} processors, {load:.1f} processes at work on them")
    print(figures("explorer", times).to_string(index=False))
