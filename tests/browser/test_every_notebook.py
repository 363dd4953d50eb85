"""Every notebook as a learner meets it: JupyterLab, Chromium, mouse and keyboard."""

import json

import pytest
from playwright.sync_api import expect

from tests import browser as lab
from tests.browser import panels, pictures, screens
from tests.browser.labels import MEASURE
from tests.browser.violations import WITHOUT_PANEL, violations
from tests.conftest import SHARED_PAGES
from tests.notebooks.comparing import compared, difference

NAMES = sorted(path.name for path in (lab.ROOT / "notebooks").glob("*.ipynb"))


# Their panels are computed by hand as well.
GO_ON = {f"{name}.ipynb" for name in SHARED_PAGES}


@pytest.fixture(scope="module", params=NAMES)
def opened(request, jupyter):
    """A notebook's name, its page, and all text on it before a cell has run.

    pytest finishes with one notebook before it opens the next, so that few kernels are
    alive at a time.
    """
    page = jupyter.open(request.param)
    # JupyterLab shows widgets only where it trusts a notebook; a fresh copy it does not.
    page.evaluate(
        "() => [...window.jupyterapp.shell.currentWidget.content.model.cells]"
        ".forEach((cell) => { cell.trusted = true; })"
    )
    # What is folded below a heading has to fit as well.
    page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.content.widgets"
        ".forEach((cell) => { if (cell.headingCollapsed) cell.headingCollapsed = false; })"
    )
    # Read in a high window: it takes a third of the steps.
    lab.resize(page, 1280, 2700)
    text = "".join(screen.inner_text() for screen in screens(page))
    lab.resize(page, 1280)
    yield request.param, page, text
    if request.param not in GO_ON:
        jupyter.close(request.param)


@pytest.fixture(scope="module")
def executed(opened, jupyter):
    """A notebook's name, a page on which all its cells have run, and their errors."""
    return opened[0], *jupyter.executed(opened[0])


def test_a_page_that_has_not_been_run_has_no_broken_widgets(opened):
    _, _, text = opened
    assert "Error displaying widget" not in text and "Loading widget" not in text


def test_no_solution_is_seen_before_it_is_opened(opened):
    name, page, _ = opened
    notebook = json.loads((lab.ROOT / "notebooks" / name).read_text(encoding="utf-8"))
    for index, cell in enumerate(notebook["cells"]):
        if "solution" in cell["metadata"].get("tags", []):
            shown = lab.cell(page, index)
            expect(shown.locator(".jp-InputPlaceholder")).to_contain_text("# Solution")
            expect(shown.get_by_text("· Right").locator("visible=true")).to_have_count(0)


def test_all_cells_run_and_nothing_strays(executed):
    name, page, errors = executed
    assert errors == []
    # A picture shows what a learner's window does; a text is read in fewer steps, and what
    # fits into the narrow window fits into the wide one.
    for width in (1280, 800) if lab.KEEPS_SCREENS else (800,):
        height = 900 if lab.KEEPS_SCREENS else 2700
        lab.resize(page, width, height)
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
    lab.resize(page, 1280)


ARITHMETIC = """
import torch
print(torch.get_num_threads(), torch.backends.cpu.get_cpu_capability())
"""


def test_with_plainer_arithmetic_every_output_is_the_one_in_the_file(executed, request):
    """nbval's comparison, of all cells: what this processor can do must not decide."""
    name, page, _ = executed
    found = lab.outputs(page)
    tests = compared(request.session, lab.ROOT / "notebooks" / name)
    assert found.keys() == tests.keys()
    said = {id: difference(test, found[id]) for id, test in tests.items()}
    assert {id: some for id, some in said.items() if some} == {}
    threads, processor = lab.execute(page, ARITHMETIC).split(maxsplit=1)
    assert threads == "1"
    if "ATEN_CPU_CAPABILITY" in lab.PLAINER:
        assert processor.strip() in ("AVX2", "DEFAULT")


CONTROLS = """
import gc, json
from helpers.classroom.panel import Panel
made = [some for some in gc.get_objects() if issubclass(type(some), Panel)]
asking = [panel.title for panel in made if panel.guess]
print(json.dumps([{panel.title: panel.controls for panel in made}, asking]))
"""


def unfold(panel):
    """Open what is folded away among a panel's controls."""
    folds = panel.locator(".sls-controls details")
    folds.evaluate_all("nodes => { for (const node of nodes) node.open = true; }")


def test_every_control_is_found_by_its_role_and_its_label(executed):
    name, page, _ = executed
    specs, asking = json.loads(lab.execute(page, CONTROLS))
    assert specs or name in WITHOUT_PANEL
    found = {panel.get_attribute("aria-label"): panel for panel in panels(page)}
    assert found.keys() == specs.keys()
    for title, controls in specs.items():
        panel = page.get_by_role("region", name=title, exact=True)
        inputs = 0
        unfold(panel)
        for spec in controls:
            label = {"name": spec["label"], "exact": True}
            if spec["kind"] == "choice":
                group = panel.get_by_role("group", **label)
                for option in spec["options"]:
                    expect(
                        group.get_by_role("radio", name=option, exact=True)
                    ).to_have_count(1)
                inputs += len(spec["options"])
            elif spec["kind"] == "ticks":
                group = panel.get_by_role("group", **label)
                for option in spec["options"]:
                    box = group.get_by_role("checkbox", name=option, exact=True)
                    expect(box).to_have_count(1)
                inputs += len(spec["options"])
            elif spec["kind"] == "sliders":
                for option in spec["options"]:
                    name = f"{spec['each']} {option}"
                    one = panel.get_by_role("slider", name=name, exact=True)
                    expect(one).to_have_count(1)
                inputs += len(spec["options"])
            else:
                roles = {"range": "slider", "check": "checkbox", "menu": "combobox"}
                roles["text"] = "textbox"
                role = roles.get(spec["kind"], "slider")
                expect(panel.get_by_role(role, **label)).to_have_count(1)
                inputs += 1
        given = panel.locator(".sls-controls").locator("input, select, textarea")
        expect(given).to_have_count(inputs)
        # The question that comes before the answer has a slider, too.
        guess = panel.locator(".guess").get_by_role("slider", name="My guess")
        asks = 1 if title in asking else 0
        expect(guess).to_have_count(asks)
        expect(panel.locator("input, select, textarea")).to_have_count(inputs + asks)


def test_in_narrow_windows_no_words_are_covered_cut_off_or_small(executed):
    """As they are at first; tests/browser/every_label.py moves the controls, too.

    At 1280 the next test measures them after each move.
    """
    _, page, _ = executed
    wrong = []
    for width in (800, 480):
        lab.resize(page, width)
        wrong += [(width, found) for p in panels(page) if (found := p.evaluate(MEASURE))]
    lab.resize(page, 1280)
    assert wrong == []


def test_every_control_changes_its_picture_by_keyboard(executed):
    name, page, _ = executed
    looked_at = 0
    for panel in panels(page):
        unfold(panel)
        height = panel.evaluate("node => node.offsetHeight")
        # Before the guess some settings show in the words alone.
        asks = panel.get_by_role("button", name="Show the answer").count()
        picture = panel.locator(".results" if asks else ".picture").element_handle()
        # Of small sliders, which share their code, the two at the ends.
        inner = ".sliders .row:not(:first-child, :last-child) input"
        for handle in panel.locator(f"input:not({inner}), select").all():
            kind = handle.get_attribute("type") or "menu"
            if kind == "radio" and handle.is_checked():
                continue
            # Where Python draws, the picture of the move before may still be on its way.
            expect(panel.locator(".picture[aria-busy]")).to_have_count(0)
            before = picture.inner_html()
            handle.focus()
            at_start = handle.evaluate("node => node.value === node.min")
            arrow = "ArrowRight" if at_start else "ArrowLeft"
            if handle.evaluate("node => node.closest('.sliders') !== null"):
                # Its first stop may be what all layers have: that changes nothing.
                arrow = "End"
            keys = {"range": arrow, "menu": "ArrowDown"}
            page.keyboard.press(keys.get(kind, "Space"))
            page.wait_for_function(
                "([picture, before]) => picture.innerHTML !== before", arg=[picture, before]
            )
            assert panel.evaluate(MEASURE) == []
            # What stands below a panel stays where it is.
            assert panel.evaluate("node => node.offsetHeight") == height
            looked_at += 1
    assert looked_at or name in WITHOUT_PANEL


if lab.KEEPS_SCREENS:

    @pytest.mark.parametrize("theme", ["Light", "Dark"])
    def test_panels_and_quizzes_are_there_for_somebodys_eyes(executed, theme):
        name, page, _ = executed
        lab.change_theme(page, f"JupyterLab {theme}")
        assert violations(page, name, theme.lower()) == []
        lab.change_theme(page, "JupyterLab Light")
