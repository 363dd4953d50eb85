"""The key-mapping workbench as a learner meets it: typed, pressed, heard, and small."""

import re

import pytest
from playwright.sync_api import expect

from helpers.classroom.data.networks import DigitsNet
from helpers.classroom.exercises.notebook_05 import old_digits
from helpers.state_dicts import remap_keys
from tests import browser as lab

CELL = """
from helpers.classroom.exercises.notebook_05 import old_digits
from helpers.classroom.explorers.key_mapping import key_mapping
from helpers.classroom.data.networks import DigitsNet

bench = key_mapping(old_digits(), DigitsNet())
bench
"""
WORDS = ".sls-panel .words"


@pytest.fixture(scope="module")
def page(jupyter):
    page = jupyter.own("workbench.ipynb", [CELL])
    page.set_viewport_size({"width": 1280, "height": 1000})
    yield page
    jupyter.close("workbench.ipynb")


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
    lab.change_theme(page, theme)
    lab.keep_screen(page, f"workbench_800_{theme.split()[1]}.png")
    assert lab.too_wide(bench) == []
    boxes = [box.bounding_box()["width"] for box in bench.locator("textarea").all()]
    assert len(boxes) == 2 and min(boxes) > 500
    assert lab.axe_violations(page, ".jp-OutputArea-output .widget-gridbox") == []
    page.set_viewport_size({"width": 1280, "height": 1000})
