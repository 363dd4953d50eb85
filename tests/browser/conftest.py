"""One Chromium and one JupyterLab for all browser tests that a worker runs."""

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page

from tests import browser as lab

SIZE = {"width": 1280, "height": 900}


class Lab:
    """A running JupyterLab, and the pages that are open in it."""

    def __init__(self, chromium: Browser, url: str, notebooks: Path):
        self.chromium, self.url, self.notebooks = chromium, url, notebooks
        self.hosts: set[str | None] = set()  # that any page has asked
        self._pages: dict[str, Page] = {}
        self._spare: list[Page] = []  # whose notebooks are closed
        self._errors: dict[str, list[str]] = {}

    def open(self, name: str) -> Page:
        """Return the page of a notebook; it is opened once."""
        if name not in self._pages:
            if self._spare:
                page = self._spare.pop()
                page.set_viewport_size(SIZE)
                lab.open_next(page, name)
            else:
                page = self.chromium.new_page(viewport=SIZE)
                page.on("request", lambda some: self.hosts.add(urlsplit(some.url).hostname))
                lab.open_notebook(page, self.url, name)
            # JupyterLab keeps the theme of the test before.
            lab.change_theme(page, "JupyterLab Light")
            self._pages[name] = page
        return self._pages[name]

    def executed(self, name: str) -> tuple[Page, list[str]]:
        """Return its page when every cell has run, and their errors; it runs once."""
        page = self.open(name)
        if name not in self._errors:
            self._errors[name] = lab.run_all(page)
        return page, self._errors[name]

    def own(self, name: str, sources: Iterable[str]) -> Page:
        """Return the page of a notebook of our own, of which no cell has raised."""
        if name not in self._pages:
            lab.write_notebook(self.notebooks, name, sources)
        page, errors = self.executed(name)
        assert errors == []
        return page

    def close(self, name: str) -> None:
        """End a notebook's kernel and close it; its page is kept for another."""
        self._errors.pop(name, None)
        if page := self._pages.pop(name, None):
            lab.close_notebook(page)
            self._spare.append(page)


@pytest.fixture(scope="package")
def chromium():
    """A browser; where there is none, the test is skipped, which CI does not allow."""
    try:
        with lab.chromium() as running:
            yield running
    except lab.BrowserMissing as missing:
        pytest.skip(f"{missing}. So no notebook is run with plainer arithmetic, either.")


@pytest.fixture(scope="package")
def jupyter(tmp_path_factory, chromium):
    """The one JupyterLab; its kernels compute with plainer arithmetic."""
    folder = tmp_path_factory.mktemp("lab")
    with lab.lab(folder, lab.PLAINER) as url:
        yield Lab(chromium, url, folder / "notebooks")
