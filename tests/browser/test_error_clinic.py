"""The error clinic as a learner meets it: pasted, pressed, heard, followed, and small."""

import re

import pytest
from playwright.sync_api import expect

from helpers.classroom.clinic import diagnose
from helpers.classroom.explorers.error_clinic import ASK, EMPTY, READY, UNKNOWN
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
    lab.resize(page, 1280, 1000)
    yield page
    jupyter.close("clinic.ipynb")


@pytest.fixture
def clinic(page):
    """The clinic with an empty field."""
    clinic = page.locator(lab.PANEL)
    # What the test before has typed may still be on its way to Python.
    expect(clinic.locator("[aria-busy]")).to_have_count(0)
    lab.execute(page, "clinic.ask('')")
    expect(field(clinic)).to_have_value("")
    expect(heading(clinic)).to_have_text(EMPTY)
    return clinic


def field(clinic):
    return clinic.get_by_role("textbox", name="Error message, or a whole traceback")


def heading(clinic):
    return clinic.locator(".result span")


def answers(clinic):
    return clinic.locator(".items")


def ask(clinic):
    return clinic.get_by_role("button", name=ASK)


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
    expect(ask(clinic)).to_be_focused()
    page.keyboard.press("Enter")
    expect(heading(clinic)).to_have_text("It means:")
    expect(answers(clinic)).to_contain_text(found.meaning)
    expect(answers(clinic).locator("pre")).to_have_text(found.fix)
    # A long line can be scrolled with keys.
    for place in (".items pre:focus", ".items button:focus", ".items a:focus"):
        page.keyboard.press("Tab")
        expect(clinic.locator(place)).to_have_count(1)
    assert answers(clinic).get_attribute("aria-live") == "polite"


def test_keys_typed_in_the_field_do_not_reach_jupyterlab(page, clinic):
    count = "() => window.jupyterapp.shell.currentWidget.content.model.cells.length"
    before = page.evaluate(count)
    field(clinic).focus()
    page.keyboard.type("abddjk")
    expect(field(clinic)).to_have_value("abddjk")
    assert page.evaluate(count) == before


def test_an_unknown_message_and_none_at_all_are_told_apart(page, clinic):
    write(page, clinic, "<img src=x onerror=alert(1)> something else")
    ask(clinic).click()
    expect(heading(clinic)).to_have_text(UNKNOWN)
    expect(clinic.get_by_role("link", name="All messages")).to_be_visible()
    write(page, clinic, "<b>some</b> keys are missing in the state_dict")
    ask(clinic).click()
    expect(heading(clinic)).to_contain_text(f"{UNKNOWN} The nearest that it knows is:")
    assert clinic.locator("img, b").count() == 0
    write(page, clinic, "")
    ask(clinic).click()
    expect(heading(clinic)).to_have_text(EMPTY)


def test_a_press_while_the_kernel_is_busy_is_for_the_text_that_was_typed(page, clinic):
    [found] = diagnose(TRACEBACK)
    try:
        lab.keep_busy(page, 120)
        field(clinic).press_sequentially(TRACEBACK)
        ask(clinic).click()
        # JupyterLab may hand it over at once, beside what runs, or when that is done.
        said = clinic.locator("[role=status]", has_text="Python").or_(heading(clinic))
        expect(said.filter(has_text=re.compile("Python|It means"))).to_have_count(1)
        assert lab.is_asleep(page)
    finally:
        lab.wake(page)
    expect(heading(clinic)).to_have_text("It means:")
    expect(answers(clinic)).to_contain_text(found.meaning)
    expect(clinic.locator("[role=status]")).to_have_text("")
    assert lab.execute(page, "print(clinic._asked)").strip() == TRACEBACK


def test_a_press_does_not_overtake_what_was_typed_key_by_key(page, clinic):
    [found] = diagnose(TRACEBACK)
    # Every text that arrives keeps the kernel longer than typing takes.
    lab.execute(page, "import time\ndef slow(change): time.sleep(3)")
    lab.execute(page, "clinic.panel.observe(slow, 'values')")
    field(clinic).press_sequentially(TRACEBACK)
    ask(clinic).click()
    expect(heading(clinic)).to_have_text("It means:")
    expect(answers(clinic)).to_contain_text(found.meaning)
    lab.execute(page, "clinic.panel.unobserve(slow, 'values')")


def test_an_answer_goes_when_the_text_changes(page, clinic):
    write(page, clinic, TRACEBACK)
    ask(clinic).click()
    expect(answers(clinic).locator("li")).to_have_count(1)
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("End")
    page.keyboard.type("!")
    expect(heading(clinic)).to_have_text(READY)
    expect(answers(clinic).locator("li")).to_have_count(0)


def test_the_link_opens_the_notebook_and_leaves_the_message_where_it_is(page, clinic):
    lab.execute(page, f"clinic.ask({TRACEBACK!r})")
    clinic.get_by_role("link", name="04_devices").click()
    opened = page.get_by_role("heading", name=re.compile("04 · Devices"))
    expect(opened).to_be_visible()
    lab.close_notebook(page)
    expect(field(clinic)).to_have_value(TRACEBACK)
    expect(answers(clinic).locator("a")).to_have_css("text-decoration-line", "underline")


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_it_is_accessible_and_fits_a_narrow_window(page, clinic, theme):
    lab.execute(page, f"clinic.ask({TRACEBACK!r})")
    expect(answers(clinic)).to_contain_text("GPU")
    lab.resize(page, 800, 1000)
    lab.change_theme(page, theme)
    lab.keep_screen(page, f"clinic_800_{theme.split()[1]}.png")
    assert field(clinic).bounding_box()["width"] > 500
    assert lab.too_wide(clinic) == []
    assert lab.axe_violations(page, lab.PANEL) == []
    # No line of code is broken: a long one scrolls.
    lab.resize(page, 480, 1000)
    code = answers(clinic).locator("pre")
    assert code.evaluate("node => node.scrollWidth > node.clientWidth")
    assert code.bounding_box()["height"] < 50
    lab.resize(page, 1280, 1000)


# The last one, since it takes the kernel away.


def test_after_a_restart_a_press_says_within_a_second_that_python_is_gone(page, clinic):
    write(page, clinic, TRACEBACK)
    expect(heading(clinic)).to_have_text(READY)
    context = "window.jupyterapp.shell.currentWidget.sessionContext"
    page.evaluate(f"() => {context}.session.kernel.restart()")
    page.wait_for_function(lab.READY)
    milliseconds = ask(clinic).evaluate(
        """async (button) => {
            const status = button.closest(".sls-panel").querySelector("[role=status]");
            const start = performance.now();
            button.click();
            while (!status.textContent && performance.now() < start + 10_000) {
                await new Promise((later) => setTimeout(later, 10));
            }
            return performance.now() - start;
        }"""
    )
    expect(clinic.get_by_role("status")).to_contain_text("Python does not answer. Run")
    assert milliseconds < 1000
