"""The drawing pad as a learner meets it: drawn on, by mouse and by keyboard."""

import json

import pytest
import torch
from playwright.sync_api import expect

from helpers.classroom import runtimes
from tests import browser as lab

SET_UP = """
import tempfile
from pathlib import Path
from helpers.classroom.data.digits import load_digits
from helpers.classroom.explorers import drawing_pad as module
from helpers.classroom.data.networks import load_reference_model
from helpers.onnx_export import export_onnx

model = load_reference_model()
images = load_digits().test_images

def drawing_pad():
    # By the time that the browser asks for the file, a notebook may have removed it.
    with tempfile.TemporaryDirectory() as folder:
        file = export_onnx(model, images[:2], Path(folder) / "digits.onnx")
        return module.drawing_pad(model, file, images[0])
"""
PAD = "pad = drawing_pad()\npad"
# For the test that takes the runtime away, and runs this cell again.
ALONE = "drawing_pad() if module.web_missing() else None"
BOTH = "their logits differ by at most"


@pytest.fixture(scope="module")
def executed(jupyter):
    """The page of a notebook with a pad, and a cell for another."""
    yield jupyter.own("pads.ipynb", [SET_UP, PAD, ALONE])
    jupyter.close("pads.ipynb")


def in_cell(page, number):
    """Return the pad of a cell, on the page."""
    return lab.cell(page, number).locator(".sls-pad")


@pytest.fixture
def pad(executed):
    if missing := runtimes.web_missing():
        pytest.skip(missing)
    pad = in_cell(executed, 1)
    expect(pad.locator(".words")).to_contain_text(BOTH, timeout=60_000)
    return pad


def stroke(pad, points):
    """Draw through points, in shares of the paper, with the mouse."""
    page, paper = pad.page, pad.locator(".paper")
    paper.scroll_into_view_if_needed()
    box = paper.bounding_box()
    places = [
        (box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points
    ]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=8)
    page.mouse.up()


def answered(pad, image):
    """Wait for both answers to another image than this; return image and difference."""
    pad.page.wait_for_function(
        "([pad, before]) => pad.hasAttribute('data-done')"
        " && pad.querySelector('.grid').innerHTML !== before",
        arg=[pad.element_handle(), image],
    )
    expect(pad.locator(".words")).to_contain_text(BOTH)
    for _ in range(20):
        image, gap = lab.execute(
            pad.page, "print(pad.image); print(pad.difference)"
        ).splitlines()
        if gap != "None":  # else the browser's answer is on its way to Python
            break
    return torch.tensor([float(ink) for ink in image.strip("[]").split(",")]), float(gap)


def test_a_stroke_is_answered_by_browser_and_python_alike(pad, model, jupyter):
    before = pad.locator(".grid").inner_html()
    stroke(pad, [(0.5, 0.1), (0.5, 0.9)])
    image, gap = answered(pad, before)
    # An upright bar in the middle, as high as the picture.
    shape = image.reshape(8, 8)
    assert (shape[:, 3:5] > 0.4).all() and (shape[:, :2] == 0).all()
    with torch.no_grad():
        logits = model(image.reshape(1, 1, 8, 8))[0]
    pad.locator("summary").click()
    rows = pad.locator("details tbody tr").all()
    for column in (0, 1):
        shown = [row.locator("td").nth(column).inner_text().lstrip("▸ ") for row in rows]
        found = torch.tensor([float(text) for text in shown])
        assert torch.allclose(found, logits, rtol=0, atol=2e-4)
    pad.locator("summary").click()
    assert 0 <= gap < 1e-4
    # The bars say the same, and mark the winner by a sign, too.
    shares = [f"{share:.0%}".replace("%", " %") for share in logits.softmax(dim=0)]
    assert pad.locator(".bars .share").all_inner_texts() == shares
    expect(pad.locator(".bars .winner th")).to_have_text(f"{logits.argmax()}")
    assert pad.locator(".bars .tick:visible").count() == 10
    assert jupyter.hosts <= {"127.0.0.1", "localhost", None, ""}


def test_the_browser_answers_while_the_stroke_grows_and_python_when_it_ends(pad):
    page, bars, words = pad.page, pad.locator(".bars"), pad.locator(".words")
    pad.get_by_role("button", name="Clear").click()
    expect(words).to_contain_text(BOTH)
    before = lab.execute(page, "print(pad.image)")
    seen = {bars.inner_text()}
    paper = pad.locator(".paper")
    paper.scroll_into_view_if_needed()
    box = paper.bounding_box()
    page.mouse.move(box["x"] + 50, box["y"] + 30)
    page.mouse.down()
    for x, y in ((150, 40), (110, 110), (60, 190), (160, 190)):
        page.mouse.move(box["x"] + x, box["y"] + y, steps=4)
        page.wait_for_timeout(50)
        assert words.inner_text() == ""
        assert bars.locator(".tick:visible").count() == 0
        seen.add(bars.inner_text())
    assert len(seen) >= 3
    assert lab.execute(page, "print(pad.image)") == before
    page.mouse.up()
    expect(words).to_contain_text(BOTH)
    assert lab.execute(page, "print(pad.image)") != before
    lab.keep_screen(page, "drawing_pad.png")


def test_keys_alone_set_and_clear_ink(pad):
    page = pad.page
    pad.get_by_role("button", name="Clear").click()
    pad.locator("[role=gridcell]").first.focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowUp", "ArrowDown"):
        page.keyboard.press(key)
    cell = pad.get_by_label("row 2, column 2: ink 0 %")
    expect(cell).to_be_focused()
    page.keyboard.press("Space")
    here = pad.get_by_label("row 2, column 2: ink 100 %")
    expect(here).to_be_focused()
    expect(pad.locator(".words")).to_contain_text(BOTH)
    page.keyboard.press("Space")
    expect(cell).to_be_focused()
    page.keyboard.press("End")
    expect(pad.get_by_label("row 2, column 8: ink 0 %")).to_be_focused()
    page.keyboard.press("Control+Home")
    expect(pad.get_by_label("row 1, column 1: ink 0 %")).to_be_focused()


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_axe_finds_no_violation(pad, theme):
    lab.change_theme(pad.page, theme)
    assert lab.axe_violations(pad.page, ".sls-pad") == []


def test_neither_the_right_button_nor_a_second_finger_draws(pad):
    page = pad.page
    pad.get_by_role("button", name="Clear").click()
    paper, image = pad.locator(".paper"), "print(pad.image)"
    paper.click(button="right")
    page.keyboard.press("Escape")  # closes JupyterLab's menu
    assert lab.execute(page, image) == f"{[0.0] * 64}\n"
    box, session = paper.bounding_box(), page.context.new_cdp_session(page)

    def touch(kind, *points):
        places = [
            {"id": k, "x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]}
            for k, (x, y) in enumerate(points)
        ]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    touch("touchStart", (0.5, 0.1))
    touch("touchStart", (0.5, 0.1), (0.1, 0.5))
    touch("touchMove", (0.5, 0.9), (0.9, 0.5))
    touch("touchEnd")
    for _ in range(300):  # the last of what was drawn may still be on its way
        shape = torch.tensor(json.loads(lab.execute(page, image))).reshape(8, 8)
        if (shape[:, 3:5] > 0.4).all():
            break
        page.wait_for_timeout(100)
    assert (shape[:, 3:5] > 0.4).all() and (shape[:, :2] == 0).all()


def test_without_the_runtime_python_answers_alone_and_the_pad_says_why(executed):
    lab.execute(executed, "module.web_missing = lambda: 'npm is on holiday'")
    lab.run_cell(executed, 2)
    pad = in_cell(executed, 2)
    words = pad.locator(".words")
    expect(words).to_contain_text("The browser does not answer: npm is on holiday.")
    stroke(pad, [(0.5, 0.1), (0.5, 0.9)])
    expect(words).to_contain_text("PyTorch in Python says 1")
    expect(words).not_to_contain_text(BOTH)
    expect(pad.locator(".key")).to_have_text("▬ PyTorch in Python, when the pen lifts")
    expect(pad.locator(".winner th")).to_have_text("1")


def test_a_kernel_that_is_gone_is_said_and_the_browser_answers_on(executed):
    """The last test: it ends the kernel."""
    pad = in_cell(executed, 1)
    executed.evaluate(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.restartKernel()"
    )
    executed.wait_for_function(lab.READY, timeout=60_000)
    stroke(pad, [(0.2, 0.1), (0.8, 0.1), (0.4, 0.9)])
    words = pad.locator(".words")
    expect(words).to_contain_text("Python does not answer", timeout=3_000)
    expect(words).to_contain_text("ONNX Runtime Web in this browser says")
    expect(words).to_have_role("status")
