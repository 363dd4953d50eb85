"""Where this Python and its server live, who started a kernel, what JupyterLab finds."""

import os
import re
import shutil
import subprocess
import sys
import types
import venv
from importlib import import_module, metadata
from pathlib import Path

import psutil
import pytest

from helpers.classroom.setup import lab
from helpers.classroom.setup.doctor import checks, environments
from helpers.classroom.setup.doctor.environments import (
    FOLDER,
    JUPYTER_FILES,
    Environments,
    config_folders,
    data_folders,
    find_environments,
    how_to_install,
    how_to_reinstall,
    jupyter_files_are_found,
    missing_extensions,
)

# ---- In words


def test_outside_a_notebook_there_is_nothing_to_compare():
    home = Environments(str(FOLDER / ".venv"))
    assert (home.agree, str(home)) == (True, ".venv, not in a notebook")


def test_a_starter_that_is_not_python_has_no_environment_to_compare():
    home = Environments(str(Path.home() / "envs" / "a"), None, "code")
    assert (home.agree, str(home)) == (True, "~/envs/a, started by code")


def test_one_environment_spelled_in_two_ways_is_one(tmp_path):
    (tmp_path / "env").mkdir()
    home = Environments(str(tmp_path / "env"), str(tmp_path / "env" / ".." / "env"))
    assert home.agree
    assert str(home) == f"both in {tmp_path / 'env'}"


def test_two_environments_are_both_named(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    home = Environments(str(tmp_path / "a"), str(tmp_path / "b"))
    assert not home.agree
    assert str(home) == (
        f"this notebook runs in {tmp_path / 'a'}, JupyterLab in {tmp_path / 'b'}"
    )


# ---- Who started this kernel


def test_outside_a_notebook_nobody_is_asked(monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)  # importing it: ImportError
    assert find_environments() == Environments(sys.prefix)


def test_the_server_is_the_first_ancestor_that_is_not_a_kernel(monkeypatch):
    # On Windows the python.exe of a virtual environment starts another Python.
    launcher = ["gone/python.exe", "-m", "ipykernel_launcher", "-f", "connection.json"]
    pretend_kernel(monkeypatch, launcher, [sys.executable, "-m", "jupyterlab"])
    home = find_environments()
    assert (home.kernel, home.server) == (sys.prefix, sys.prefix)


def test_a_server_started_as_plain_python_is_looked_up_on_its_own_path(monkeypatch):
    pretend_kernel(monkeypatch, [Path(sys.executable).name, "-m", "jupyterlab"])
    assert find_environments().server == sys.prefix


def test_a_server_started_by_a_relative_path_is_looked_up_from_its_own_folder(
    monkeypatch,
):
    relative = Path(sys.executable).relative_to(sys.prefix)
    pretend_kernel(monkeypatch, [str(relative), "-m", "jupyterlab"], cwd=sys.prefix)
    assert find_environments().server == sys.prefix


def test_a_program_that_is_not_python_is_named_and_not_run(monkeypatch):
    pretend_kernel(monkeypatch, ["/opt/editor/code", "--type=utility"])
    assert find_environments() == Environments(sys.prefix, None, "code")


def test_a_server_that_does_not_answer_is_only_named(monkeypatch):
    def too_slow(command, **options):
        raise subprocess.TimeoutExpired(command, options["timeout"])

    pretend_kernel(monkeypatch, [sys.executable, "-m", "jupyterlab"])
    monkeypatch.setattr(subprocess, "run", too_slow)
    home = find_environments()
    assert (home.server, home.starter) == (None, "an unknown program")


def test_a_process_that_may_not_be_looked_at_is_an_unknown_program(monkeypatch):
    pretend_kernel(monkeypatch)

    def denied():
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "Process", denied)
    assert find_environments() == Environments(sys.prefix, None, "an unknown program")


def pretend_kernel(monkeypatch, *command_lines, cwd="."):
    """Let this process look like a kernel whose ancestors have these command lines."""

    class Process:
        def __init__(self, depth=-1):
            self.depth = depth

        def parent(self):
            return Process(self.depth + 1)

        def cmdline(self):
            return command_lines[self.depth]

        def cwd(self):
            return cwd

        def environ(self):
            return {"PATH": str(Path(sys.executable).parent)}

    app = types.SimpleNamespace(initialized=lambda: True)
    kernelapp = types.SimpleNamespace(IPKernelApp=app)
    monkeypatch.setitem(sys.modules, "ipykernel.kernelapp", kernelapp)
    monkeypatch.setattr(psutil, "Process", Process)


# ---- What to do about it


@pytest.fixture
def conda(monkeypatch, tmp_path):
    """Let this Python look as if conda had made its environment."""
    (tmp_path / "conda-meta").mkdir()
    monkeypatch.setattr(sys, "prefix", str(tmp_path))


@pytest.mark.parametrize(
    ("python", "written"),
    [
        ("course/.venv/bin/python", "{own}"),
        ("elsewhere/bin/python", "{tmp}/elsewhere/bin/python"),
        ("with space/bin/python", '"{tmp}/with space/bin/python"'),
    ],
)
def test_an_environment_of_pip_gets_the_tested_versions_by_its_own_python(
    monkeypatch, tmp_path, python, written
):
    # Nobody has to activate .venv: a plain "python" may be another one, or none.
    monkeypatch.setattr(environments, "FOLDER", tmp_path / "course")
    monkeypatch.setattr(sys, "executable", str(tmp_path / python))
    monkeypatch.setattr(sys, "prefix", str((tmp_path / python).parents[1]))
    own = Path(".venv", "bin", "python")
    written = written.format(own=own, tmp=tmp_path.as_posix()).replace("/", os.sep)
    assert how_to_install() == (
        f"In the course's folder: {written} -m pip install -c constraints.txt -e ."
    )
    assert how_to_reinstall("torch", "anywidget") == (
        f"{written} -m pip install --no-deps --force-reinstall torch anywidget"
    )


def test_another_python_is_led_to_the_one_that_the_course_has(monkeypatch, tmp_path):
    venv.create(tmp_path / ".venv", symlinks=os.name == "posix")
    monkeypatch.setattr(environments, "FOLDER", tmp_path)
    own = Path(
        ".venv", *(("Scripts", "python.exe") if os.name == "nt" else ("bin", "python"))
    )
    cure = f"The course is installed in .venv. Use its Python: {own}"
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert how_to_install() == how_to_reinstall("torch") == cure
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    assert " -m pip install " in how_to_install()


def test_in_an_environment_of_conda_no_cure_is_pips(conda):
    named = re.search(r"(?m)^name: (\S+)$", (FOLDER / "environment.yml").read_text("utf-8"))
    assert how_to_install() == (
        "In the course's folder: conda env update -f environment.yml, "
        f"then conda activate {named[1]}"
    )
    assert how_to_reinstall("torch", "anywidget") == (
        "conda install --force-reinstall pytorch-cpu anywidget"
    )


def test_the_doctor_and_the_start_name_condas_cure_there(conda, monkeypatch):
    def load(name):
        if name == "broken":
            raise ImportError("a library is missing")
        return import_module(name)

    def version_of(name):
        if name == "gone":
            raise metadata.PackageNotFoundError(name)
        return "1.0"

    findings = [
        *checks.check_packages(["gone", "old>=2", "broken"], version_of, load),
        checks.check_extensions(["anywidget"]),
        checks.check_python((3, 10, 1)),
    ]
    assert {finding.status for finding in findings} == {"problem"}
    for finding in findings:
        assert finding.cure.rpartition(": ")[2].startswith("conda "), finding
    monkeypatch.setattr(lab, "find_spec", lambda name: None)
    for leave in (lab.require_course_environment, lambda: lab.require_new_python("3.9.1")):
        with pytest.raises(SystemExit) as left:
            leave()
        assert str(left.value).endswith(how_to_install())


# ---- JupyterLab's extensions


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """A server in an environment of its own, where nothing of Jupyter's is named."""
    for name in ("JUPYTER_PATH", "JUPYTER_CONFIG_PATH"):
        monkeypatch.delenv(name, raising=False)
    return Environments(sys.prefix, str(tmp_path))


def test_jupyters_files_are_looked_for_where_the_server_runs(elsewhere, tmp_path):
    for kind, find in (("share", data_folders), ("etc", config_folders)):
        folders = find(elsewhere)
        assert folders[0] == tmp_path / kind / "jupyter"
        assert not any(folder.is_relative_to(sys.prefix) for folder in folders)


def test_each_file_of_the_course_has_to_be_there_and_the_same(elsewhere, tmp_path):
    assert not jupyter_files_are_found(elsewhere)
    for kind, place in (("config", "etc"), ("data", "share")):
        shutil.copytree(JUPYTER_FILES / kind, tmp_path / place / "jupyter")
    assert jupyter_files_are_found(elsewhere)
    files = [path for path in tmp_path.rglob("*.*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".py", ".js"}
    for path in files:
        text = path.read_text("utf-8")
        path.write_text(text + "\n", "utf-8")
        assert not jupyter_files_are_found(elsewhere), path
        path.write_text(text, "utf-8")
    assert jupyter_files_are_found(elsewhere)


def test_those_that_make_lab_names_count(elsewhere, monkeypatch):
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", str(JUPYTER_FILES / "config"))
    assert not jupyter_files_are_found(elsewhere)
    monkeypatch.setenv("JUPYTER_PATH", f"/nowhere{os.pathsep}{JUPYTER_FILES / 'data'}")
    assert jupyter_files_are_found(elsewhere)


def test_an_extension_that_is_in_none_of_the_folders_is_missing(monkeypatch, tmp_path):
    folders = [tmp_path / "none", tmp_path]
    monkeypatch.setattr(environments, "data_folders", lambda home: folders)
    for name in ("anywidget", "@jupyter-widgets/jupyterlab-manager"):
        folder = tmp_path / "labextensions" / name
        folder.mkdir(parents=True)
        (folder / "package.json").write_text("{}")
    assert missing_extensions(Environments(sys.prefix)) == []
    (tmp_path / "labextensions" / "anywidget" / "package.json").unlink()
    assert missing_extensions(Environments(sys.prefix)) == ["anywidget"]
