"""A notebook is saved, its kernel shut down, and it is opened again: what is there?"""

import json
import re
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from helpers.classroom.setup.reopening import STATE
from tests import browser as lab

LOST = (
    "Python does not answer. Run the cells above (menu Run, Run All Above Selected Cell), "
    "then this one."
)
BROKEN = re.compile("Error displaying widget|Loading widget")
SHOWN = ".jp-OutputArea-output .lm-Widget"
UNSHOWN = """([ids, shown]) => window.jupyterapp.shell.currentWidget.content.widgets
    .filter((cell) => ids.includes(cell.model.id) && !cell.node.querySelector(shown))
    .map((cell) => cell.model.id)"""
# The outputs that JupyterLab shows as a widget: cell id, and where in the cell.
VIEWS = """() => [...window.jupyterapp.shell.currentWidget.content.model.cells]
    .filter((cell) => cell.type === "code")
    .flatMap((cell) => cell.outputs.toJSON().flatMap((output, k) =>
        output.data?.["application/vnd.jupyter.widget-view+json"] ? [[cell.id, k]] : []))"""


def reopen(page: Page, name: str) -> None:
    """Save, shut down, open again: a new kernel has run nothing."""
    lab.save(page)
    lab.close_notebook(page)
    lab.open_next(page, name)


def views(page: Page) -> list:
    """Scroll through the notebook; return its widgets when each has been drawn.

    Raises:
        AssertionError: one is not drawn, or is an error.
    """
    # Read in a high window: it takes a third of the steps.
    lab.resize(page, 1280, 2700)
    for screen in lab.screens(page):
        expect(screen).not_to_contain_text(BROKEN)
    lab.resize(page, 1280)
    found = page.evaluate(VIEWS)
    # JupyterLab may have been slower than the scrolling: it draws a cell when it has time.
    for id in page.evaluate(UNSHOWN, [list(dict(found)), SHOWN]):
        _, shown = lab.cell_named(page, id)
        shown.locator(SHOWN).first.wait_for(state="attached")
    page.wait_for_function(lab.DRAWN, polling=100)
    return found


def held(file: Path) -> set[str]:
    """Return the titles of a saved notebook's panels that need no kernel."""
    notebook = json.loads(file.read_text(encoding="utf-8"))
    models = notebook["metadata"]["widgets"][STATE]["state"].values()
    return {m["state"]["title"] for m in models if m["state"].get("frames")}


def answers(page: Page, file: Path) -> None:
    """Move each panel and answer each quiz; nothing has run.

    Raises:
        AssertionError: one that needs no kernel stands still; or another, by what is saved
            of them, does not say what to do.
    """
    titles = held(file)
    assert lab.cells(page, lab.PANEL), "no panel is drawn"
    for panel in lab.panels(page):
        if panel.get_attribute("aria-label") in titles:
            move(page, panel)
        else:
            expect(panel.locator(".status")).to_have_text(LOST)
    for index in lab.cells(page, lab.QUIZ):
        quiz = lab.cell(page, index).locator(lab.QUIZ)
        quiz.locator("button").first.press("Enter")
        expect(quiz.locator(".words").first).to_be_visible()


def move(page: Page, panel: Locator) -> None:
    """Move a control of a panel; its picture has to change."""
    picture = panel.locator(".picture").element_handle()
    before = picture.inner_html()
    control = panel.locator("input:not(:checked), select").first
    kind = control.get_attribute("type")
    if kind in ("radio", "checkbox"):
        control.click()
    else:
        at_start = control.evaluate("node => node.value === node.min")
        keys = {"range": "ArrowRight" if at_start else "ArrowLeft"}
        control.press(keys.get(kind, "ArrowDown"))
    page.wait_for_function(
        "([picture, before]) => picture.innerHTML !== before", arg=[picture, before]
    )


def come_back(page: Page, name: str, file: Path) -> None:
    """Let two days pass on which nothing is run; each time everything is there.

    On the second, JupyterLab has no state to save.

    Args:
        page: shows a notebook of which all cells have run.
        name: of the notebook.
        file: where the server saves it.
    """
    before = views(page)
    assert before
    for _ in range(2):
        reopen(page, name)
        assert views(page) == before
    answers(page, file)
    assert file.stat().st_size < 1.5e6, file.stat().st_size


def follow_advice(page: Page, file: Path) -> None:
    """Do what the first panel without Python says: run the cells above, and its own.

    Raises:
        AssertionError: there is none, it does not say so, or does not answer then.
    """
    titles = held(file)
    for index in lab.cells(page, lab.PANEL):
        panel = lab.cell(page, index).locator(lab.PANEL)
        if panel.get_attribute("aria-label") not in titles:
            # JupyterLab may have drawn it anew; then it asks again before it says so.
            expect(panel.locator(".status")).to_have_text(LOST)
            break
    else:
        raise AssertionError("every panel does without Python")
    lab.run_cell(page, index, "run-all-above")
    lab.run_cell(page, index)
    panel = lab.cell(page, index).locator(lab.PANEL)
    expect(panel.locator(".status")).to_be_empty()
    button = panel.get_by_role("button").first
    if button.count():
        button.click()
    else:
        move(page, panel)
    expect(panel.locator("[aria-busy]")).to_have_count(0)
    expect(panel.locator(".status")).to_be_empty()


def pictures_in(file: Path) -> int:
    """Count the outputs of a saved notebook that are, or could be, a picture of SVG."""
    cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return sum("image/svg+xml" in output.get("data", {}) for output in outputs)
