"""The error clinic as a learner meets it: pasted, pressed, heard, followed, and small."""

import re

import pytest
from playwright.sync_api import expect

from helpers.classroom.clinic import diagnose
from helpers.classroom.explorers.error_clinic import EMPTY, UNKNOWN
from tests import browser as lab

TRACEBACK = """Traceback (most recent call last):
  File "train.py", line 3, in <module>
RuntimeError: Attempting to deserialize object on a CUDA device but
    torch.cuda.is_available() is False."""
SOURCE = """
from pathlib import Path
from helpers.classroom.explorers.error_clinic import error_clinic

clinic = error_clinic([path.name for path in Path().glob("*.ipynb")])
clinic
"""


@pytest.fixture(scope="module")
def page(jupyter):
    page = jupyter.own("clinic.ipynb", [SOURCE])
    page.set_viewport_size({"width": 1280, "height": 1000})
    yield page
    jupyter.close("clinic.ipynb")


@pytest.fixture
def clinic(page):
    """The clinic with an empty field."""
    clinic = page.locator(".jp-OutputArea-output .widget-gridbox")
    write(page, clinic, "")  # also over what was typed and never asked
    lab.execute(page, "clinic.ask('')")
    expect(clinic.get_by_role("alert")).to_have_text(EMPTY)
    return clinic


def field(clinic):
    return clinic.get_by_role("textbox", name="Error message, or a whole traceback")


def write(page, clinic, text):
    """Put a text in the place of what is in the field, as a person does."""
    field(clinic).focus()
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.press("Backspace")
    page.keyboard.insert_text(text)
    expect(field(clinic)).to_have_value(text)


def test_a_pasted_traceback_is_answered_by_keys_alone(page, clinic):
    [found] = diagnose(TRACEBACK)
    field(clinic).focus()
    page.keyboard.insert_text(TRACEBACK)
    page.keyboard.press("Tab")
    expect(clinic.get_by_role("button", name="What does it mean?")).to_be_focused()
    page.keyboard.press("Enter")
    expect(clinic.get_by_role("alert")).to_contain_text(found.meaning)
    expect(clinic.locator("code")).to_have_text(found.fix)
    for place in ("pre:focus", "a:focus"):  # a long line can be scrolled with keys
        page.keyboard.press("Tab")
        expect(clinic.locator(place)).to_have_count(1)


def test_keys_typed_in_the_field_do_not_reach_jupyterlab(page, clinic):
    count = "() => window.jupyterapp.shell.currentWidget.content.model.cells.length"
    before = page.evaluate(count)
    field(clinic).focus()
    page.keyboard.type("abddjk")
    expect(field(clinic)).to_have_value("abddjk")
    assert page.evaluate(count) == before


def test_an_unknown_message_and_none_at_all_are_told_apart(page, clinic):
    button = clinic.get_by_role("button", name="What does it mean?")
    write(page, clinic, "<img src=x onerror=alert(1)> something else")
    button.click()
    expect(clinic.get_by_role("alert")).to_contain_text(UNKNOWN)
    assert clinic.locator("img").count() == 0
    write(page, clinic, "")
    button.click()
    expect(clinic.get_by_role("alert")).to_have_text(EMPTY)


def test_a_press_does_not_overtake_what_was_typed_key_by_key(page, clinic):
    [found] = diagnose(TRACEBACK)
    # Every text that arrives keeps the kernel longer than typing takes.
    lab.execute(page, "import time\ndef slow(change): time.sleep(3)")
    lab.execute(page, "clinic._text.observe(slow, 'value')")
    field(clinic).press_sequentially(TRACEBACK)
    clinic.get_by_role("button", name="What does it mean?").click()
    expect(clinic.get_by_role("alert")).to_contain_text("It means:")
    expect(clinic.get_by_role("alert")).to_contain_text(found.meaning)
    lab.execute(page, "clinic._text.unobserve(slow, 'value')")


def test_the_link_opens_the_notebook_and_leaves_the_message_where_it_is(page, clinic):
    lab.execute(page, f"clinic.ask({TRACEBACK!r})")
    with page.expect_popup() as opened:
        clinic.get_by_role("link", name="04_devices").click()
    other = opened.value
    expect(other.get_by_role("heading", name=re.compile("04 · Devices"))).to_be_visible()
    other.close()
    expect(field(clinic)).to_have_value(TRACEBACK)


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_it_is_accessible_and_fits_a_narrow_window(page, clinic, theme):
    lab.execute(page, f"clinic.ask({TRACEBACK!r})")
    expect(clinic.get_by_role("alert")).to_contain_text("GPU")
    page.set_viewport_size({"width": 800, "height": 1000})
    lab.change_theme(page, theme)
    lab.keep_screen(page, f"clinic_800_{theme.split()[1]}.png")
    assert field(clinic).bounding_box()["width"] > 500
    assert lab.too_wide(clinic) == []
    assert lab.axe_violations(page, ".jp-OutputArea-output .widget-gridbox") == []
    page.set_viewport_size({"width": 1280, "height": 1000})
