"""A saved notebook is opened again. All others: tests/browser/reopening.py, in CI."""

import nbformat
import pytest
from nbformat.sign import NotebookNotary
from playwright.sync_api import expect

from helpers.classroom.charts import bars
from helpers.classroom.setup.reopening import SVG, VIEW, reopenable
from tests import browser as lab
from tests.browser import next_day

NAMES = ("00_start_here.ipynb", "01_state_dicts.ipynb", "08_quantization.ipynb")

EXPORTED = """async () => {
    const { path } = window.jupyterapp.shell.currentWidget.context;
    const { serviceManager } = window.jupyterapp;
    const base = serviceManager.serverSettings.baseUrl;
    return await (await fetch(`${base}nbconvert/html/${path}`)).text();
}"""


@pytest.mark.parametrize("name", NAMES)
def test_days_later_every_panel_and_quiz_is_there(jupyter, name):
    page, _ = jupyter.executed(name)
    next_day.come_back(page, name, jupyter.notebooks / name)
    # JupyterLab's menu exports with the server's settings.
    html = page.evaluate(EXPORTED)
    assert '<figure class="sls-still"><svg' in html
    assert "application/vnd.jupyter.widget" not in html
    if name == NAMES[-1]:
        next_day.follow_advice(page, jupyter.notebooks / name)
    jupyter.close(name)


OURS = """
from helpers.classroom.charts import bars
from helpers.classroom.panel import Panel, Range

def draw(n):
    return bars("Ours", ["n"], {"": [n]}, text=f"n is {n}")

Panel("Ours", [Range("n", "N", 0, 9, 4)], draw, ahead=True)
"""


def _expect_picture_with_words(cell):
    picture = cell.get_by_role("img", name="Ours: n=4")
    expect(picture).to_be_visible()
    assert picture.evaluate("node => node.naturalWidth") == 600
    expect(cell.locator("figcaption")).to_have_text("n is 4")


def test_what_was_never_saved_gives_way_to_its_picture(jupyter):
    name = "lost.ipynb"
    page = jupyter.own(name, [OURS])
    file = jupyter.notebooks / name
    lab.save(page)
    lab.close_notebook(page)
    # As if it had been saved where nothing of the course is installed.
    notebook = nbformat.read(file, as_version=4)
    del notebook.metadata["widgets"]
    nbformat.write(notebook, file)
    NotebookNotary().sign(notebook)  # the learner's own
    lab.open_next(page, name)
    cell = lab.cell(page, 0)
    _expect_picture_with_words(cell)
    expect(cell).not_to_contain_text(next_day.BROKEN)
    assert page.evaluate(next_day.VIEWS) == []
    jupyter.close(name)


def test_such_a_picture_has_its_words_even_where_nobody_trusts_it(jupyter):
    name = "untrusted.ipynb"
    view = {"model_id": "lost", "version_major": 2, "version_minor": 0}
    picture = bars("Ours", ["n"], {"": [4]}, text="n is 4").svg
    data = {VIEW: view, SVG: picture, "text/plain": "Panel(Ours: n=4): n is 4"}
    output = nbformat.v4.new_output("display_data", data)
    cell = nbformat.v4.new_code_cell(OURS, outputs=[output])
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    saved = nbformat.v4.new_notebook(cells=[cell], metadata=kernel)
    notebook = reopenable(saved, {})
    nbformat.write(nbformat.from_dict(notebook), jupyter.notebooks / name)
    page = jupyter.open(name)
    assert not page.evaluate(
        "window.jupyterapp.shell.currentWidget.content.model.cells.get(0).trusted"
    )
    _expect_picture_with_words(lab.cell(page, 0))
    jupyter.close(name)


def test_what_ipywidgets_gave_up_too_early_is_shown_again(jupyter):
    name = "early.ipynb"
    page = jupyter.own(name, [OURS])
    cell = lab.show(page, lab.PANEL)
    # What its race leaves behind: see reopening.js.
    cell.locator(".jp-OutputArea-output:has(.sls-panel)").last.evaluate(
        "node => { node.textContent = 'Error displaying widget: model not found'; }"
    )
    expect(cell.locator(lab.PANEL)).to_be_visible()
    assert page.evaluate(next_day.VIEWS) != []
    jupyter.close(name)
