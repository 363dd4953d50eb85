"""The doctor: all its findings together, and a run on this machine."""

import ast
import json
import os
import re
import subprocess
import sys
import textwrap
import venv
from importlib import import_module, metadata
from pathlib import Path

import pytest
from nbval.plugin import get_sanitize_patterns

from helpers.classroom.setup import doctor
from helpers.classroom.setup.doctor import Finding, checks, examine, problems
from helpers.classroom.setup.doctor.environments import Environments, how_to_install

HERE = Environments(sys.prefix)
INSTALL = how_to_install()


@pytest.fixture(autouse=True)
def plenty_of_room(monkeypatch):
    """Let no other program on this machine change what a test finds."""
    monkeypatch.setattr(doctor, "free_memory", lambda: 8e9)
    monkeypatch.setattr(doctor, "free_disk", lambda *folders: 8e9)


def found_about(subject, findings):
    [finding] = [finding for finding in findings if finding.subject == subject]
    return finding


def run_python(code, python=sys.executable, **environment):
    return subprocess.run(
        [python, "-c", textwrap.dedent(code)],
        cwd=doctor.FOLDER,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def missing(name):
    raise metadata.PackageNotFoundError(name)


# ---- The whole


def test_this_machine_is_ready_and_the_exit_code_says_so(capsys):
    assert doctor.main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["OK", "Python", sys.version.split()[0]]
    assert lines[-1].startswith("Ready (problems: 0, warnings: ")


def test_a_problem_gives_exit_code_1_and_shows_its_cure(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "WEIGHTS", doctor.FOLDER / "gone.safetensors")
    assert doctor.main() == 1
    printed = capsys.readouterr().out
    assert "problem  Reference weights    gone.safetensors is missing\n" in printed
    assert "git checkout -- helpers/classroom/data/weights" in printed
    assert "\nNot ready (problems: 1, warnings: " in printed


def test_every_promised_subject_has_a_row():
    subjects = [finding.subject for finding in examine(environments=HERE)]
    packages = [
        *("torch", "numpy", "pandas", "scikit-learn", "safetensors", "jupyterlab"),
        *("ipykernel", "ipywidgets", "anywidget", "psutil", "cloudpickle", "packaging"),
        *("onnx", "onnxscript", "onnxruntime", "torchao", "nbconvert"),
    ]
    assert subjects == [
        "Python",
        *sorted(packages),  # as the package's metadata lists them
        "Notebook and server",
        "Widget extensions",
        "Reopening",
        "Reference weights",
        "Course's folder",
        "Temporary folder",
        "Free memory",
        "Free disk",
        "CPU",
        "GPU",
        "Threads",
        "Chromium",
        "Node",
    ]


def test_versions_are_one_line_for_a_set_up_cell():
    python = ".".join(map(str, sys.version_info[:3]))
    torch, numpy = metadata.version("torch"), metadata.version("numpy")
    line = f"Python {python} · torch {torch} · numpy {numpy}"
    assert doctor.versions("torch", "numpy") == line
    # nbval rewrites it, so that a notebook's page may show other versions.
    settings = (doctor.FOLDER / "tests" / "sanitize.cfg").read_text("ascii")
    [(pattern, replacement)] = get_sanitize_patterns(settings)
    assert re.sub(pattern, replacement, line) == "Python VERSION · torch · numpy"


def test_versions_do_not_import_the_package():
    done = run_python(
        """
        import sys
        sys.modules["torch"] = None  # importing it: ImportError
        from helpers.classroom.setup import doctor
        print(doctor.versions("torch").isascii())
        """
    )
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_without_torch_and_pandas_there_are_rows_and_no_traceback():
    done = run_python(
        """
        import runpy, sys
        class Block:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] in ("torch", "pandas"):
                    raise ImportError("blocked by the test")
        sys.meta_path.insert(0, Block())
        from helpers.classroom.setup import free_space
        free_space.free_memory = free_space.free_disk = lambda *folders: 8e9
        runpy.run_module("helpers.doctor", run_name="__main__")
        """
    )
    assert (done.returncode, done.stderr) == (1, "")
    rows = {line.split()[1]: line for line in done.stdout.splitlines()[:-1]}
    for name in ("torch", "pandas"):
        assert rows[name].startswith("problem")
        assert "cannot be imported (ImportError: blocked by the test)" in rows[name]
    assert "--force-reinstall pandas" in done.stdout
    for name in ("GPU", "Threads"):
        assert rows[name].startswith("warning")
        assert "not known (ImportError: blocked by the test)" in rows[name]
    assert "\nNot ready (problems: 2, warnings: " in done.stdout


@pytest.mark.parametrize(
    "absent", [["psutil", "cloudpickle", "ipykernel", "jupyterlab"], ["packaging"]]
)
def test_without_its_own_tools_the_doctor_still_reports(absent):
    done = run_python(
        f"""
        import sys
        # Importing None: ImportError. What shows progress in a notebook is missing, too.
        sys.modules.update(dict.fromkeys([*{absent}, "IPython"]))
        from helpers.classroom.setup import doctor
        sys.exit(doctor.main())
        """
    )
    assert (done.returncode, done.stderr) == (1, "")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert {line[1] for line in lines if line[0] == "problem"} >= set(absent)
    assert ["OK", "Python"] in [line[:2] for line in lines]


def test_a_check_that_fails_itself_is_a_warning_and_the_others_go_on(monkeypatch):
    def broken():
        raise OSError("no such counter")

    monkeypatch.setattr(doctor, "free_memory", broken)
    findings = examine(requirements=[], environments=HERE)
    assert found_about("Free memory", findings) == Finding(
        "Free memory", "not known (OSError: no such counter)", "warning"
    )
    assert found_about("Node", findings).status == "OK"


# ---- Python and packages


def test_a_missing_package_is_a_problem():
    findings = examine(
        requirements=["torch>=2.13,<3"], version_of=missing, environments=HERE
    )
    assert found_about("torch", findings) == Finding(
        "torch", "not installed, needs >=2.13,<3", "problem", INSTALL
    )


@pytest.mark.parametrize(
    ("version", "found", "status"),
    [
        ("2.12.1", "2.12.1, needs >=2.13,<3", "problem"),
        ("3.0.0", "3.0.0, needs >=2.13,<3", "problem"),
        ("2.13.0+cpu", "2.13.0+cpu", "OK"),
        ("2.16.0.dev20261101", "2.16.0.dev20261101", "OK"),
    ],
)
def test_a_version_is_compared_with_its_range(version, found, status):
    findings = examine(
        requirements=["torch>=2.13,<3"],
        version_of=lambda name: version,
        environments=HERE,
    )
    finding = found_about("torch", findings)
    assert (finding.found, finding.status) == (found, status)
    assert finding.cure == (INSTALL if status == "problem" else "")


def test_a_package_that_is_there_but_broken_is_a_problem():
    def load(name):
        if name == "sklearn":
            raise OSError("a library is missing")
        return import_module(name)

    findings = examine(requirements=["scikit-learn>=1.5"], load=load, environments=HERE)
    finding = found_about("scikit-learn", findings)
    assert finding.status == "problem"
    assert "cannot be imported (OSError: a library is missing)" in finding.found
    assert finding.cure.endswith("--force-reinstall scikit-learn")


def test_packages_of_the_extras_are_not_asked_for():
    findings = examine(
        requirements=['pytest>=99; extra == "test"', 'nothing; python_version < "3"'],
        environments=HERE,
    )
    assert not {"pytest", "nothing"} & {finding.subject for finding in findings}


def test_a_course_that_is_not_installed_is_one_problem(monkeypatch):
    monkeypatch.setattr(doctor.metadata, "requires", missing)
    assert problems(examine(environments=HERE)) == [
        Finding("save-load-ship", "the course is not installed", "problem", INSTALL)
    ]


# ---- The notebook's Python and the server's


def test_only_a_notebook_of_another_environment_is_a_problem(tmp_path):
    other = Environments(sys.prefix, str(tmp_path))
    for home in (HERE, Environments(sys.prefix, None, "code"), other):
        finding = checks.check_environments(home)
        assert finding.found == str(home)
        assert finding.status == ("problem" if home == other else "OK")
    assert "make lab" in finding.cure and "Change Kernel" in finding.cure


# Starts a kernel of the course's Python, as a server does, and prints what a cell gives.
# On POSIX the two talk through files in this folder: unlike a port, no other kernel can
# take those meanwhile.
SERVER = """
import json, os, sys
from jupyter_client.manager import KernelManager

def show(message):
    if message["msg_type"] not in ("status", "execute_input"):
        print(json.dumps([message["msg_type"], message["content"]]))

python, code = sys.argv[1:]
manager = KernelManager(transport="ipc" if os.name == "posix" else "tcp")
manager.kernel_spec.argv[0] = python
manager.start_kernel()
client = manager.blocking_client()
client.start_channels()
client.wait_for_ready(timeout=300)
client.execute_interactive(code, timeout=300, output_hook=show)
client.stop_channels()
manager.shutdown_kernel(now=True)
"""


def output_of_a_cell(code, server, folder):
    """Run a cell; return its only output, its last line's value, and its progress."""
    # What a bare environment needs to serve as a Jupyter server, and the course.
    path = [str(Path(pytest.__file__).parents[1]), str(doctor.FOLDER)]
    done = subprocess.run(
        [server, "-c", SERVER, sys.executable, code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    *progress, (kind, content) = [json.loads(line) for line in done.stdout.splitlines()]
    assert kind == "execute_result", content
    # What comes before it is shown meanwhile, and is empty at last.
    assert {kind for kind, _ in progress} <= {"display_data", "update_display_data"}
    said = [shown["data"] for _, shown in progress]
    assert said[-1:] in ([], [{}])
    return content["data"], said


def ask_kernel_of(server, folder):
    code = "from helpers.classroom.setup import doctor\nvars(doctor.find_environments())"
    found, said = output_of_a_cell(code, server, folder)
    assert said == []
    return Environments(**ast.literal_eval(found["text/plain"]))


def test_a_real_kernel_finds_the_environment_it_shares_with_its_server(tmp_path):
    home = ask_kernel_of(sys.executable, tmp_path)
    assert (home.kernel, home.server) == (sys.prefix, sys.prefix)
    assert checks.check_environments(home).status == "OK"


def test_a_real_kernel_finds_that_its_server_runs_elsewhere(tmp_path):
    # With symbolic links both Pythons are one and the same file.
    venv.create(tmp_path / "other", symlinks=os.name == "posix")
    folder = "Scripts" if os.name == "nt" else "bin"
    home = ask_kernel_of(tmp_path / "other" / folder / "python", tmp_path)
    assert Path(home.server).samefile(tmp_path / "other")
    assert checks.check_environments(home).status == "problem"


# ---- What the course needs around it


def test_without_chromium_and_node_the_machine_is_still_ready(monkeypatch):
    monkeypatch.setattr(checks.shutil, "which", lambda *args, **options: None)
    findings = examine(environments=HERE)
    assert problems(findings) == []
    assert found_about("Chromium", findings) == Finding(
        "Chromium", "not found; only the browser tests use it"
    )
    assert found_about("Node", findings) == Finding(
        "Node", "not found; only a section of notebook 07 uses it"
    )


# ---- The table


def test_the_report_in_a_real_kernel_is_a_table_and_nothing_on_stderr(tmp_path):
    code = """
from helpers.classroom import progress
from helpers.classroom.setup import doctor
progress.SHOW_AFTER = 0  # on any machine
doctor.report()"""
    shown, said = output_of_a_cell(code, sys.executable, tmp_path)
    assert said[0] == {} and re.search(r" 1 of \d+ packages, ", str(said))
    assert shown["text/html"].startswith("<table>")
    assert "Notebook and server  both in" in shown["text/plain"]
    assert str(Path.home()) not in shown["text/plain"]
