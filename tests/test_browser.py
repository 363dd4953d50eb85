"""The notebooks as a learner meets them: JupyterLab, Chromium, mouse and keyboard."""

import json
import shutil

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe

from helpers.models import load_reference_model
from tests import browser as lab

NAMES = sorted(path.name for path in (lab.ROOT / "notebooks").glob("*.ipynb"))
PANEL = ".sls-panel"
WORDS = f"{PANEL} .words"

# A panel that Python draws at each move, more slowly than keys can be pressed.
SLOW = """
import time
from helpers.charts import bars
from helpers.panel import Panel, Range

def draw(bits):
    time.sleep(0.2)
    return bars("Slow", ["bits"], {"": [bits]}, text=f"drawn for {bits}")

Panel("Slow", [Range("bits", "Bits", 2, 16, 4)], draw)
"""


@pytest.fixture(scope="module")
def chromium():
    with lab.chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def server(tmp_path_factory, chromium):
    folder = tmp_path_factory.mktemp("lab")
    with lab.lab(folder) as url:
        slow = {
            "cells": [
                {
                    "cell_type": "code",
                    "id": "slow",
                    "source": SLOW,
                    "metadata": {},
                    "outputs": [],
                    "execution_count": None,
                }
            ],
            "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
        notebooks = folder / "notebooks"
        (notebooks / "slow.ipynb").write_text(json.dumps(slow))
        for name in NAMES:
            shutil.copy(notebooks / name, notebooks / f"unrun_{name}")
        yield url


@pytest.fixture(scope="module")
def executed(chromium, server):
    """A function from a notebook's name to a page on which all its cells have run."""
    pages = {}

    def open_and_run(name):
        if name not in pages:
            page = chromium.new_page(viewport={"width": 1280, "height": 900})
            lab.open_notebook(page, server, name)
            pages[name] = page, lab.run_all(page)
        return pages[name]

    yield open_and_run
    for page, _ in pages.values():
        lab.close(page)


def pictures(page, prefix):
    """Scroll through the notebook, keep a screenshot of each screen, return all text."""
    lab.SCREENSHOTS.mkdir(exist_ok=True)
    outer = page.locator(".jp-WindowedPanel-outer").first
    outer.evaluate("node => node.scrollTo(0, 0)")
    text = ""
    for k in range(60):
        page.wait_for_timeout(250)
        page.screenshot(path=lab.SCREENSHOTS / f"{prefix}_{k:02d}.png")
        text += outer.inner_text()
        before = outer.evaluate("node => node.scrollTop")
        outer.evaluate("node => node.scrollBy(0, node.clientHeight - 80)")
        if outer.evaluate("node => node.scrollTop") == before:
            break
    return text


@pytest.mark.parametrize("name", NAMES)
def test_all_cells_run_and_nothing_strays(executed, name):
    page, errors = executed(name)
    assert errors == []
    for width in (1280, 800):
        page.set_viewport_size({"width": width, "height": 900})
        text = pictures(page, f"{name[:2]}_{width}")
        for stray in (
            "Error displaying widget",
            "Loading widget",
            "Warning:",
            "object at 0x",
        ):
            assert stray not in text
        # Nothing is wider than its output area.
        too_wide = page.evaluate(
            "() => [...document.querySelectorAll('.jp-OutputArea-output')]"
            ".filter((node) => node.scrollWidth > node.clientWidth + 1)"
            ".map((node) => [node.scrollWidth, node.innerText.slice(0, 60)])"
        )
        assert too_wide == [], width
    page.set_viewport_size({"width": 1280, "height": 900})


@pytest.mark.parametrize("name", NAMES)
def test_a_page_that_has_not_been_run_has_no_broken_widgets(chromium, server, name):
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    lab.open_notebook(page, server, f"unrun_{name}")
    text = pictures(page, f"{name[:2]}_unrun")
    assert "Error displaying widget" not in text and "Loading widget" not in text
    lab.close(page)


def by_hand(row, bits):
    """The first slider's words, computed again without the helpers."""
    levels = 2**bits - 1
    step = row.abs().max() / (2 ** (bits - 1) - 1)
    error = (row - torch.round(row / step) * step).abs().max()
    return (
        f"With {bits} bits there are {levels} levels, {step:.4f} apart. "
        f"The largest error is {error:.4f}; half a step is {step / 2:.4f}."
    )


def slider(page):
    lab.show(page, f"{PANEL} input[type=range]")
    handle = page.locator(f"{PANEL} input[type=range]").first
    handle.focus()
    return handle


def test_the_first_slider_shows_what_an_independent_computation_gives(executed):
    page, _ = executed("00_start_here.ipynb")
    row = load_reference_model().blocks[0][3].weight[0].detach().flatten()
    handle = slider(page)
    panel = page.locator(PANEL, has=page.locator("input[type=range]")).first
    seen = set()
    for key, presses, bits in (("Home", 1, 2), ("ArrowRight", 3, 5), ("End", 1, 8)):
        for _ in range(presses):
            page.keyboard.press(key)
        assert handle.input_value() == str(bits)
        assert panel.locator("output").inner_text() == str(bits)
        assert panel.locator(".words").inner_text() == by_hand(row, bits)
        # A ring and a dot for each of the weights, and two in the legend.
        assert panel.locator("circle").count() == 2 * len(row) + 2
        seen.add(panel.locator("svg").inner_html())
    assert len(seen) == 3


def test_keys_for_the_slider_do_not_reach_jupyterlab(executed):
    page, _ = executed("00_start_here.ipynb")
    cells = "() => window.jupyterapp.shell.currentWidget.content.model.cells.length"
    active = "() => window.jupyterapp.shell.currentWidget.content.activeCellIndex"
    handle = slider(page)
    before = page.evaluate(cells), page.evaluate(active)
    for key in ("a", "b", "j", "k", "ArrowDown", "ArrowUp", "d", "d"):
        page.keyboard.press(key)
    assert (page.evaluate(cells), page.evaluate(active)) == before
    assert handle.evaluate("node => node === document.activeElement")


def test_the_slider_answers_while_the_kernel_is_busy(executed):
    page, _ = executed("00_start_here.ipynb")
    slider(page)
    page.keyboard.press("Home")
    lab.keep_busy(page, 6)
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(100)
    panel = page.locator(PANEL, has=page.locator("input[type=range]")).first
    assert panel.locator(".words").inner_text().startswith("With 3 bits")
    status = (
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status"
    )
    assert page.evaluate(status) == "busy"
    page.wait_for_function(f"() => ({status})() === 'idle'")


def test_when_python_draws_the_last_value_wins(chromium, server):
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    lab.open_notebook(page, server, "slow.ipynb")
    assert lab.run_all(page) == []
    assert page.locator(WORDS).inner_text() == "drawn for 4"
    slider(page)
    for _ in range(7):
        page.keyboard.press("ArrowRight")
    # The picture says that it is behind until it is not.
    assert page.locator(f"{PANEL} .picture[aria-busy]").count() == 1
    page.wait_for_function(
        f"() => document.querySelector('{WORDS}').textContent === 'drawn for 11'",
        timeout=5000,
    )
    page.wait_for_timeout(500)
    assert page.locator(WORDS).inner_text() == "drawn for 11"
    assert page.locator(f"{PANEL} .picture[aria-busy]").count() == 0
    # Setting the value from Python moves the control.
    page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel"
        ".requestExecute({code: '_.values = {\"bits\": 6}'}).done"
    )
    page.wait_for_function(
        f"() => document.querySelector('{WORDS}').textContent === 'drawn for 6'"
    )
    assert page.locator(f"{PANEL} input").input_value() == "6"
    lab.close(page)


@pytest.mark.parametrize("name", NAMES)
def test_every_control_changes_its_picture_by_keyboard(executed, name):
    page, _ = executed(name)
    lab.show(page, PANEL)
    # JupyterLab keeps only what is near on the page, so every panel is brought there.
    panels = page.evaluate(
        "() => [...window.jupyterapp.shell.currentWidget.content.widgets]"
        ".map((cell, k) => cell.node.querySelector('.sls-panel') ? k : -1)"
        ".filter((k) => k >= 0)"
    )
    assert panels
    for index in panels:
        page.evaluate(
            "k => window.jupyterapp.shell.currentWidget.content.scrollToItem(k)", index
        )
        cell = page.locator(f".jp-Notebook [data-windowed-list-index='{index}']")
        inputs = cell.locator(f"{PANEL} input")
        kinds = inputs.evaluate_all("nodes => nodes.map((node) => node.type)")
        for k, kind in enumerate(kinds):
            if kind == "radio" and inputs.nth(k).is_checked():
                continue
            before = cell.locator(f"{PANEL} svg").inner_html()
            inputs.nth(k).focus()
            at_start = inputs.nth(k).evaluate("node => node.value === node.min")
            arrow = "ArrowRight" if at_start else "ArrowLeft"
            page.keyboard.press(arrow if kind == "range" else "Space")
            assert cell.locator(f"{PANEL} svg").inner_html() != before, (index, kind)


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
@pytest.mark.parametrize("name", NAMES)
def test_axe_finds_no_violation_inside_a_panel(executed, name, theme):
    page, _ = executed(name)
    change = "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})"
    page.evaluate(change, theme)
    page.wait_for_timeout(800)
    lab.show(page, PANEL)
    page.screenshot(path=lab.SCREENSHOTS / f"{name[:2]}_{theme[11:].lower()}.png")
    found = Axe().run(page, context=PANEL).response
    page.evaluate(change, "JupyterLab Light")
    assert found["passes"], "axe looked at nothing"
    assert [(each["id"], each["help"]) for each in found["violations"]] == []


def test_the_format_chooser_opens_the_notebook_that_it_names(executed):
    page, _ = executed("00_start_here.ipynb")
    lab.show(page, f"{PANEL} .links a")
    for box in page.locator(f"{PANEL} input[type=checkbox]").all():
        box.uncheck()
    page.locator(f"{PANEL} .links a", has_text="notebook 01").first.click()
    page.wait_for_function(
        "() => window.jupyterapp.shell.currentWidget.context.path"
        " === 'notebooks/01_state_dicts.ipynb'"
    )
    page.evaluate("() => window.jupyterapp.shell.currentWidget.close()")


def test_a_quiz_can_be_answered_by_keyboard(executed):
    page, _ = executed("01_state_dicts.ipynb")
    lab.show(page, ".jp-OutputArea-output button.jupyter-button")
    button = page.locator(".jp-OutputArea-output button.jupyter-button", has_text="b)")
    button.focus()
    page.keyboard.press("Space")
    page.wait_for_selector(".widget-html p[role=status]")
    assert page.locator(".widget-html p[role=status]").inner_text().startswith("Right.")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.wait_for_function(
        "() => document.querySelector('.widget-html p[role=status]').textContent"
        ".startsWith('Not quite.')"
    )


def test_a_solution_is_closed_and_opens(executed):
    page, _ = executed("01_state_dicts.ipynb")
    lab.show(page, ".jp-InputPlaceholder")
    closed = page.locator(".jp-InputPlaceholder", has_text="# Solution 01.1")
    assert not page.get_by_text("def solution_1").is_visible()
    closed.click()
    page.get_by_text("def solution_1").wait_for()
    page.screenshot(path=lab.SCREENSHOTS / "solution_open.png")
