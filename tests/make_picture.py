"""Take the README's picture: the first slider in JupyterLab, at twice the pixels."""

import tempfile
from pathlib import Path

from tests import browser as lab

PICTURE = lab.ROOT / "notebooks" / "pictures" / "first_slider.png"


def main() -> None:
    """Start JupyterLab, run notebook 00 and write the picture."""
    PICTURE.parent.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        lab.lab(Path(folder)) as url,
        lab.chromium() as browser,
    ):
        page = browser.new_page(
            viewport={"width": 1280, "height": 900}, device_scale_factor=2
        )
        lab.open_notebook(page, url, "00_start_here.ipynb")
        lab.run_all(page)
        lab.show(page, ".sls-panel input[type=range]")
        page.locator(".sls-panel", has=page.locator("input[type=range]")).screenshot(
            path=PICTURE
        )
        lab.close(page)
    print(PICTURE)


if __name__ == "__main__":
    main()
