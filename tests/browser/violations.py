"""axe's violations in the panels and quizzes of a notebook."""

import re
from collections.abc import Sequence

from playwright.sync_api import Page, expect

from tests import browser as lab

WITHOUT_PANEL = {"14_cheat_sheet.ipynb"}  # its clinic has browser tests of its own


def violations(page: Page, name: str, theme: str, only: Sequence[str] = ()) -> list:
    """Return what axe finds in a notebook's panels and explained quizzes.

    Args:
        page: shows the notebook, of which all cells have run.
        name: of the notebook.
        theme: "light" or "dark", for the names of screenshots.
        only: ids of rules; all where there are none.
    """
    found = []
    for what in (lab.PANEL, lab.QUIZ):
        indexes = lab.cells(page, what)
        assert indexes or name in WITHOUT_PANEL, f"there is no {what}"
        for index in indexes:
            cell = lab.cell(page, index)
            if what == lab.QUIZ:
                for button in cell.get_by_role("button", name=re.compile(r"^\w\)")).all():
                    button.click()
                expect(cell.locator(f"{lab.QUIZ} .words:visible").first).to_be_visible()
            cell.locator(what).first.scroll_into_view_if_needed()
            lab.keep_screen(page, f"{name[:2]}_{theme}_{index}.png")
            context = f".jp-Notebook [data-windowed-list-index='{index}'] {what}"
            for violation in lab.axe_violations(page, context, only):
                found.append((index, *violation))
    return found
