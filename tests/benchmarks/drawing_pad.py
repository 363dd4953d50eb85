"""From the end of a stroke on the drawing pad to both answers painted."""

import tempfile
from pathlib import Path

from helpers.classroom import runtimes
from tests import browser as lab
from tests.benchmarks._painting import FRAME, figures
from tests.browser.test_drawing_pad import BOTH, PAD, SET_UP, stroke

STROKES = 30
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
        observer.observe(pad, { attributeFilter: ["data-done"] });
    });
}""".replace("FRAME", FRAME)


def main() -> None:
    """Print median and 95th percentile of strokes, each from another place."""
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
        for k in range(STROKES):
            pad.get_by_role("button", name="Clear").click()
            page.wait_for_timeout(300)
            pad.evaluate(WATCH, BOTH)
            stroke(page, [(0.3, 0.1 + 0.02 * k), (0.7, 0.9)])
            found.append(page.evaluate("() => window.painted"))
    print(f"\nStroke ended to both answers painted, Chromium, {STROKES} strokes")
    print(figures("pad", {"both answers": found}).to_string(index=False))
