"""From a key pressed in the key-mapping workbench to its table painted, for 300 keys."""

import statistics
import tempfile
from pathlib import Path

import nbformat
import pandas as pd

from tests import browser as lab

MOVES = 40
CELL = """
import torch
from helpers.explorers.key_mapping import key_mapping

def keys(blocks, parts):
    return {
        f"{blocks}.{k}.{part}.{kind}": torch.zeros(shape)
        for k in range(25)
        for part in parts
        for kind, shape in (("weight", (8, 8)), ("bias", 8))
    }

old = keys("module.blocks", ("query", "key", "value", "norm1", "norm2", "feed"))
new = keys("layers", ("q_proj", "k_proj", "v_proj", "ln_1", "ln_2", "mlp"))
assert len(old) == 300
key_mapping(old, new, "^module[.] ->\\n[.]query[.] -> .q_proj.\\n^blocks[.] -> layers.")
"""
# Waits for the table's next change and for the frame in which it is painted: a message
# posted from a frame's callback arrives after that frame's paint.
WATCH = """(cell) => {
    window.painted = new Promise((resolve) => {
        let start = 0;
        window.addEventListener("keydown", (event) => { start = event.timeStamp; },
            { capture: true, once: true });
        const observer = new MutationObserver(() => {
            if (!start) return;
            observer.disconnect();
            requestAnimationFrame(() => {
                const channel = new MessageChannel();
                channel.port1.onmessage = () => resolve(performance.now() - start);
                channel.port2.postMessage(0);
            });
        });
        const table = cell.querySelector(".sls-keys").parentElement;
        observer.observe(table, { childList: true, subtree: true });
    });
}"""


def main() -> None:
    """Print median and 95th percentile: a letter that breaks 100 matches, and back."""
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    cells = [nbformat.v4.new_code_cell(CELL.strip())]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=kernel)
    times: dict[str, list[float]] = {"every key": [], "only what is open": []}
    with (
        tempfile.TemporaryDirectory() as folder,
        lab.chromium() as browser,
        lab.lab(Path(folder)) as url,
    ):
        nbformat.write(notebook, Path(folder) / "notebooks" / "workbench.ipynb")
        page = browser.new_page(viewport={"width": 1280, "height": 1200})
        lab.open_notebook(page, url, "workbench.ipynb")
        if errors := lab.run_all(page):
            raise RuntimeError(errors)
        cell = page.locator(".jp-Cell-outputWrapper").first
        for shown, found in times.items():
            cell.get_by_role("radio", name=shown).check()
            page.wait_for_timeout(500)
            cell.locator("textarea").first.focus()
            page.keyboard.press("Control+End")
            for k in range(MOVES):
                cell.evaluate(WATCH)
                page.keyboard.press("Backspace" if k % 2 else "x")
                found.append(page.evaluate("() => window.painted"))
                page.wait_for_timeout(60)
        lab.close(page)
    rows = [
        {
            "table": shown,
            "median ms": f"{statistics.median(found):.0f}",
            "95th percentile ms": f"{statistics.quantiles(found, n=20)[-1]:.0f}",
            "fastest ms": f"{min(found):.0f}",
        }
        for shown, found in times.items()
    ]
    print(f"\nKey pressed to table painted, 300 keys, Chromium, {MOVES} moves each")
    print(pd.DataFrame(rows).to_string(index=False))
