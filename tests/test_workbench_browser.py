"""The key-mapping workbench as a learner meets it: typed, pressed, heard, and small."""

import re

import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from helpers.exercises.notebook_05 import old_digits
from helpers.models import DigitsNet
from helpers.state_dicts import remap_keys
from tests import browser as lab

CELL = """
from helpers.exercises.notebook_05 import old_digits
from helpers.explorers.key_mapping import key_mapping
from helpers.models import DigitsNet

bench = key_mapping(old_digits(), DigitsNet())
bench
"""
WORDS = ".sls-panel .words"
expect.set_options(timeout=30_000)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    try:
        with lab.chromium() as browser, lab.lab(folder) as url:
            kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
            cells = [nbformat.v4.new_code_cell(CELL.strip())]
            notebook = nbformat.v4.new_notebook(cells=cells, metadata=kernel)
            nbformat.write(notebook, folder / "notebooks" / "bench.ipynb")
            page = browser.new_page(viewport={"width": 1280, "height": 1000})
            lab.open_notebook(page, url, "bench.ipynb")
            assert lab.run_all(page) == []
            yield page
            lab.close(page)
    except lab.BrowserMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture
def bench(page):
    """The workbench without a rule."""
    lab.execute(page, "bench.rules = ''")
    bench = page.locator(".jp-Cell-outputWrapper").first
    expect(bench.locator(WORDS)).to_contain_text("0 match; 56 left over")
    bench.get_by_role("radio", name="every key").check()
    return bench


def rules_box(bench):
    return bench.get_by_role("textbox", name=re.compile("^Rules, one a line"))


def test_what_is_typed_at_full_speed_arrives_whole_and_every_part_answers(page, bench):
    rules_box(bench).focus()
    text = "^module\\. ->\n^features\\. -> stem.\n^classifier\\. -> head."
    page.keyboard.type(text)
    expect(rules_box(bench)).to_have_value(text)
    expect(bench.locator(WORDS)).to_have_text("Complete: 56 match.")
    expect(bench.get_by_role("row")).to_have_count(57)
    expect(bench.get_by_text("= match", exact=True)).to_have_count(56)
    call = bench.get_by_role("textbox", name="The call to copy")
    expect(call).to_have_value(re.compile("classifier"))
    names = {"remap_keys": remap_keys, "state_dict": old_digits()}
    DigitsNet().load_state_dict(eval(call.input_value(), names))


def test_a_collision_is_said_in_words_and_by_a_label(page, bench):
    rules_box(bench).fill("weight$ -> bias")
    expect(bench.locator(WORDS)).to_contain_text("remap_keys refuses: ")
    expect(bench.locator(WORDS)).to_contain_text("would both become")
    expect(bench.get_by_text("× collision", exact=True).first).to_be_attached()
    call = bench.get_by_role("textbox", name="The call to copy")
    expect(call).to_have_value(re.compile("^not yet"))


def test_a_half_typed_rule_is_told_and_forgotten_when_it_is_whole(page, bench):
    rules_box(bench).fill("^module")
    expect(bench.locator(WORDS)).to_contain_text("Line 1, '^module': expected old -> new.")
    rules_box(bench).fill("^module\\. ->")
    expect(bench.locator(WORDS)).to_have_text(re.compile("^Not complete: 48 match"))


def test_keys_alone_lead_from_the_rules_to_a_suggestion_and_to_the_table(page, bench):
    rules_box(bench).focus()
    for expected in ("48 match", "54 match", "Complete: 56 match."):
        rules_box(bench).focus()
        page.keyboard.press("Tab")
        focused = bench.locator("button:focus")
        expect(focused).to_have_text(re.compile("^Add"))
        page.keyboard.press("Space")
        expect(bench.locator(WORDS)).to_contain_text(expected)
    expect(bench.get_by_role("button", name=re.compile("^Add"))).to_have_count(0)
    for place in ("input[type=radio]:focus", "[role=table]:focus", "textarea:focus"):
        page.keyboard.press("Tab")
        expect(bench.locator(place)).to_have_count(1)


def test_keys_typed_in_the_box_do_not_reach_jupyterlab(page, bench):
    count = "() => window.jupyterapp.shell.currentWidget.content.model.cells.length"
    before = page.evaluate(count)
    rules_box(bench).focus()
    page.keyboard.type("abddjk")
    expect(rules_box(bench)).to_have_value("abddjk")
    assert page.evaluate(count) == before


def test_only_what_is_open_is_shown_on_request(page, bench):
    rules_box(bench).fill("^module\\. ->")
    expect(bench.get_by_text("= match", exact=True)).to_have_count(48)
    bench.get_by_role("radio", name="only what is open").check()
    expect(bench.get_by_text("= match", exact=True)).to_have_count(0)
    expect(bench.get_by_role("row")).to_have_count(17)


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_it_is_accessible_and_fits_a_narrow_window(page, bench, theme):
    rules_box(bench).fill("^module\\. ->\nweight$ -> bias")
    expect(bench.locator(WORDS)).to_contain_text("collision")
    page.set_viewport_size({"width": 800, "height": 1000})
    page.evaluate(
        "theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })",
        theme,
    )
    expect(page.locator(f"body[data-jp-theme-name='{theme}']")).to_have_count(1)
    # While a theme loads, JupyterLab covers the page.
    expect(page.locator("#jupyterlab-splash")).to_have_count(0)
    # JupyterLab's body has no height of its own; axe takes the text in it for invisible.
    page.add_style_tag(content="body { height: 100vh }")
    lab.SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=lab.SCREENSHOTS / f"workbench_800_{theme.split()[1]}.png")
    wide = bench.evaluate(
        "node => [...node.querySelectorAll('*')].filter((some) =>"
        " some.getBoundingClientRect().right > innerWidth).map((some) => some.className)"
    )
    assert wide == []
    boxes = [box.bounding_box()["width"] for box in bench.locator("textarea").all()]
    assert len(boxes) == 2 and min(boxes) > 500
    found = Axe().run(page, context=".jp-OutputArea-output .widget-gridbox").response
    assert "color-contrast" in {each["id"] for each in found["passes"]}
    assert [(each["id"], each["help"]) for each in found["violations"]] == []
    page.set_viewport_size({"width": 1280, "height": 1000})
