"""Setting up: install.py, the requirements in three files, the Makefile."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections import namedtuple
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from helpers.classroom.setup import install
from helpers.classroom.setup import steps as progress
from helpers.classroom.setup.doctor.environments import CONDA_NAMES
from tests import ROOT


@pytest.fixture
def project(tmp_path):
    """A project's folder with the files that decide what is installed."""
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "constraints.txt").write_text("torch==2.13.0\n")
    (tmp_path / install.JUPYTER / "data").mkdir(parents=True)
    (tmp_path / install.JUPYTER / "data" / "some.js").write_text("// some\n")
    return tmp_path


@pytest.fixture
def steps(monkeypatch):
    """Let no command run; the list holds the steps that would have."""
    done = []
    monkeypatch.setattr(install, "run", lambda step, command, root: done.append(step))
    monkeypatch.setattr(install.subprocess, "call", lambda *args, **options: 0)
    return done


@pytest.fixture
def installed(project, steps, monkeypatch):
    """A project whose environment is complete; its Python says it is 3.11.7."""
    monkeypatch.setattr(install, "python_version", lambda python: "3.11.7")
    (project / ".venv").mkdir()
    install.install(project)
    steps.clear()
    return project


# When is something installed?


def test_a_first_run_makes_the_environment_and_installs(project, steps, monkeypatch):
    versions = iter(["", "3.11.7"])  # before and after .venv is made
    monkeypatch.setattr(install, "python_version", lambda python: next(versions))
    install.install(project)
    assert [step.split()[0] for step in steps] == ["Making", "Installing"]


def test_nothing_is_done_while_the_stamp_fits(installed, steps):
    install.install(installed)
    assert steps == []


@pytest.mark.parametrize(
    "name", ["pyproject.toml", "constraints.txt", install.JUPYTER / "data" / "some.js"]
)
def test_a_changed_requirement_is_installed(installed, steps, name):
    with (installed / name).open("a") as file:
        file.write("# changed\n")
    install.install(installed)
    assert [step.split()[0] for step in steps] == ["Installing"]


def test_another_version_of_python_is_installed_for(installed, steps, monkeypatch):
    monkeypatch.setattr(install, "python_version", lambda python: "3.11.8")
    install.install(installed)
    assert [step.split()[0] for step in steps] == ["Installing"]


def test_an_interrupted_run_is_finished_by_the_next(installed, steps, monkeypatch):
    (installed / "constraints.txt").write_text("torch==2.13.1\n")

    def interrupted(step, command, root):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(install, "run", interrupted)
        with pytest.raises(SystemExit, match="the next run finishes it"):
            install.main(installed)
    # Not even the requirements of before count as installed now.
    (installed / "constraints.txt").write_text("torch==2.13.0\n")
    install.main(installed)
    assert [step.split()[0] for step in steps] == ["Installing"]


def test_an_environment_without_pip_gets_it(installed, steps, monkeypatch):
    (installed / ".venv" / "installed.txt").unlink()
    monkeypatch.setattr(install.subprocess, "call", lambda *args, **options: 1)
    install.install(installed)
    assert [step.split()[0] for step in steps] == ["Adding", "Installing"]


def test_a_wish_for_another_python_is_not_passed_over(installed, monkeypatch, capsys):
    monkeypatch.setattr(install.platform, "python_version", lambda: "3.12.1")
    install.install(installed)
    said = capsys.readouterr().out
    assert said == (".venv keeps its Python 3.11.7. To take 3.12.1, delete .venv first.\n")


def test_as_a_file_it_finds_its_project_and_is_silent_when_done(project, tmp_path):
    setup, elsewhere = project / "helpers/classroom/setup", tmp_path / "elsewhere"
    elsewhere.mkdir()
    for module in (install, progress):
        shutil.copy(module.__file__, setup)
    venv = project / ".venv"
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", venv], check=True, timeout=60
    )
    version = install.python_version(install.venv_python(venv))
    (venv / "installed.txt").write_text(install.stamp_for(project.resolve(), version))
    result = subprocess.run(
        [sys.executable, setup / "install.py"],
        cwd=elsewhere,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


# The other runtimes of notebook 07.


@pytest.fixture
def web(installed):
    """A project that names a package of npm's."""
    (installed / install.WEB).parent.mkdir(parents=True)
    (installed / install.WEB).write_text("{}")
    return installed


def test_runtimes_come_from_pip_and_npm_once(web, steps, monkeypatch):
    monkeypatch.setattr(install.shutil, "which", lambda name: "npm")
    install.install_runtimes(web)
    assert steps == [
        "Installing other runtimes for notebook 07",
        "Installing ONNX Runtime Web",
    ]
    assert (web / ".venv" / "web" / "package.json").read_text() == "{}"
    install.install_runtimes(web)
    assert len(steps) == 2


def test_a_new_pin_of_npm_is_installed(web, steps, monkeypatch):
    monkeypatch.setattr(install.shutil, "which", lambda name: "npm")
    install.install_runtimes(web)
    (web / install.WEB).write_text('{"private": true}')
    install.install_runtimes(web)
    assert len(steps) == 4


def test_without_npm_the_rest_is_installed_and_a_line_says_so(
    web, steps, monkeypatch, capsys
):
    monkeypatch.setattr(install.shutil, "which", lambda name: None)
    monkeypatch.delenv("CI", raising=False)
    install.install_runtimes(web)
    assert steps == ["Installing other runtimes for notebook 07"]
    assert "Install Node with npm, then run: make runtimes" in capsys.readouterr().out


def test_in_ci_a_missing_npm_is_a_failure(web, steps, monkeypatch):
    monkeypatch.setattr(install.shutil, "which", lambda name: None)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(SystemExit, match="There is no npm here"):
        install.install_runtimes(web)
    assert not (web / ".venv" / "runtimes.txt").exists()


def test_make_lab_needs_no_npm():
    assert "runtimes" not in make("--dry-run", "lab")


# What can go wrong, each with its cure.


def test_an_old_python_is_told_how_to_name_another(project, steps, monkeypatch):
    monkeypatch.setattr(install.platform, "python_version", lambda: "3.8.18")
    with pytest.raises(SystemExit, match=r"3\.11 or newer; .* is 3\.8\.18") as error:
        install.main(project)
    assert "make lab PYTHON=python3.12" in str(error.value)
    assert not (project / ".venv").exists()


@pytest.mark.parametrize("module", [install, progress], ids=lambda m: m.__name__)
def test_an_old_python_can_read_the_file(module):
    source = Path(module.__file__).read_text(encoding="utf-8")
    tree = ast.parse(source, feature_version=(3, 7))
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else alias.name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert imported <= sys.stdlib_module_names | {"helpers"}


def test_a_python_without_venv_names_the_debian_package(project, steps, monkeypatch):
    monkeypatch.setattr(install.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="apt install python3-venv"):
        install.main(project)
    assert not (project / ".venv").exists()


def test_a_folder_without_permission_is_named(project, steps, monkeypatch):
    def refuse(self, *args, **options):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(SystemExit, match=r"No permission to write .*\.venv\. Move"):
        install.main(project)


def test_a_missing_file_is_named(project, steps, monkeypatch):
    monkeypatch.setattr(install, "python_version", lambda python: "3.11.7")
    (project / "constraints.txt").unlink()
    with pytest.raises(SystemExit, match=r"constraints\.txt: No such file"):
        install.main(project)


def test_a_full_disk_is_named_where_no_file_is(installed, monkeypatch):
    (installed / "constraints.txt").write_text("torch==2.13.1\n")

    def refuse(self, *args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", refuse)
    with pytest.raises(SystemExit) as left:
        install.main(installed)
    assert str(left.value) == ("No space left on device. Fix that, then run this again.")


def test_a_nearly_full_disk_is_a_warning(project, steps, monkeypatch, capsys):
    usage = namedtuple("usage", "total used free")(100e9, 98.5e9, 1.5e9)
    monkeypatch.setattr(install.shutil, "disk_usage", lambda path: usage)
    install.make_venv(project)
    assert capsys.readouterr().out == (
        "Only 1.5 GB are free here; the course needs about 2.5 GB.\n"
    )
    assert len(steps) == 1


def test_the_room_it_asks_for_is_what_its_comment_adds_up_to():
    source = Path(progress.__file__).read_text(encoding="utf-8")
    reason = re.search(r"# Measured: (.*?)\nROOM = ", source, re.DOTALL)[1]
    parts = [float(number) for number in re.findall(r"(\d\.\d) GB", reason)]
    assert len(parts) == 2
    assert sum(parts) * 1e9 <= install.ROOM <= (sum(parts) + 0.5) * 1e9
    cure = progress.explain("No space left on device")
    assert f"about {install.ROOM / 1e9:.1f} GB of room" in cure


def test_a_broken_environment_is_left_to_the_learner(project, steps):
    config = project / ".venv" / "pyvenv.cfg"
    config.parent.mkdir()
    config.write_text("home = gone\n")
    with pytest.raises(SystemExit, match=r"does not run.*Delete the folder \.venv"):
        install.main(project)
    assert config.exists()
    assert steps == []


def test_a_moved_environment_is_left_to_the_learner(installed, steps):
    moved = installed / "moved"
    moved.mkdir()
    for name in ("pyproject.toml", "constraints.txt", ".venv"):
        (installed / name).rename(moved / name)
    with pytest.raises(SystemExit, match="cannot be moved or copied") as error:
        install.main(moved)
    assert f"was made in {installed}," in str(error.value)
    assert (moved / ".venv" / "installed.txt").exists()
    assert steps == []


def test_an_environment_with_an_old_python_is_named(installed, monkeypatch):
    monkeypatch.setattr(install, "python_version", lambda python: "3.10.13")
    with pytest.raises(SystemExit, match=r"has Python 3\.10\.13.*Delete the folder"):
        install.main(installed)


@pytest.mark.parametrize(
    ("written", "cure"),
    [
        (
            "WARNING: Retrying after connection broken by 'NewConnectionError'\n"
            "ERROR: No matching distribution found for torch",
            "Check the network or the proxy",
        ),
        ("ERROR: ResolutionImpossible: for help visit", "constraints.txt and pyproj"),
        ("ERROR: No matching distribution found for torch", "64-bit Python 3.11"),
        ("ERROR: [Errno 28] No space left on device", "The disk is full"),
        ("ERROR: something new", "Fix what it says, then run this again"),
    ],
)
def test_a_failed_step_shows_its_log_and_the_cure(project, capsys, written, cure):
    (project / ".venv").mkdir()
    fail = f"print('Collecting torch'); print({written!r}); raise SystemExit(1)"
    with pytest.raises(SystemExit) as error:
        progress.run("Installing", [sys.executable, "-c", fail], project)
    said = str(error.value)
    assert capsys.readouterr().out == "Installing ...\n"
    assert str(project / ".venv" / "install.log") in said
    assert written.splitlines()[-1] in said
    assert "Collecting torch" not in said
    assert said.splitlines()[-1].startswith(cure) or cure in said.splitlines()[-1]


# How far it is.

# What pip 23 writes, which learns what is needed while it downloads; its last lines too.
PIP_23 = """\
Obtaining file:///course
Requirement already satisfied: packaging>=24 in ./lib (from save-load-ship==0.1.0) (24.2)
Collecting torch<3,>=2.13 (from save-load-ship==0.1.0)
  Downloading torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl (182.4 MB)
Collecting numpy<3,>=2.1 (from save-load-ship==0.1.0)
  Using cached numpy-2.3.5-cp311-cp311-manylinux_2_28_x86_64.whl (16.9 MB)
Collecting typing-extensions>=4.10 (from torch<3,>=2.13->save-load-ship==0.1.0)
  Downloading typing_extensions-4.15.0-py3-none-any.whl (44 kB)
"""
INSTALLING = """\
Building wheels for collected packages: save-load-ship
Installing collected packages: typing-extensions, numpy, torch, save-load-ship
"""
# pip 24 reads first what each package needs, and downloads at the end.
PIP_24 = """\
Collecting torch<3,>=2.13 (from save-load-ship==0.1.0)
  Downloading torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl.metadata (30 kB)
Collecting six>=1.5 (from python-dateutil->save-load-ship==0.1.0)
  Downloading six-1.17.0-py2.py3-none-any.whl.metadata (1.7 kB)
"""


@pytest.mark.parametrize(
    ("log", "installed", "said"),
    [
        ("", 0, ""),
        ("Looking in indexes: somewhere\n", 0, ""),
        (PIP_23[:200], 0, "2 packages looked up"),
        (PIP_23, 0, "3 of about 150 packages, 199 MB; now typing_extensions (44 kB)"),
        (PIP_23 + INSTALLING, 3, "3 of 4 packages installed, 199 MB"),
        (PIP_23 + INSTALLING, 9, "4 of 4 packages installed, 199 MB"),
        (PIP_24, 0, "2 packages looked up"),
        (
            f"{PIP_24}Downloading torch-2.13.0-cp311-none-any.whl (1.2 GB)\n",
            0,
            "0 of about 150 packages, 1200 MB; now torch (1.2 GB)",
        ),
        (
            "  Downloading some_thing-1.0.tar.gz (812 bytes)\n" * 151,
            0,
            "150 of about 151 packages, 0 MB; now some_thing (812 bytes)",
        ),
    ],
)
def test_pips_lines_tell_how_far_it_is(log, installed, said):
    assert progress.how_far(log, 150, installed) == said


@pytest.fixture
def quick(monkeypatch):
    """Look often, so that a step of moments shows what one of minutes does."""
    monkeypatch.setattr(progress, "LOOK", 0.02)
    monkeypatch.setattr(progress, "LINE", 0.02)


SLOW = f"""
import time
for line in {PIP_23.splitlines()!r} + {INSTALLING.splitlines()!r}:
    print(line, flush=True)
    time.sleep(0.1)
"""


def test_where_no_terminal_is_there_are_lines_now_and_then(project, quick, capsys):
    (project / ".venv").mkdir()
    progress.run("Installing", [sys.executable, "-c", SLOW], project)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Installing ..." and 4 <= len(lines) <= 9
    assert "  2 of about 3 packages, 199 MB; now numpy (16.9 MB)" in lines
    assert lines[-1] == "  0 of 4 packages installed, 199 MB"


def test_a_quick_step_is_one_line(project, capsys):
    (project / ".venv").mkdir()
    progress.run("Installing", [sys.executable, "-c", SLOW], project)
    assert capsys.readouterr().out == "Installing ...\n"


def test_on_a_terminal_one_line_is_written_over(project, quick, monkeypatch, capsys):
    (project / ".venv").mkdir()
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    progress.run("Installing", [sys.executable, "-c", SLOW], project)
    head, line, rest = capsys.readouterr().out.split("\n")
    assert (head, rest) == ("Installing ...", "")
    states = line.split("\r")
    assert states[0] == "" and len(states) > 4
    # No end of a longer state before it is left.
    assert all(len(b) >= len(a.rstrip()) for a, b in pairwise(states))


def test_a_real_pip_installs_a_real_package_and_each_is_counted(
    project, quick, monkeypatch, capsys
):
    for name, needs in (("tiny", "Requires-Dist: small\n"), ("small", "")):
        about = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{needs}"
        wheel = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        with zipfile.ZipFile(project / f"{name}-1.0-py3-none-any.whl", "w") as file:
            file.writestr(f"{name}.py", "here = True\n")
            file.writestr(f"{name}-1.0.dist-info/METADATA", about)
            file.writestr(f"{name}-1.0.dist-info/WHEEL", wheel)
            file.writestr(f"{name}-1.0.dist-info/RECORD", "")
    venv.create(project / ".venv", symlinks=os.name == "posix")
    python = install.venv_python(project / ".venv")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--no-index"]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    progress.run("Installing", [*pip, "--find-links", project, "tiny"], project)
    said = capsys.readouterr().out
    assert said.endswith("\r  2 of 2 packages installed, 0 MB\n")
    subprocess.run([python, "-c", "import tiny, small"], check=True)


def test_ctrl_c_ends_the_step(project, monkeypatch):
    (project / ".venv").mkdir()
    started = []

    def interrupted(process, root):
        started.append(process)
        raise KeyboardInterrupt

    monkeypatch.setattr(progress, "watch", interrupted)
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    with pytest.raises(KeyboardInterrupt):
        progress.run("Installing", sleep, project)
    assert started[0].returncode is not None


# The same requirements in three files.


def pyproject():
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)["project"]


def by_name(requirements):
    parsed = [Requirement(requirement) for requirement in requirements]
    return {canonicalize_name(each.name): each.specifier for each in parsed}


def test_environment_yml_has_the_names_and_bounds_of_pyproject():
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    specs = yaml.safe_load(text)["dependencies"]
    *from_pip, course = specs.pop()["pip"]
    assert course == "-e ."
    conda = by_name(specs + from_pip)
    assert "pip" in conda
    del conda["pip"]
    expected = {
        CONDA_NAMES.get(name, name): bounds
        for name, bounds in by_name(pyproject()["dependencies"]).items()
    }
    expected |= by_name([f"python{pyproject()['requires-python']}"])
    assert conda == expected


def test_constraints_pin_every_requirement_inside_its_range():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    # A name and a plain version: no address, no option, no local build such as +cpu.
    assert [pin for pin in pins if not re.fullmatch(r"[\w.-]+==[\w.]+", pin)] == []
    versions = {
        canonicalize_name(name): version
        for name, version in (pin.split("==") for pin in pins)
    }
    assert len(pins) == len(versions), "a package is pinned twice"
    extras = pyproject()["optional-dependencies"].values()
    for requirements in (pyproject()["dependencies"], *extras):
        for name, bounds in by_name(requirements).items():
            assert versions.get(name, "no pin") in bounds, name


# The commands.


def make(*arguments):
    if shutil.which("make") is None:
        pytest.skip("make is not installed; on Windows README.md shows the way without")
    # Without the settings of a make that runs these tests.
    outer = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "ARGS", "PYTHON"}
    result = subprocess.run(
        ["make", *arguments],
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if key not in outer},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_make_alone_shows_the_commands():
    shown = re.findall(r"^make (\w+)", make(), flags=re.MULTILINE)
    assert shown == [
        *("lab", "check", "test", "mutations", "again", "reopening", "labels"),
        *("firefox", "wheel", "peers"),
        *("notebooks", "handouts", "bench", "runtimes"),
    ]
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert f"\nMakefile     {', '.join(shown)}\n" in contributing


PYTEST = "OMP_WAIT_POLICY=PASSIVE .venv/bin/python -m pytest -rs "
EXAMPLES = "--doctest-modules --ignore=helpers/classroom"
CHECK = [
    "python3 helpers/classroom/setup/install.py",
    ".venv/bin/python -m ruff check helpers tests notebooks conftest.py",
    ".venv/bin/python -m ruff format --check helpers tests notebooks conftest.py",
    ".venv/bin/lint-imports --no-cache --no-logo",
    ".venv/bin/python -m mypy",
    ".venv/bin/python -m tests.javascript",
    f'{PYTEST}-n 2 -m "not slow" {EXAMPLES} tests helpers',
]


def commands(target):
    lines = make("--dry-run", target).splitlines()
    lines = [line.partition(" || ")[0] for line in lines]
    return [line for line in lines if not line.startswith(("echo ", "command -v"))]


def test_make_check_and_make_test_leave_nothing_out():
    assert commands("check") == CHECK
    assert commands("test") == [
        CHECK[0],
        f"{CHECK[0]} runtimes",
        *CHECK[1:-1],
        f"{PYTEST}-n 3 --nbval {EXAMPLES} tests notebooks helpers",
    ]
    assert commands("mutations")[1:] == [f"{PYTEST}tests/notebooks/mutations.py "]
    assert commands("again")[1:] == [f"{PYTEST}-n 2 tests/notebooks/again.py "]
    assert commands("reopening")[1:] == [
        f"{PYTEST}tests/browser/reopening.py --durations=0 "
    ]
    assert commands("labels")[1:] == [f"{PYTEST}-n 2 tests/browser/every_label.py "]
    assert commands("firefox")[1:] == [f"{PYTEST}tests/browser/firefox.py "]
    assert commands("wheel")[1:] == [f"{PYTEST}tests/wheel.py"]
    assert commands("peers")[1:] == [f"{PYTEST}tests/peers/side_by_side.py "]


def test_ci_runs_everything_with_ci_set():
    script = ROOT / ".ci" / "run"
    lines = script.read_text(encoding="utf-8").splitlines()
    made = [
        *("make test", "make mutations", "make again", "make reopening"),
        *("make labels", "make firefox", "make wheel", "make peers"),
    ]
    assert {"export CI=true", "export FUZZ_ROUNDS=2000"} < set(lines)
    assert lines[-8:] == made
    if os.name == "posix":
        assert os.access(script, os.X_OK)
