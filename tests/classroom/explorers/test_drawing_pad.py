"""The drawing pad: what it checks in Python, and how it answers in a real browser."""

import json
from urllib.parse import urlsplit

import pytest
import torch
from playwright.sync_api import expect

from helpers.classroom import runtimes
from helpers.classroom.data.digits import load_digits
from helpers.classroom.explorers import drawing_pad as module
from helpers.classroom.explorers.drawing_pad import drawing_pad
from tests import browser as lab

IMAGE = load_digits().test_images[0]
SET_UP = """
import tempfile
from pathlib import Path
from helpers.classroom.data.digits import load_digits
from helpers.classroom.explorers import drawing_pad as module
from helpers.classroom.data.networks import load_reference_model
from helpers.onnx_export import export_onnx

model = load_reference_model()
images = load_digits().test_images
workspace = tempfile.TemporaryDirectory()
file = export_onnx(model, images[:2], Path(workspace.name) / "digits.onnx")
"""
# By the time that the browser asks for the file, a notebook may have removed it.
PAD = "pad = module.drawing_pad(model, file, images[0])\nworkspace.cleanup()\npad"
NOTEBOOKS = {
    "pad": [SET_UP, PAD],
    "alone": [SET_UP, f"module.web_missing = lambda: 'npm is on holiday'\n{PAD}"],
}
BOTH = "ONNX Runtime Web in this browser"


# In Python.


def test_python_answers_what_is_drawn(model, onnx_file):
    pad = drawing_pad(model, onnx_file, IMAGE)
    pad.image = [0.5] * 64
    with torch.no_grad():
        expected = model(torch.full((1, 1, 8, 8), 0.5))[0]
    assert torch.equal(torch.tensor(pad.python["logits"]), expected)


def test_the_difference_is_of_the_same_image_only(model, onnx_file):
    pad = drawing_pad(model, onnx_file, IMAGE)
    assert pad.difference is None
    logits = [value + 0.25 * (k == 3) for k, value in enumerate(pad.python["logits"])]
    pad.browser = {"image": pad.image, "logits": logits}
    assert pad.difference == pytest.approx(0.25)
    pad.image = [0.0] * 64
    assert pad.difference is None


@pytest.mark.parametrize("image", [[0.0] * 63, [0.0] * 63 + [1.5]])
def test_what_is_no_image_is_refused(model, onnx_file, image):
    with pytest.raises(ValueError, match="expected 64 numbers between 0 and 1"):
        drawing_pad(model, onnx_file, torch.tensor(image))


def test_a_file_that_is_not_onnx_is_refused(model, tmp_path):
    (tmp_path / "text.onnx").write_text("text")
    with pytest.raises(ValueError, match=r"text\.onnx"):
        drawing_pad(model, tmp_path / "text.onnx", IMAGE)


def test_without_a_page_there_are_words_and_a_picture(model, onnx_file):
    data, _ = drawing_pad(model, onnx_file, IMAGE)._repr_mimebundle_()
    assert data["text/plain"].startswith("Drawing pad. PyTorch in Python: 1, 100% sure.")
    assert data["image/svg+xml"].startswith("<svg")


def test_the_runtime_is_sent_when_asked_for_and_is_no_part_of_the_saved_state(
    model, onnx_file, monkeypatch, tmp_path
):
    for name in runtimes.WEB_FILES:
        (tmp_path / name).write_bytes(name.encode())
    monkeypatch.setattr(module, "web_folder", lambda: tmp_path)
    monkeypatch.setattr(module, "web_missing", lambda: "")
    pad, sent = drawing_pad(model, onnx_file, IMAGE), []
    monkeypatch.setattr(pad, "send", lambda *message: sent.append(message))
    assert sent == []
    pad._handle_custom_msg({"wanted": "runtime"}, [])
    names = [name.encode() for name in runtimes.WEB_FILES]
    assert sent == [({"missing": ""}, [*names, onnx_file.read_bytes()])]
    state = pad.get_state()
    assert onnx_file.read_bytes() not in state.values() and names[0] not in state.values()


# In the browser.


@pytest.fixture(scope="module")
def executed(tmp_path_factory, chromium):
    """A function from a notebook's name to its page, and the hosts that it asked."""
    folder = tmp_path_factory.mktemp("lab")
    pages = {}
    with lab.lab(folder) as url:

        def open_and_run(name):
            if name in pages:
                return pages[name]
            lab.write_notebook(folder / "notebooks", f"{name}.ipynb", NOTEBOOKS[name])
            page = chromium.new_page(viewport={"width": 1280, "height": 900})
            hosts = set()
            page.on("request", lambda some: hosts.add(urlsplit(some.url).hostname))
            lab.open_notebook(page, url, f"{name}.ipynb")
            assert lab.run_all(page) == []
            lab.show(page, ".sls-pad")
            pages[name] = page, hosts
            return pages[name]

        yield open_and_run
        for page, _ in pages.values():
            lab.close(page)


@pytest.fixture
def pad(executed):
    if missing := runtimes.web_missing():
        pytest.skip(missing)
    page, hosts = executed("pad")
    expect(page.locator(".sls-pad .words")).to_contain_text(BOTH, timeout=60_000)
    return page, hosts


def stroke(page, points):
    """Draw through points, in shares of the canvas, with the mouse."""
    box = page.locator(".sls-pad canvas").bounding_box()
    places = [
        (box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points
    ]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=8)
    page.mouse.up()


def answered(page, image):
    """Wait for both answers to another image than this; return image and difference."""
    page.wait_for_function(
        "before => { const pad = document.querySelector('.sls-pad');"
        " return pad.hasAttribute('data-done')"
        " && pad.querySelector('.grid').innerHTML !== before; }",
        arg=image,
    )
    expect(page.locator(".sls-pad .words")).to_contain_text(BOTH)
    image, gap = lab.execute(page, "print(pad.image); print(pad.difference)").splitlines()
    return torch.tensor([float(ink) for ink in image.strip("[]").split(",")]), float(gap)


def test_a_stroke_is_answered_by_browser_and_python_alike(pad, model):
    page, hosts = pad
    before = page.locator(".sls-pad .grid").inner_html()
    stroke(page, [(0.5, 0.1), (0.5, 0.9)])
    image, gap = answered(page, before)
    # An upright bar in the middle, as high as the picture.
    shape = image.reshape(8, 8)
    assert (shape[:, 3:5] > 0.4).all() and (shape[:, :2] == 0).all()
    with torch.no_grad():
        logits = model(image.reshape(1, 1, 8, 8))[0]
    rows = page.locator(".sls-pad tbody tr").all()
    for column in (0, 1):
        shown = [row.locator("td").nth(column).inner_text().lstrip("▸ ") for row in rows]
        found = torch.tensor([float(text) for text in shown])
        assert torch.allclose(found, logits, rtol=0, atol=2e-4)
    assert 0 <= gap < 1e-4
    assert hosts <= {"127.0.0.1", "localhost", None, ""}


def test_keys_alone_set_and_clear_ink(pad):
    page, _ = pad
    page.locator(".sls-pad").get_by_role("button", name="Clear").click()
    page.locator(".sls-pad [role=gridcell]").first.focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowUp", "ArrowDown"):
        page.keyboard.press(key)
    cell = page.locator(".sls-pad").get_by_label("row 2, column 2: ink 0 %")
    expect(cell).to_be_focused()
    page.keyboard.press("Space")
    here = page.locator(".sls-pad").get_by_label("row 2, column 2: ink 100 %")
    expect(here).to_be_focused()
    expect(page.locator(".sls-pad .words")).to_contain_text(BOTH)
    page.keyboard.press("Space")
    expect(cell).to_be_focused()


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_axe_finds_no_violation(pad, theme):
    page, _ = pad
    lab.change_theme(page, theme)
    assert lab.axe_violations(page, ".sls-pad") == []


def test_without_the_runtime_python_answers_alone_and_the_pad_says_why(executed):
    page, _ = executed("alone")
    words = page.locator(".sls-pad .words")
    expect(words).to_contain_text("The browser does not answer: npm is on holiday.")
    stroke(page, [(0.5, 0.1), (0.5, 0.9)])
    expect(words).to_contain_text("PyTorch in Python: 1")
    expect(words).not_to_contain_text(BOTH)


def test_neither_the_right_button_nor_a_second_finger_draws(pad):
    page, _ = pad
    page.locator(".sls-pad").get_by_role("button", name="Clear").click()
    canvas, image = page.locator(".sls-pad canvas"), "print(pad.image)"
    canvas.click(button="right")
    page.keyboard.press("Escape")  # closes JupyterLab's menu
    assert lab.execute(page, image) == f"{[0.0] * 64}\n"
    box, session = canvas.bounding_box(), page.context.new_cdp_session(page)

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
    shape = torch.tensor(json.loads(lab.execute(page, image))).reshape(8, 8)
    assert (shape[:, 3:5] > 0.4).all() and (shape[:, :2] == 0).all()
