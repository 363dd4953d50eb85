"""Take the README's pictures in JupyterLab: the trade-off explorer, and a notebook."""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page

from helpers.classroom.explorers.trade_off import SHOW
from helpers.classroom.explorers.trade_off_controls import BITS
from tests import browser as lab

FOLDER = lab.ROOT / "pictures"
WIDTH, HEIGHT = 1280, 900


def explorer(page: Page, url: str, picture: Path) -> None:
    """Guess, go through the bits with one scale and with many, stop at 3 bits."""
    lab.open_notebook(page, url, "09_trade_offs.ipynb")
    lab.run_all(page)
    lab.cell_named(page, "explorer")
    panel = page.locator(lab.PANEL).filter(has_text="My guess")
    words = panel.locator(".words")
    panel.get_by_role("button", name=SHOW).click()
    lab.expect(words).to_contain_text("You guessed")
    for granularity in ("tensor", "channel"):
        panel.get_by_label(granularity, exact=True).click()
        for bits in (8, 6, 5, 4, 2, 3):
            panel.get_by_role("slider", name="Weight bits").fill(str(BITS.index(bits)))
            lab.expect(words).to_contain_text(f"Weights: {bits} bits")
            lab.expect(words).to_contain_text(f"per {granularity}")
    panel.screenshot(path=picture)


def notebook(page: Page, url: str, picture: Path) -> None:
    """Take the window at the flipped bit of notebook 02."""
    lab.open_notebook(page, url, "02_training_checkpoints.ipynb")
    lab.run_all(page)
    _, cell = lab.cell_named(page, "damage")
    cell.evaluate("node => node.scrollIntoView({ block: 'start' })")
    page.screenshot(path=picture)


PICTURES = {"explorer.png": explorer, "notebook.png": notebook}


def main() -> None:
    """Write the pictures.

    Raises:
        SystemExit: there is no browser; the message says how to get one.
    """
    FOLDER.mkdir(exist_ok=True)
    try:
        take(FOLDER)
    except lab.BrowserMissing as missing:
        sys.exit(str(missing))


def take(folder: Path) -> None:
    """Start JupyterLab and write each picture, at twice the pixels, into a folder."""
    with (
        tempfile.TemporaryDirectory() as work,
        lab.chromium() as browser,
        lab.lab(Path(work)) as url,
    ):
        for name, draw in PICTURES.items():
            page = browser.new_page(
                viewport={"width": WIDTH, "height": HEIGHT}, device_scale_factor=2
            )
            draw(page, url, folder / name)
            print(folder / name)
            lab.close(page)


if __name__ == "__main__":
    main()
