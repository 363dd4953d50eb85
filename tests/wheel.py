"""The wheel: all of it is there, and where notebooks are needed, a sentence says so.

`make wheel` and `.ci/run` run this; the other tests leave it out.
"""

import json
import os
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from helpers.classroom.setup.install import venv_python
from tests import ROOT


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of what the wheel is made of, and nothing else."""
    folder = tmp_path_factory.mktemp("source")
    left = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
    shutil.copytree(ROOT / "helpers", folder / "helpers", ignore=left)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    """The project's wheel."""
    out = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", out, source]
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["build-system"]
    assert needed["requires"] == ["hatchling>=1.27"]
    if _has("hatchling", 1):  # or else pip fetches it
        build.insert(4, "--no-build-isolation")
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    [path] = out.iterdir()
    return path


def _has(package, major):
    try:
        return int(metadata.version(package).split(".")[0]) >= major
    except metadata.PackageNotFoundError:
        return False


@pytest.fixture(scope="module")
def ask(wheel, tmp_path_factory):
    """Return a function that runs Python where the wheel is installed."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder / "venv", symlinks=os.name == "posix")
    python = venv_python(folder / "venv")
    where = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = Path(subprocess.check_output(where, text=True).strip())
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps"]
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    subprocess.run([*pip, "--no-index", wheel], check=True, env=clean, capture_output=True)
    # The packages of this environment, so that nothing has to be fetched. What it has of
    # the course, the editable installation, is a .pth there, and one .pth names no other.
    (packages / "others.pth").write_text(str(Path(pytest.__file__).parents[1]))

    def run(*arguments):
        return subprocess.run(
            [python, *arguments], cwd=folder, env=clean, capture_output=True, text=True
        )

    done = run("-c", "import helpers; print(helpers.__file__)")
    assert Path(done.stdout.strip()) == packages / "helpers" / "__init__.py", done.stderr
    return run


def test_every_file_of_helpers_is_in_it(source, wheel):
    files = [path for path in (source / "helpers").rglob("*") if path.is_file()]
    packed = {n for n in zipfile.ZipFile(wheel).namelist() if n.startswith("helpers/")}
    assert packed == {path.relative_to(source).as_posix() for path in files}
    kinds = {Path(name).suffix for name in packed}
    assert kinds == {".py", ".js", ".mjs", ".css", ".json", ".safetensors", ".pt"}


def test_no_index_takes_it(wheel):
    with zipfile.ZipFile(wheel) as archive:
        [name] = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
        lines = archive.read(name).decode().splitlines()
    assert "Classifier: Private :: Do Not Upload" in lines


def test_both_files_of_weights_load(ask):
    code = """
import torch
from helpers.classroom.data.digits import load_digits
from helpers.classroom.data.networks import load_reference_model
from helpers.classroom.data.small_models import load_small_models
model, digits = load_reference_model(), load_digits()
right = model(digits.test_images).argmax(1) == digits.test_labels
print(int(right.sum()), len(right), sorted(load_small_models()))
"""
    done = ask("-c", code)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split()[1] == "719"


def test_the_doctors_only_problem_is_that_notebooks_are_missing(ask):
    done = ask("-m", "helpers", "doctor")
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    wrong = [k for k, line in enumerate(lines) if line.startswith("problem")]
    said = {lines[k].split("  ")[1].strip(): lines[k + 1].strip() for k in wrong}
    # The extensions lie in the other environment's share, which a .pth does not reach; and
    # how much is free is another matter.
    for other in ("Widget extensions", "Free memory", "Free disk"):
        said.pop(other, None)
    assert said == {
        "Course's folder": "Get the course's whole folder, and run there: make lab"
    }
    assert "git " not in done.stdout and "-e ." not in done.stdout


@pytest.mark.parametrize("door", ["lab", "handouts"])
def test_what_needs_the_notebooks_says_so_in_one_sentence(ask, door):
    done = ask("-m", "helpers", door)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "This copy of the course has its helpers but no notebooks; get the course's whole "
        f"folder, and run there: make {door}\n"
    )


def test_its_data_is_found_where_it_is_installed(ask):
    code = """
import json
from helpers.classroom.faults import old_files
from helpers.classroom.handouts import command
from helpers.classroom.panel import Panel
from helpers.classroom.setup.doctor import environments
print(json.dumps([
    all(old_files.old_file(name).is_file() for name in old_files.WHAT_THEY_ARE),
    command.PACKAGE.is_file(),
    len(str(Panel._esm)) > 1000 and len(str(Panel._css)) > 1000,
    environments.jupyter_files_are_found(environments.find_environments()),
]))
"""
    done = ask("-c", code)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == [True] * 4
