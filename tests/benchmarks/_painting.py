"""From an event in the browser to the frame that shows its effect, and a table of times."""

import statistics

import pandas as pd
from playwright.sync_api import Locator

# Resolves when the next frame has been painted: a message posted from a frame's callback
# arrives after that frame's paint.
FRAME = """() => new Promise((painted) => requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = painted;
    channel.port2.postMessage(0);
}))"""
# Waits for a key, for the next change after it, for an image's decoding, and for a frame.
WATCH = """(node, wanted) => {
    const frame = FRAME;
    window.painted = new Promise((resolve) => {
        let start = 0;
        window.addEventListener("keydown", (event) => { start = event.timeStamp; },
            { capture: true, once: true });
        const observer = new MutationObserver(async () => {
            const found = node.querySelector(wanted);
            if (!start || !found) return;
            observer.disconnect();
            if (found.decode) await found.decode();
            await frame();
            resolve(performance.now() - start);
        });
        const what = { childList: true, subtree: true, attributeFilter: ["src"] };
        observer.observe(node, what);
    });
}""".replace("FRAME", FRAME)


def press(node: Locator, key: str, wanted: str) -> float:
    """Press a key where the focus is; return ms until `wanted` is painted in the node."""
    node.evaluate(WATCH, wanted)
    node.page.keyboard.press(key)
    milliseconds = node.page.evaluate("() => window.painted")
    node.page.wait_for_timeout(60)
    return milliseconds


def figures(what: str, times: dict[str, list[float]]) -> pd.DataFrame:
    """Return a row for each list of milliseconds; the labels stand in the column `what`."""
    rows = [
        {
            what: label,
            "median ms": f"{statistics.median(found):.0f}",
            "95th percentile ms": f"{statistics.quantiles(found, n=20)[-1]:.0f}",
            "fastest ms": f"{min(found):.0f}",
        }
        for label, found in times.items()
    ]
    return pd.DataFrame(rows)
