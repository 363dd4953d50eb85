"""Run by `make firefox`: every panel, quiz and pad of the course once more, in Firefox.

Chromium runs all browser tests; here a smoke pass is enough. Firefox is driven through
WebDriver BiDi by puppeteer-core, which npm fetches into .venv/firefox.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT
from tests import browser as lab

HERE = Path(__file__).parent
FOLDER = Path(sys.prefix, "firefox")
NAMES = sorted(path.name for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
KINDS = ("panels", "keys", "drags", "quizzes", "pads")
LIMIT = 900  # seconds


def puppeteer() -> Path:
    """Return the folder that holds puppeteer-core, as package.json wants it."""
    wanted = (HERE / "package.json").read_bytes()
    if not (FOLDER / "package.json").exists() or (
        (FOLDER / "package.json").read_bytes() != wanted
    ):
        quiet = ["--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
        FOLDER.mkdir(exist_ok=True)
        shutil.copy(HERE / "package.json", FOLDER / "wanted.json")
        (FOLDER / "wanted.json").rename(FOLDER / "package.json")
        subprocess.run(["npm", "install", *quiet, "--prefix", FOLDER], check=True)
    return FOLDER


@pytest.fixture(scope="module")
def passes(tmp_path_factory):
    """The name of each notebook -> what was met in it, and what failed."""
    firefox = shutil.which("firefox-esr") or shutil.which("firefox")
    missing = [name for name in ("node", "npm") if not shutil.which(name)]
    missing += [] if firefox else ["Firefox"]
    if missing:
        pytest.skip(f"{', '.join(missing)}: not here; only Chromium is tried")
    says = {"ready": lab.READY, "finished": lab.FINISHED}
    says |= {"drawn": lab.DRAWN, "errors": lab.ERRORS}
    with lab.lab(tmp_path_factory.mktemp("lab")) as url:
        plan = json.dumps({"url": url, "notebooks": NAMES, **says})
        command = ["node", HERE / "firefox.mjs", puppeteer(), firefox, plan]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=LIMIT)
    assert done.returncode == 0, done.stderr
    return {found.pop("name"): found for found in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("name", NAMES)
def test_every_panel_quiz_and_pad_answers_in_firefox(passes, name):
    assert passes[name]["failed"] == []


def test_the_pass_meets_what_there_is(passes):
    met = {kind: sum(found[kind] for found in passes.values()) for kind in KINDS}
    print(met)
    assert met["pads"] == 1
    assert met["quizzes"] == sum(
        (ROOT / "notebooks" / name).read_text().count("exercises.quiz(") for name in NAMES
    )
    assert min(met["panels"], met["keys"], met["drags"]) >= 12
