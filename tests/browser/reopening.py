"""Every notebook comes back the next day, where nothing but environment.yml is installed.

A plain `jupyter lab`, Jupyter Notebook and `jupyter nbconvert`, as with conda, on Binder or
on a JupyterHub. `make reopening` and `.ci/run` run this; the other tests leave it out.
"""

import os
import shutil
import subprocess
import sys
import venv

import pytest
import yaml

from helpers.classroom.setup.doctor.environments import CONDA_NAMES
from helpers.classroom.setup.install import pip_install, venv_python
from tests import ROOT
from tests import browser as lab
from tests.browser import next_day
from tests.browser.conftest import SIZE, Lab
from tests.browser.violations import violations

NAMES = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
FIRST = NAMES[0]
NOBODY_IS_HERE = ("PYTHONPATH", "JUPYTER_PATH", "JUPYTER_CONFIG_PATH")
PLAIN = {**os.environ, **dict.fromkeys(NOBODY_IS_HERE, "")}
AS_ROOT = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []


def pip(python, *what):
    _, _, _, *install, _, _ = pip_install(python, "")
    # This pip serves, so that the other environment needs none.
    command = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        *install,
        "--no-compile",
        *what,
    ]
    subprocess.run(command, cwd=ROOT, env=PLAIN, check=True)


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The Python of an environment with what environment.yml names, under pip's names."""
    specs = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))["dependencies"]
    *from_conda, from_pip = [spec for spec in specs if spec != "pip"]
    for name, other in CONDA_NAMES.items():
        from_conda = [spec.replace(other, name) for spec in from_conda]
    wanted = [spec for spec in from_conda if not spec.startswith("python>")]
    folder = tmp_path_factory.mktemp("alone")
    venv.create(folder, symlinks=os.name == "posix")
    python = venv_python(folder)
    pip(python, *wanted, *(" ".join(from_pip["pip"]).split()))
    return python


@pytest.fixture(scope="module")
def begun():
    """The names of the notebooks that run, or have run."""
    return set()


@pytest.fixture(scope="module")
def plain(python, chromium, tmp_path_factory):
    """A plain `jupyter lab` in that environment, started outside of the course's folder."""
    folder = tmp_path_factory.mktemp("lab")
    command = [python.with_name("jupyter-lab"), *AS_ROOT]
    with lab.lab(folder, PLAIN, command) as url:
        yield Lab(chromium, url, folder / "notebooks")


def test_the_doctor_finds_the_courses_settings(python):
    command = [python, "-m", "helpers", "doctor"]
    said = subprocess.run(command, env=PLAIN, cwd=ROOT, capture_output=True, text=True)
    assert "OK       Reopening" in said.stdout


@pytest.mark.parametrize("name", NAMES)
def test_the_next_day_every_panel_and_quiz_is_there(plain, begun, name):
    # The next one runs in another page while this one is looked at.
    for some in NAMES[NAMES.index(name) :][:2]:
        if some not in begun:
            begun.add(some)
            lab.start_all(plain.open(some))
    page = plain.open(name)
    assert lab.finish_all(page) == []
    next_day.come_back(page, name, plain.notebooks / name)
    if name.startswith("14"):
        next_day.follow_advice(page, plain.notebooks / name)
    assert violations(page, name, "light") == []
    plain.close(name)


def test_pages_that_nbconvert_makes_show_pictures_without_a_network(
    python, plain, chromium, tmp_path
):
    files = [plain.notebooks / name for name in NAMES]
    command = [python, "-m", "nbconvert", "--to", "html", "--output-dir", tmp_path, *files]
    subprocess.run(command, env=PLAIN, check=True, capture_output=True)
    expected = {file: next_day.pictures_in(file) for file in files}
    assert sum(expected.values()) > len(files)
    with chromium.new_context(offline=True) as context:
        page = context.new_page()
        for file in files:
            page.goto((tmp_path / file.name).with_suffix(".html").as_uri())
            shown = page.locator("figure svg").evaluate_all(
                "all => all.filter((some) => some.getBoundingClientRect().height > 9)"
                ".length"
            )
            assert shown == expected[file], file.name


def test_jupyter_notebook_does_the_same(python, plain, chromium, tmp_path):
    pip(python, "notebook>=7,<8")
    command = [python.with_name("jupyter-notebook"), *AS_ROOT]
    command.append("--JupyterNotebookApp.expose_app_in_browser=True")
    with lab.lab(tmp_path, PLAIN, command) as url:
        base, _, token = url.partition("tree?")
        file = tmp_path / "notebooks" / FIRST
        page = chromium.new_page(viewport=SIZE)

        def open_it():
            page.goto(f"{base}notebooks/notebooks/{FIRST}?{token}")
            page.wait_for_function(lab.READY, timeout=60_000, polling=100)

        # What JupyterLab has saved, and then what Notebook itself saves.
        shutil.copy(plain.notebooks / FIRST, file)
        open_it()
        before = next_day.views(page)
        assert before
        next_day.answers(page, file)
        assert lab.run_all(page) == []
        for _ in range(2):
            lab.save(page)
            page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
            open_it()
            assert next_day.views(page) == before
        next_day.answers(page, file)
        page.close()
