"""Static charts in JupyterLab: their paper is the notebook's, in both themes."""

import io

import pytest
from matplotlib.image import imread

from tests import browser as lab

CHART = """
from helpers.classroom import charts
charts.bars("Bytes", ["a"], {"size": [1]})
"""
CORNERS = {"JupyterLab Light": (255, 255, 255), "JupyterLab Dark": (17, 17, 17)}


@pytest.mark.parametrize("theme", CORNERS)
def test_a_charts_paper_is_the_notebooks_whatever_the_system_prefers(jupyter, theme):
    page = jupyter.own("charts.ipynb", [CHART])
    lab.change_theme(page, theme)
    image = lab.cell(page, 0).locator("img")
    for preferred in ("light", "dark"):
        page.emulate_media(color_scheme=preferred)
        page.wait_for_timeout(100)
        corner = imread(io.BytesIO(image.screenshot()))[3, 3, :3]
        assert tuple((255 * corner).round()) == CORNERS[theme]
    lab.keep_screen(page, f"chart_{theme.split()[1].lower()}.png")
    page.emulate_media(color_scheme="light")
    jupyter.close("charts.ipynb")
