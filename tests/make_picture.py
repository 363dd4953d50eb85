"""Take the README's picture: the first slider in JupyterLab, at twice the pixels."""

import sys
import tempfile
from pathlib import Path

from tests import browser as lab

PICTURE = lab.ROOT / "notebooks" / "pictures" / "first_slider.png"


def main() -> None:
    """Write the picture.

    Raises:
        SystemExit: there is no browser; the message says how to get one.
    """
    PICTURE.parent.mkdir(exist_ok=True)
    try:
        take(PICTURE)
    except lab.BrowserMissing as missing:
        sys.exit(str(missing))
    print(PICTURE)


def take(picture: Path) -> None:
    """Start JupyterLab, run notebook 00 and take the picture of its first slider."""
    with (
        tempfile.TemporaryDirectory() as folder,
        lab.chromium() as browser,
        lab.lab(Path(folder)) as url,
    ):
        page = browser.new_page(
            viewport={"width": 1280, "height": 900}, device_scale_factor=2
        )
        lab.open_notebook(page, url, "00_start_here.ipynb")
        lab.run_all(page)
        lab.show(page, ".sls-panel input[type=range]")
        page.locator(".sls-panel", has=page.locator("input[type=range]")).screenshot(
            path=picture
        )
        lab.close(page)


if __name__ == "__main__":
    main()
