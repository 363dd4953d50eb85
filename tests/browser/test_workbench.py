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
WORDS = ".sls-panel .result span"


@pytest.fixture(scope="module")
def page(jupyter):
    page = jupyter.own("workbench.ipynb", [CELL])
    lab.resize(page, 1280, 1000)
    yield page
    jupyter.close("workbench.ipynb")


@pytest.fixture
def bench(page):
    """The workbench without a rule."""
    # What the test before has typed may still be on its way to Python.
    expect(page.locator(f"{lab.PANEL} [aria-busy]")).to_have_count(0)
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
    call = bench.locator("pre.code")
    expect(call).to_contain_text("classifier")
    names = {"remap_keys": remap_keys, "state_dict": old_digits()}
    DigitsNet().load_state_dict(eval(call.inner_text(), names))


def test_a_collision_is_said_in_words_and_by_a_label(page, bench):
    rules_box(bench).fill("weight$ -> bias")
    expect(bench.locator(WORDS)).to_contain_text("remap_keys refuses: ")
    expect(bench.locator(WORDS)).to_contain_text("would both become")
    expect(bench.get_by_text("× collision", exact=True).first).to_be_attached()
    expect(bench.locator("pre.code")).to_be_hidden()
    expect(bench.get_by_role("button", name="Copy the code")).to_be_hidden()


def test_a_half_typed_rule_is_told_beside_the_field_until_it_is_whole(page, bench):
    rules_box(bench).fill(r"(\.weight -> .w")
    box, words = rules_box(bench), bench.locator(".fault")
    expect(words).to_have_text(
        re.compile(r"^Line 1: '\(\\\.weight -> \.w' cannot be read: ")
    )
    expect(box).to_have_attribute("aria-invalid", "true")
    expect(box).to_have_accessible_description(re.compile("Line 1: "))
    gap = words.bounding_box()["y"] - box.bounding_box()["y"] - box.bounding_box()["height"]
    assert 0 <= gap < 10
    rules_box(bench).fill("^module\\. ->")
    expect(bench.locator(WORDS)).to_have_text(re.compile("^Not complete: 48 match"))
    expect(words).to_have_text("")
    expect(box).to_have_attribute("aria-invalid", "false")


def test_keys_alone_lead_from_the_rules_to_a_suggestion_and_to_the_table(page, bench):
    rules_box(bench).focus()
    rules_box(bench).focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    for expected in ("48 match", "54 match", "Complete: 56 match."):
        focused = bench.locator("button:focus")
        expect(focused).to_have_text(re.compile("^Add"))
        page.keyboard.press("Space")
        expect(bench.locator(WORDS)).to_contain_text(expected)
    expect(bench.get_by_role("button", name=re.compile("^Add"))).to_have_count(0)
    # The last suggestion has gone with its press, and the focus is where one types.
    expect(rules_box(bench)).to_be_focused()
    for place in ("input[type=radio]", ".scrolls", "summary", "pre", "button"):
        page.keyboard.press("Tab")
        expect(bench.locator(f"{place}:focus")).to_have_count(1)


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
    lab.resize(page, 800, 1000)
    lab.change_theme(page, theme)
    lab.keep_screen(page, f"workbench_800_{theme.split()[1]}.png")
    assert lab.too_wide(bench) == []
    assert rules_box(bench).bounding_box()["width"] > 500
    assert lab.axe_violations(page, lab.PANEL) == []
    lab.resize(page, 1280, 1000)


def test_keys_of_two_hundred_letters_wrap_in_a_table_as_wide_as_the_page(page, bench):
    make = "bench._old = {'a_long.' * 28 + f'{k}.weight': (8, 8) for k in range(300)}"
    before = "before = bench._old"
    lab.execute(page, f"{before}\n{make}\nbench.rules = '^a_long -> b'")
    try:
        expect(bench.locator(WORDS)).to_contain_text("300 left over (a_long.a_long.")
        table = bench.locator(".scrolls")
        for width in (1280, 800, 480):
            lab.resize(page, width, 1000)
            assert lab.too_wide(bench.locator(lab.PANEL)) == []
            room = bench.locator(".sls-room").bounding_box()["width"]
            assert table.bounding_box()["width"] > room - 60
            assert table.evaluate("node => node.scrollWidth <= node.clientWidth")
    finally:
        lab.resize(page, 1280, 1000)
        lab.execute(page, "bench._old = before\nbench.rules = 'x -> y'")
