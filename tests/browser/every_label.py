"""Every panel's words over its controls' whole range, without JupyterLab.

`make labels` and `.ci/run` run this. `make test` measures the words in the notebooks, as
they are at first and after one move of each control.
"""

import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from playwright.sync_api import expect
from torch import nn

from helpers.classroom.charts import Chart
from helpers.classroom.data.digits import load_digits
from helpers.classroom.data.networks import load_reference_model
from helpers.classroom.explorers import fraction_bits
from helpers.classroom.explorers.budget_game import ENTER, JUDGE
from helpers.classroom.explorers.crash_timeline import crash_timeline
from helpers.classroom.explorers.file_size import file_size
from helpers.classroom.explorers.format_chooser import format_chooser
from helpers.classroom.explorers.layer_view import layer_view
from helpers.classroom.explorers.number_line import number_line
from helpers.classroom.explorers.precision import precision
from helpers.classroom.explorers.sensitivity import sensitivity
from helpers.classroom.explorers.smaller import smaller
from helpers.classroom.explorers.tolerance import tolerance
from helpers.classroom.explorers.trade_off import SHOW, trade_off
from helpers.classroom.explorers.uneven_levels import uneven_levels
from helpers.classroom.explorers.weight_row import weight_row
from helpers.classroom.panel import Check, Panel
from helpers.onnx_export import Parity
from helpers.quantization import fold_batch_norm, quantizable_layers
from tests import browser as lab
from tests.browser import labels

# What JupyterLab leaves a panel of a window 1280, 800, 480 and 360 px wide.
WIDTHS = (1100, 684, 364, 244)


def _parities():
    errors = {"float32": 1e-6, "float16": 1e-2, "int8": 0.5, "training mode": 5.0}
    generator = torch.Generator().manual_seed(0)
    found = {}
    for name, error in errors.items():
        gaps = error * torch.rand(50, 10, generator=generator)
        magnitudes = torch.rand(50, 10, generator=generator)
        found[name] = Parity(error, 1, 1, 0, (50,), True, None, gaps, magnitudes)
    return found


def _results():
    return {
        (width, zeros, bits): (
            60 * width * width * bits // 8 * (110 - zeros) // 100,
            min(0.989, 0.4 + 0.03 * width + 0.06 * bits - zeros / 400),
        )
        for width in (3, 6, 12, 24)
        for zeros in (0, 50, 75, 90)
        for bits in (3, 4, 8)
    }


def _row():
    return load_reference_model().blocks[0][3].weight.detach()[0].flatten()


def _small_model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval()


def _few_images():
    digits = load_digits()
    return digits.test_images[:60], digits.test_labels[:60]


def _middle():
    folded = fold_batch_norm(load_reference_model())
    return quantizable_layers(folded)["blocks.2.0"].weight


PANELS = {
    "weight row": lambda: weight_row(_row()),
    "formats": format_chooser,
    "file size": file_size,
    "crash": crash_timeline,
    "fraction": fraction_bits.fraction_bits,
    "tolerance": lambda: tolerance(_parities()),
    "precision": lambda: precision(_small_model(), load_digits().test_images[:50]),
    "number line": lambda: number_line(_middle(), "blocks.2.0"),
    "uneven levels": lambda: uneven_levels(_middle(), "blocks.2.0"),
    "layer": lambda: layer_view(load_reference_model(), "blocks.1.0"),
    "trade-off": lambda: trade_off(None, *_few_images()),
    "sensitivity": lambda: sensitivity(None, None, *_few_images()),
    "smaller": lambda: smaller(_results()),
}
# Where each picture is evaluated, there are fewer: one in so many.
SLOW = {"trade-off": 5}
# These become one column where the whole picture would be too small to read.
COLUMNS = ("trade-off",)


@pytest.fixture(scope="module")
def page(chromium):
    page = labels.blank(chromium, WIDTHS[0])
    yield page
    page.close()


def stages(name):
    """A panel before its answer is shown and, where it has a guess, after some guesses."""
    panel = PANELS[name]()
    values = [panel.values, *labels.some_values(panel, 6)]
    values = values[:: SLOW.get(name, 1)]
    start = labels.state(panel)
    yield start, [labels.change(panel, some) for some in values]
    if name == "trade-off":
        panel.press(SHOW)
        yield labels.state(panel), [labels.change(panel, some) for some in values]
        panel.press(panel.buttons[-1])  # begins a game
        yield labels.state(panel), [labels.change(panel, some) for some in values]
        panel.values = values[0]
        for press in (ENTER, JUDGE):
            panel.press(press)
        yield labels.state(panel), [labels.change(panel, some) for some in values]
    if panel.guess:
        panel.values = values[0]
        slider, question = panel.guess["slider"], panel.chart.guess.question
        changes = [labels.change(panel, some) for some in values]
        for place in ("value", "low", "high"):
            said = {"value": slider[place] / 10 ** slider["decimals"], "question": question}
            yield {**start, "guessed": said}, changes if place == "value" else changes[:2]


def show(page, state):
    """Open a panel, and what is folded away among its controls."""
    page.evaluate("state => window.open_panel(state)", state)
    page.locator(".sls-controls details").evaluate_all(
        "nodes => { for (const node of nodes) node.open = true; }"
    )


def scrolls_sideways(page):
    view = page.locator(".view")
    return view.evaluate("node => node.scrollWidth > node.clientWidth")


@pytest.mark.parametrize("name", PANELS)
def test_no_words_are_covered_cut_off_or_small_and_nothing_jumps(page, name, monkeypatch):
    # Where words stand, the model does not matter.
    monkeypatch.setattr(fraction_bits, "measured", lambda bits, rounding: (30 * bits, 719))
    for start, changes in stages(name):
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            show(page, start)
            # A picture keeps its proportions: all of them are looked at in one width.
            some = changes if width == WIDTHS[0] else changes[:4]
            found = page.evaluate("changes => window.measured(changes)", some)
            wrong = [(each["faults"], each["values"]) for each in found if each["faults"]]
            assert wrong == [], width
            assert len({each["height"] for each in found}) == 1, (width, found)
            assert page.evaluate("() => document.documentElement.scrollWidth") <= width
            if name in COLUMNS and width > WIDTHS[-1]:
                assert not scrolls_sideways(page), width


DARK = Path(sys.prefix, "share/jupyter/lab/themes/@jupyterlab/theme-dark-extension")


@pytest.fixture(scope="module")
def dark(chromium):
    """A page with the variables of JupyterLab's dark theme."""
    page = labels.blank(chromium, WIDTHS[0])
    page.add_style_tag(content=(DARK / "index.css").read_text(encoding="utf-8"))
    page.evaluate(
        """() => {
            document.body.dataset.jpThemeLight = "false";
            document.body.style.background = "var(--jp-layout-color0)";
        }"""
    )
    yield page
    page.close()


@pytest.mark.parametrize("name", PANELS)
def test_in_the_dark_theme_every_word_can_be_read(dark, name, monkeypatch):
    monkeypatch.setattr(fraction_bits, "measured", lambda bits, rounding: (30 * bits, 719))
    for start, changes in stages(name):
        for change in ({}, changes[-1]):
            show(dark, {**start, **change})
            assert lab.axe_violations(dark, ".sls-panel", ["color-contrast"]) == []
    paper = "node => getComputedStyle(node).backgroundColor"
    assert dark.locator(".sls-panel").evaluate(paper) == "rgb(33, 33, 33)"


BROKEN = {
    "one / two": '<text y="20">one</text><text y="24">two</text>',
    "cut off: left": '<text x="-9" y="20">left</text>',
    "small: tiny": '<text y="20" font-size="7">tiny</text>',
}


@pytest.mark.parametrize("expected", BROKEN)
def test_the_measure_finds_what_it_is_there_for(page, expected):
    svg = f'<svg width="600" height="60" viewBox="0 0 600 60">{BROKEN[expected]}</svg>'
    chart = Chart(svg, "words")
    panel = Panel("Broken", [Check("a", "A"), Check("b", "B")], lambda a, b: chart)
    page.set_viewport_size({"width": WIDTHS[0], "height": 900})
    page.evaluate("state => window.open_panel(state)", labels.state(panel))
    change = labels.change(panel, {"a": True, "b": False})
    [found] = page.evaluate("changes => window.measured(changes)", [change])
    assert found["faults"] == [expected]


def test_a_picture_that_scrolls_is_reached_by_tab_and_its_grip_stays_in_sight(page):
    panel = PANELS["number line"]()
    page.set_viewport_size({"width": WIDTHS[0], "height": 900})
    page.evaluate("state => window.open_panel(state)", labels.state(panel))
    view = page.get_by_role("group", name="The picture")
    expect(view).to_have_attribute("tabindex", "-1")
    page.set_viewport_size({"width": WIDTHS[2], "height": 900})
    expect(view).to_have_attribute("tabindex", "0")
    page.locator(".handle").focus()
    page.keyboard.press("End")
    grip, room = page.locator(".grip").bounding_box(), view.bounding_box()
    assert room["x"] < grip["x"]
    assert grip["x"] + grip["width"] < room["x"] + room["width"] + 1
    assert view.evaluate("node => node.scrollLeft") > 0


def test_sheets_are_one_picture_where_there_is_room_and_otherwise_one_column(page):
    panel = PANELS["trade-off"]()
    panel.press(SHOW)
    start = labels.state(panel)
    view, sheets = page.locator(".view"), page.locator(".sheets svg")
    for width in (WIDTHS[0], WIDTHS[1]):
        page.set_viewport_size({"width": width, "height": 1200})
        page.evaluate("state => window.open_panel(state)", start)
        assert sheets.count() > 1
        in_sheets = view.screenshot()
        whole = {**start["frame"], "svg": panel.chart.svg}
        page.evaluate("state => window.open_panel(state)", {**start, "frame": whole})
        assert sheets.count() == 0
        assert view.screenshot() == in_sheets
    # Where there is room for controls beside a picture, its sheets stand side by side.
    page.evaluate("state => window.open_panel(state)", start)
    for width, is_beside in ((939, False), (940, True)):
        page.set_viewport_size({"width": width, "height": 900})
        assert (view.bounding_box()["x"] > 300) == is_beside
        assert sheets.nth(0).bounding_box()["y"] == sheets.nth(1).bounding_box()["y"]
    page.set_viewport_size({"width": WIDTHS[2], "height": 900})
    boxes = [sheet.bounding_box() for sheet in sheets.all()]
    for above, below in pairwise(boxes):
        assert above["y"] + above["height"] <= below["y"] + 0.5
