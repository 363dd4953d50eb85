"""axe finds nothing in the pages that several tests share, in both themes.

All other notebooks: tests/browser/reopening.py, in CI. All panels in the dark theme's
colours: every_label.py. The clinic: test_error_clinic.py.
"""

import pytest

from tests import browser as lab
from tests.browser.violations import violations
from tests.conftest import SHARED_PAGES


@pytest.mark.parametrize("stem", SHARED_PAGES)
def test_axe_finds_no_violation_in_a_panel_or_a_quiz(jupyter, stem):
    page, _ = jupyter.executed(f"{stem}.ipynb")
    assert violations(page, stem, "light") == []
    lab.change_theme(page, "JupyterLab Dark")
    # A theme changes colours; all else has been looked at in the light one.
    assert violations(page, stem, "dark", ["color-contrast"]) == []
    lab.change_theme(page, "JupyterLab Light")
