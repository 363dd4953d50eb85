"""From a key pressed in the key-mapping workbench to its table painted, for 300 keys."""

import tempfile
from pathlib import Path

from tests import browser as lab
from tests.benchmarks._painting import figures, press

MOVES = 40
CELL = """
import torch
from helpers.classroom.explorers.key_mapping import key_mapping

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


def main() -> None:
    """Print median and 95th percentile: a letter that breaks 100 matches, and back."""
    times: dict[str, list[float]] = {"every key": [], "only what is open": []}
    with (
        tempfile.TemporaryDirectory() as folder,
        lab.chromium() as browser,
        lab.own_notebook(browser, Path(folder), [CELL], height=1200) as page,
    ):
        cell = page.locator(".jp-Cell-outputWrapper").first
        table = cell.locator(".kept .table")
        for shown, found in times.items():
            cell.get_by_role("radio", name=shown).check()
            page.wait_for_timeout(500)
            cell.locator("textarea").first.focus()
            page.keyboard.press("Control+End")
            for k in range(MOVES):
                found.append(press(table, "Backspace" if k % 2 else "x", "table"))
    print(f"\nKey pressed to table painted, 300 keys, Chromium, {MOVES} moves each")
    print(figures("table", times).to_string(index=False))
