"""A real JupyterLab in a real Chromium, for the browser tests and the benchmarks."""

import contextlib
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import nbformat
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    Error,
    Locator,
    Page,
    Playwright,
    expect,
    sync_playwright,
)
from playwright.sync_api import TimeoutError as TimedOut

from helpers.classroom.exercises import record
from helpers.classroom.setup.doctor import BROWSERS
from tests import ROOT

# As patient as Playwright's other waits: a busy machine is not a fault.
expect.set_options(timeout=30_000)

SCREENSHOTS = ROOT / "tests" / "screenshots"
KEEPS_SCREENS = bool(os.environ.get("SCREENSHOTS"))
PANEL = ".sls-panel"
QUIZ = ".sls-quiz"
START_LIMIT = 60  # seconds; a start takes three
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
# Results must not depend on one processor: only x86 can step down to AVX2.
PLAINER = {"OMP_NUM_THREADS": "1"}
if platform.machine() in ("x86_64", "AMD64"):
    PLAINER["ATEN_CPU_CAPABILITY"] = "avx2"

# Whether the notebook that is open has a kernel that waits for work.
READY = """() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel
    ?.status === 'idle'"""

# Whether the notebook ends where the window does, but for the bars beside and below it.
LAID_OUT = """() => {
    const { right, bottom } =
        window.jupyterapp.shell.currentWidget.node.getBoundingClientRect();
    const ends = (one, other) => one <= other && one > other - 80;
    return ends(right, innerWidth) && ends(bottom, innerHeight);
}"""

# Whether every cell has run, and the kernel is done. Asked often, so it looks at no output.
FINISHED = """() => {
    const panel = window.jupyterapp.shell.currentWidget;
    if (panel.sessionContext.session?.kernel?.status !== "idle") return false;
    const cells = [...panel.content.model.cells].filter((c) => c.type === "code");
    return cells.every((cell, k) => cell.executionCount === k + 1);
}"""

# The errors of the cells that should not raise.
ERRORS = """() => [...window.jupyterapp.shell.currentWidget.content.model.cells]
    .filter((c) => c.type === "code")
    .filter((c) => !(c.getMetadata("tags") ?? []).includes("raises-exception"))
    .flatMap((c) => c.outputs.toJSON())
    .filter((o) => o.output_type === "error").map((o) => `${o.ename}: ${o.evalue}`)"""


# Whether every widget of every cell that is on the page has been drawn.
DRAWN = """() => {
    const view = "application/vnd.jupyter.widget-view+json";
    const cells = [...window.jupyterapp.shell.currentWidget.content.widgets];
    return cells.filter((cell) => cell.model.type === "code" && !cell.isPlaceholder())
        .every((cell) => {
            const wanted = cell.model.outputs.toJSON().some((o) => o.data?.[view]);
            const shown = cell.node.querySelector(".jp-OutputArea-output .lm-Widget");
            return !wanted || (shown && !cell.node.innerText.includes("Loading widget"));
        });
}"""


class BrowserMissing(RuntimeError):
    """No browser starts; the message says how to get one."""


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Start a browser, and end it.

    Raises:
        BrowserMissing: none starts.
    """
    with sync_playwright() as playwright, launch(playwright) as browser:
        yield browser


def launch(playwright: Playwright) -> Browser:
    """Start the system's Chromium, else an installed Chrome, else Playwright's own.

    Raises:
        BrowserMissing: none of them starts.
    """
    ways = [{"channel": "chrome"}, {}]
    if found := next(filter(None, map(shutil.which, BROWSERS)), None):
        ways.insert(0, {"executable_path": found})
    for way in ways:
        try:
            return playwright.chromium.launch(args=QUIET, **way)
        except Error as error:
            last = error
    raise BrowserMissing(
        "there is no browser that starts: install Chromium, or run "
        f"`.venv/bin/playwright install chromium`. The last error: {last}"
    ) from last


def not_copied(folder: str, names: list[str]) -> set[str]:
    """Name what a copy of the course does without: caches, answers, kernels' sockets."""
    left_out = {"__pycache__", record.FILE}
    return {n for n in names if n in left_out or Path(folder, n).is_socket()}


@contextlib.contextmanager
def lab(
    folder: Path,
    settings: dict[str, str] | None = None,
    command: Sequence[str | Path] = (sys.executable, "-m", "helpers.lab"),
) -> Iterator[str]:
    """Start JupyterLab over a copy of the notebooks; yield its URL.

    JupyterLab saves what it has run, so it works on a copy.

    Args:
        folder: where the copy goes.
        settings: variables for the environment of its kernels.
        command: starts it; the course's own is the default.

    Raises:
        RuntimeError: it does not start in time.
    """
    for name in ("notebooks", "helpers"):
        shutil.copytree(ROOT / name, folder / name, ignore=not_copied)
    shutil.copy(ROOT / "README.md", folder)
    process = subprocess.Popen(
        [
            # Two that start at the same moment would look for the same next free port.
            *(*command, "--no-browser", "--port=0"),
            "--LabApp.expose_app_in_browser=True",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        # Settings of this user (a theme, a workspace) have no place in a test.
        env={
            **os.environ,
            **(settings or {}),
            "JUPYTER_CONFIG_DIR": str(folder / "config"),
        },
    )
    said = ""
    limit = threading.Timer(START_LIMIT, process.kill)  # which ends the lines
    limit.start()
    try:
        for line in process.stdout:
            said += line
            if found := re.search(r"http://\S+", line):
                break
        else:
            raise RuntimeError(f"JupyterLab did not start in {START_LIMIT} s:\n{said}")
        limit.cancel()
        # Read on, so that the server never waits for a full pipe.
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield found[0]
    finally:
        limit.cancel()
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def write_notebook(folder: Path, name: str, sources: Iterable[str]) -> None:
    """Write a notebook with a cell of code for each source."""
    cells = [nbformat.v4.new_code_cell(source.strip()) for source in sources]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=kernel)
    nbformat.write(notebook, folder / name)


@contextlib.contextmanager
def own_notebook(
    browser: Browser, folder: Path, sources: Iterable[str], height: int = 1000
) -> Iterator[Page]:
    """Run a notebook of our own in a JupyterLab of its own; yield its page.

    Raises:
        RuntimeError: JupyterLab does not start in time, or a cell raises.
    """
    with lab(folder) as url:
        write_notebook(folder / "notebooks", "ours.ipynb", sources)
        page = browser.new_page(viewport={"width": 1280, "height": height})
        open_notebook(page, url, "ours.ipynb")
        if errors := run_all(page):
            raise RuntimeError(errors)
        yield page
        close(page)


def open_notebook(page: Page, url: str, name: str) -> None:
    """Open a notebook in a fresh workspace and wait for its kernel."""
    base, _, token = url.partition("?")
    base = base.partition("/lab")[0]
    page.goto(f"{base}/lab/tree/notebooks/{name}?reset&{token}")
    page.wait_for_function(READY, timeout=60_000, polling=100)
    # The side bar takes a third of a narrow window.
    page.evaluate("() => window.jupyterapp.shell.collapseLeft()")


def open_next(page: Page, name: str) -> None:
    """Open another notebook in the JupyterLab of a page, and wait for its kernel.

    To load JupyterLab takes five seconds of a processor.
    """
    page.evaluate(
        """async path => {
            const options = { path, factory: "Notebook" };
            await window.jupyterapp.commands.execute("docmanager:open", options);
        }""",
        f"notebooks/{name}",
    )
    page.wait_for_function(READY, timeout=60_000, polling=100)


def run_all(page: Page, timeout: float = 300) -> list[str]:
    """Run every cell; return the errors of those that should not raise."""
    start_all(page)
    return finish_all(page, timeout)


def start_all(page: Page) -> None:
    """Begin to run every cell; `finish_all` waits for the end."""
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")


def finish_all(page: Page, timeout: float = 300) -> list[str]:
    """Wait until every cell has run; return the errors of those that should not raise."""
    page.wait_for_function(FINISHED, timeout=timeout * 1000, polling=200)
    page.wait_for_function(DRAWN, polling=100)
    return page.evaluate(ERRORS)


def resize(page: Page, width: int, height: int = 900) -> None:
    """Change the window's size, and wait until JupyterLab has laid out the notebook."""
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_function(LAID_OUT)


def cells(page: Page, selector: str) -> list[int]:
    """Return the numbers, from 0, of the cells that hold what a selector names."""
    return page.evaluate(
        "selector => [...window.jupyterapp.shell.currentWidget.content.widgets]"
        ".flatMap((cell, k) => cell.node.querySelector(selector) ? [k] : [])",
        selector,
    )


def cell(page: Page, index: int) -> Locator:
    """Bring a cell into view, since JupyterLab may keep only what is near on the page."""
    found = page.locator(f".jp-Notebook [data-windowed-list-index='{index}']")
    scroll = "k => window.jupyterapp.shell.currentWidget.content.scrollToItem(k)"
    # While JupyterLab still measures cells, it may scroll back: then it is asked again.
    for _ in range(10):
        page.evaluate(scroll, index)
        with contextlib.suppress(TimedOut):
            found.wait_for(timeout=3000)
            return found
    raise AssertionError(f"cell {index} does not come into view in 30 s")


def cell_named(page: Page, id: str) -> tuple[int, Locator]:
    """Bring the cell with an id into view; return its number and itself."""
    index = page.evaluate(
        "id => [...window.jupyterapp.shell.currentWidget.content.widgets]"
        ".findIndex((cell) => cell.model.id === id)",
        id,
    )
    return index, cell(page, index)


def show(page: Page, selector: str) -> Locator:
    """Scroll to the first cell that holds what a selector names, and return that cell."""
    first = cell(page, next(iter(cells(page, selector))))
    first.locator(selector).first.scroll_into_view_if_needed()
    return first


def execute(page: Page, code: str) -> str:
    """Run code in the page's kernel, beside the notebook; return what it prints.

    What the kernel had sent before has arrived by then.
    """
    return page.evaluate(
        """async code => {
            const context = window.jupyterapp.shell.currentWidget.sessionContext;
            const request = { code, store_history: false };
            const future = context.session.kernel.requestExecute(request);
            let printed = "";
            future.onIOPub = (message) => {
                if (message.header.msg_type === "stream") printed += message.content.text;
            };
            // A kernel that is busy or gone must end a test, not hang it.
            const late = new Promise((_, refuse) =>
                setTimeout(refuse, 60_000, new Error("no answer from the kernel in 60 s")));
            await Promise.race([future.done, late]);
            return printed;
        }""",
        code,
    )


def keep_busy(page: Page, seconds: float) -> None:
    """Make the kernel sleep, and wait until it has begun to; `is_asleep` asks about it."""
    page.evaluate(
        """code => new Promise((begun) => {
            const context = window.jupyterapp.shell.currentWidget.sessionContext;
            const future = context.session.kernel.requestExecute({ code });
            future.onIOPub = (message) => {
                if (message.header.msg_type === "execute_input") begun();
            };
            // Not the kernel's status: answers to other questions change that meanwhile.
            window.isAsleep = true;
            future.done.finally(() => { window.isAsleep = false; });
        })""",
        f"import time; time.sleep({seconds})",
    )


def is_asleep(page: Page) -> bool:
    """Tell whether the kernel still sleeps as `keep_busy` made it."""
    return page.evaluate("() => window.isAsleep")


def wake(page: Page) -> None:
    """Interrupt the sleep of `keep_busy`, and wait until the kernel is free."""
    kernel = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel"
    page.evaluate(f"() => {kernel}.interrupt()")
    page.wait_for_function("() => !window.isAsleep")


def outputs(page: Page) -> dict[str, list[nbformat.NotebookNode]]:
    """Return the id of each cell of code -> its outputs, as JupyterLab would save them."""
    found = page.evaluate(
        "() => [...window.jupyterapp.shell.currentWidget.content.model.cells]"
        ".filter((cell) => cell.type === 'code')"
        ".map((cell) => [cell.id, cell.outputs.toJSON()])"
    )
    return {id: [nbformat.from_dict(each) for each in some] for id, some in found}


def run_cell(page: Page, index: int, command: str = "run-cell") -> None:
    """Run one cell of code again, and wait until widgets are drawn; or run-all-above it."""
    page.evaluate(
        """async ([index, command]) => {
            const { shell, commands } = window.jupyterapp;
            shell.currentWidget.content.activeCellIndex = index;
            await commands.execute(`notebook:${command}`);
        }""",
        [index, command],
    )
    page.wait_for_function(DRAWN, polling=100)


def save(page: Page) -> None:
    """Save the notebook, and wait until the server has done so."""
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")


def close(page: Page) -> None:
    """End the page's kernel and close the page."""
    close_notebook(page)
    page.close()


def close_notebook(page: Page) -> None:
    """End the page's kernel and close its notebook; JupyterLab stays open."""
    page.evaluate(
        """async () => {
            const notebook = window.jupyterapp.shell.currentWidget;
            await notebook.sessionContext.shutdown();
            notebook.dispose();
        }"""
    )


def panels(page: Page) -> Iterator[Locator]:
    """Scroll to each panel of the page in turn."""
    for index in cells(page, PANEL):
        yield from cell(page, index).locator(PANEL).all()


def screens(page: Page) -> Iterator[Locator]:
    """Scroll through the notebook; yield what is on the page, a screen at a time."""
    outer = page.locator(".jp-WindowedPanel-outer").first
    outer.evaluate("node => node.scrollTo(0, 0)")
    for _ in range(60):
        page.evaluate(
            "() => new Promise((painted) =>"
            " requestAnimationFrame(() => requestAnimationFrame(painted)))"
        )
        yield outer
        before = outer.evaluate("node => node.scrollTop")
        outer.evaluate("node => node.scrollBy(0, node.clientHeight - 80)")
        if outer.evaluate("node => node.scrollTop") == before:
            break


def pictures(page: Page, prefix: str) -> str:
    """Return the text of the whole notebook; keep each screen if that is asked for."""
    text = ""
    for k, screen in enumerate(screens(page)):
        keep_screen(page, f"{prefix}_{k:02d}.png")
        text += screen.inner_text()
    return text


def keep_screen(page: Page, name: str) -> None:
    """Leave a screenshot in tests/screenshots where the variable SCREENSHOTS is set.

    They are for somebody's eyes, and take a minute and a half of a processor in all.
    """
    if KEEPS_SCREENS:
        page.screenshot(path=SCREENSHOTS / name)


def too_wide(shown: Locator) -> list[str]:
    """Return the beginnings of the elements in it that leave the window on the right.

    In a narrow window a picture is looked through: what scrolls there does not count.
    """
    return shown.evaluate(
        "node => [...node.querySelectorAll('*')].filter((some) =>"
        " !some.parentElement.closest('.view')"
        " && some.getBoundingClientRect().right > innerWidth)"
        ".map((some) => some.outerHTML.slice(0, 60))"
    )


def change_theme(page: Page, theme: str) -> None:
    """Give JupyterLab another theme, and wait until the page has it."""
    page.evaluate(
        "theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })",
        theme,
    )
    expect(page.locator(f"body[data-jp-theme-name='{theme}']")).to_have_count(1)
    # While a theme loads, JupyterLab covers the page.
    expect(page.locator("#jupyterlab-splash")).to_have_count(0)


def axe_violations(
    page: Page, context: str, only: Sequence[str] = ()
) -> list[tuple[str, str]]:
    """Return axe's violations in what a selector names: the rule, and what it says.

    Args:
        page: where to look.
        context: the selector.
        only: ids of the rules that are tried; all where there are none.

    Raises:
        AssertionError: axe sees no text there, so that finding nothing says nothing.
    """
    # JupyterLab's body has no height of its own; axe takes the text in it for invisible.
    page.evaluate("() => { document.body.style.height = '100vh'; }")
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(Axe().axe_script)
    # Of what passes, the rule's name is enough.
    options = {"resultTypes": ["violations"], "selectors": False, "preload": False}
    options |= {"runOnly": list(only)} if only else {}
    found = page.evaluate("some => axe.run(...some)", [context, options])
    passed = {each["id"] for each in found["passes"]}
    assert "color-contrast" in passed, f"axe sees no text in {context}"
    return [(each["id"], each["help"]) for each in found["violations"]]
