"""A real JupyterLab in a real Chromium, for the browser tests and the benchmarks."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, Page, sync_playwright

ROOT = Path(__file__).parents[1]
SCREENSHOTS = Path(__file__).parent / "screenshots"
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
# Chromium looks for updates and the like, which a test has no use for.
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# Where the notebook stands: executed cells, and whether the kernel is done.
STATE = """() => {
    const panel = window.jupyterapp.shell.currentWidget;
    const cells = [...panel.content.model.cells].filter((c) => c.type === "code");
    return {
        idle: panel.sessionContext.session?.kernel?.status === "idle",
        counts: cells.map((c) => c.executionCount),
        errors: cells
            .filter((c) => !(c.getMetadata("tags") ?? []).includes("raises-exception"))
            .flatMap((c) => c.outputs.toJSON())
            .filter((o) => o.output_type === "error").map((o) => `${o.ename}: ${o.evalue}`),
    };
}"""


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium, else Playwright's own; outside CI a skip if there is none."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=found, args=QUIET)
        except Error:
            cure = "install Chromium, or run `.venv/bin/playwright install chromium`"
            pytest.skip(f"there is no browser: {cure}")
        yield browser
        browser.close()


@contextlib.contextmanager
def lab(folder: Path) -> Iterator[str]:
    """Start the course's own JupyterLab over a copy of the notebooks; yield its URL.

    JupyterLab saves what it has run, so it works on a copy.
    """
    for name in ("notebooks", "helpers"):
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "README.md", folder)
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "helpers.lab", "--no-browser"),
            "--LabApp.expose_app_in_browser=True",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        # Settings of this user (a theme, a workspace) have no place in a test.
        env={**os.environ, "JUPYTER_CONFIG_DIR": str(folder / "config")},
    )
    said = ""
    try:
        for line in process.stdout:
            said += line
            if found := re.search(r"http://\S+", line):
                break
        else:
            raise RuntimeError(f"JupyterLab did not start:\n{said}")
        # Read on, so that the server never waits for a full pipe.
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield found[0]
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def open_notebook(page: Page, url: str, name: str) -> None:
    """Open a notebook in a fresh workspace and wait for its kernel."""
    base, _, token = url.partition("?")
    base = base.partition("/lab")[0]
    page.goto(f"{base}/lab/tree/notebooks/{name}?reset&{token}")
    page.wait_for_function(
        "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel"
        "?.status === 'idle'",
        timeout=60_000,
    )
    # The side bar takes a third of a narrow window.
    page.evaluate("() => window.jupyterapp.shell.collapseLeft()")


def run_all(page: Page, timeout: float = 120) -> list[str]:
    """Run every cell; return the errors of those that should not raise."""
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
    page.wait_for_function(
        f"() => {{ const s = ({STATE})(); "
        "return s.idle && s.counts.every((n, i) => n === i + 1); }",
        timeout=timeout * 1000,
        polling=200,
    )
    # Widgets draw a moment after their cell is done.
    page.wait_for_timeout(500)
    return page.evaluate(STATE)["errors"]


def show(page: Page, selector: str) -> None:
    """Scroll a part of the notebook into view; JupyterLab renders only what is near."""
    for _ in range(60):
        if page.locator(selector).count():
            page.locator(selector).first.scroll_into_view_if_needed()
            return
        page.locator(".jp-WindowedPanel-outer").first.evaluate(
            "node => node.scrollBy(0, node.clientHeight / 2)"
        )
        page.wait_for_timeout(60)
    raise AssertionError(f"{selector} is nowhere in the notebook")


def keep_busy(page: Page, seconds: float) -> None:
    """Make the kernel sleep, and wait until it does."""
    kernel = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel"
    code = f"import time; time.sleep({seconds})"
    page.evaluate(f"() => {{ {kernel}.requestExecute({{code: '{code}'}}); }}")
    page.wait_for_function(f"() => {kernel}.status === 'busy'")


def close(page: Page) -> None:
    """End the page's kernel and close the page."""
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    page.close()
