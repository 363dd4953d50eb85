"""Run by `make engines`: every panel of the course once more, in Firefox.

Firefox is driven through WebDriver BiDi by puppeteer-core, which npm fetches into
.venv/javascript. Chromium runs all browser tests; here a smoke pass is enough.
"""

import json
import shutil
import subprocess

import pytest

from tests import ROOT
from tests import browser as lab
from tests.javascript.__main__ import FOLDER, install

NAMES = sorted(path.name for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
SCRIPT = ROOT / "tests" / "browser" / "firefox.mjs"
LIMIT = 900  # seconds


@pytest.fixture(scope="module")
def passes(tmp_path_factory):
    """The name of each notebook -> what was met in it, and what failed."""
    firefox = shutil.which("firefox-esr") or shutil.which("firefox")
    node = shutil.which("node")
    if not (firefox and node and install(node)):
        pytest.skip("Firefox, Node or npm is not here, so only Chromium is tried")
    waits = {"ready": lab.READY, "finished": lab.FINISHED}
    waits |= {"drawn": lab.DRAWN, "errors": lab.ERRORS}
    with lab.lab(tmp_path_factory.mktemp("lab")) as url:
        plan = json.dumps({"url": url, "notebooks": NAMES, **waits})
        done = subprocess.run(
            [node, SCRIPT, FOLDER, firefox, plan],
            capture_output=True,
            encoding="utf-8",
            timeout=LIMIT,
        )
    assert done.returncode == 0, done.stderr
    return {found.pop("name"): found for found in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("name", NAMES)
def test_every_panel_draws_and_answers_in_firefox(passes, name):
    assert passes[name]["failed"] == []


def test_the_pass_has_met_what_there_is(passes):
    total = {k: sum(some[k] for some in passes.values()) for k in passes[NAMES[0]] if k != "failed"}
    print(total)
    assert min(total.values()) > 0
