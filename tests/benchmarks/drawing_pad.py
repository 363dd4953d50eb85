"""From the drawing pad's strokes to the bars, and to both answers, painted."""

import os
import tempfile
from pathlib import Path

from helpers.classroom import runtimes
from tests import browser as lab
from tests.benchmarks._painting import FRAME, figures
from tests.browser.test_drawing_pad import BOTH, PAD, SET_UP, stroke

STROKES = 30
MOVES = 40
# Waits for the pen to be lifted, then for both answers to what was drawn, then a frame.
WATCH = """(pad, both) => {
    const frame = FRAME;
    window.painted = new Promise((resolve) => {
        let start = 0;
        pad.addEventListener("pointerup", (event) => { start = event.timeStamp; },
            { capture: true, once: true });
        const observer = new MutationObserver(async () => {
            const done = pad.hasAttribute("data-done") && pad.textContent.includes(both);
            if (!start || !done) return;
            observer.disconnect();
            await frame();
            resolve(performance.now() - start);
        });
        const what = { subtree: true, childList: true, attributeFilter: ["data-done"] };
        observer.observe(pad, what);
    });
}""".replace("FRAME", FRAME)
# A move of the pen, from the browser's event or from the frame after it, until the frame
# that shows the bars: one message after that frame's paint.
GROW = """(pad) => {
    const frame = FRAME;
    window.painted = new Promise((resolve) => {
        let moved = 0, begun = 0;
        pad.addEventListener("pointermove", (event) => {
            moved = event.timeStamp;
            requestAnimationFrame(() => { begun = performance.now(); });
        }, { capture: true, once: true });
        const observer = new MutationObserver(async () => {
            if (!begun) return;
            observer.disconnect();
            await frame();
            const now = performance.now();
            resolve([now - moved, now - begun]);
        });
        const what = { subtree: true, childList: true, attributeFilter: ["style"] };
        observer.observe(pad.querySelector(".bars tbody"), what);
    });
}""".replace("FRAME", FRAME)


def growing(pad) -> tuple[list[float], list[float]]:
    """Return ms to the painted bars, from moves of the pen and from their frames."""
    page, paper = pad.page, pad.locator(".paper")
    paper.scroll_into_view_if_needed()
    box = paper.bounding_box()
    page.mouse.move(box["x"] + 40, box["y"] + 30)
    page.mouse.down()
    found = []
    for k in range(MOVES):
        page.wait_for_timeout(60)
        pad.evaluate(GROW)
        # A zigzag, so that each move changes the image.
        page.mouse.move(box["x"] + 40 + 130 * (k % 2), box["y"] + 35 + 4 * k)
        found.append(page.evaluate("() => window.painted"))
    page.mouse.up()
    moves, frames = zip(*found, strict=True)
    return list(moves), list(frames)


def main() -> None:
    """Print median and 95th percentile of moves, and of strokes from other places."""
    if missing := runtimes.web_missing():
        print(f"drawing pad: {missing}")
        return
    found = []
    with (
        tempfile.TemporaryDirectory() as folder,
        lab.chromium() as browser,
        lab.own_notebook(browser, Path(folder), [SET_UP, PAD], height=900) as page,
    ):
        pad = lab.show(page, ".sls-pad").locator(".sls-pad")
        pad.get_by_text(BOTH).wait_for(timeout=60_000)
        moves, frames = growing(pad)
        for k in range(STROKES):
            pad.get_by_role("button", name="Clear").click()
            page.wait_for_timeout(300)
            pad.evaluate(WATCH, BOTH)
            stroke(pad, [(0.3, 0.1 + 0.02 * k), (0.7, 0.9)])
            found.append(page.evaluate("() => window.painted"))
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    times = {
        f"a frame of a stroke to the bars ({MOVES})": frames,
        f"a move of the pen to the bars ({MOVES})": moves,
        f"the pen lifted to both answers ({STROKES})": found,
    }
    print(f"\nDrawing pad in Chromium, painted{load}")
    print(figures("from, to (times)", times).to_string(index=False))
