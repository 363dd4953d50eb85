"""The inspector beside picklescan, fickling and modelscan, on the same files.

`make peers` and `.ci/run` run this: the scanners come from the package index, into an
environment of their own. It holds only the inspector to something, never a scanner. What
a scanner calls dangerous, the inspector must not call safe: that is how it learns.
"""

import json
import os
import subprocess
import sys
import venv
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from helpers.classroom.setup.install import venv_python
from helpers.model_files import inspect_file
from helpers.model_files.global_names import ALLOWED, DANGEROUS, judge
from helpers.model_files.verdicts import DAMAGED, SAFE, UNSAFE
from tests.peers import ask
from tests.peers.files import harmful, harmless

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
HERE = Path(__file__).parent
REQUIREMENTS = HERE / "requirements.txt"
SCANNERS = ("picklescan", "fickling", "modelscan")
LIMIT = 120  # seconds
OURS = "inspector"
BELOW = ("", ".below")
# Modules that scanners list and the inspector calls unknown; no line of it opens those.
UNKNOWN = {
    "test": "somebody's own; what stands below Python's package is dangerous",
    "compile": "no module",
}
# Whoever sees nothing here does not work.
PLAINEST = "protocol 2.pkl"


def wanted() -> list[str]:
    """Return the scanners that are made for this Python."""
    lines = REQUIREMENTS.read_text("utf-8").splitlines()
    requirements = [Requirement(line) for line in lines if not line.startswith("#")]
    fit = {r.name for r in requirements if r.marker is None or r.marker.evaluate()}
    return [name for name in SCANNERS if name in fit]


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The Python of a new environment with the scanners in it."""
    folder = tmp_path_factory.mktemp("scanners")
    venv.create(folder, symlinks=os.name == "posix", with_pip=False)
    python = venv_python(folder)
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--no-input"]
    quiet = ["--disable-pip-version-check", "--progress-bar", "off"]
    done = subprocess.run(
        [*pip, *quiet, "-r", REQUIREMENTS], capture_output=True, text=True
    )
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-5:])
        pytest.fail(f"pip could not install {REQUIREMENTS.name}:\n{last}", pytrace=False)
    return python


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The kinds of files -> where those lie."""
    place = tmp_path_factory.mktemp("files")
    made = {"harmful": harmful(), "harmless": harmless(place)}
    for kind, files in made.items():
        for name, data in files.items():
            (path := place / kind / name).parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    return {kind: sorted((place / kind).iterdir()) for kind in made}


@pytest.fixture(scope="module")
def answers(python, folders):
    """Name of a scanner -> its verdict on each file, and the names that it lists."""
    paths = [path for kind in folders.values() for path in kind]
    command = [python, Path(ask.__file__)]
    running = {
        name: subprocess.Popen(
            [*command, name, *paths],
            cwd=paths[0].parents[1],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in wanted()
    }
    found = {}
    try:
        for name, process in running.items():
            out, errors = process.communicate(timeout=LIMIT)
            assert process.returncode == 0, f"{name}: {errors}"
            answer = json.loads(out)
            verdicts = dict(zip(paths, answer["verdicts"], strict=True))
            found[name] = verdicts, answer["names"]
    finally:
        for process in running.values():
            process.kill()
    return found


@pytest.fixture(scope="module")
def reports(folders):
    """What the inspector says of each file."""
    return {
        path: inspect_file(path, verify=True) for kind in folders.values() for path in kind
    }


def in_words(report) -> str:
    return DAMAGED if report.safety != UNSAFE and is_damaged(report) else report.safety


def is_damaged(report) -> bool:
    return DAMAGED in (report.structure, report.bytes_checked)


def test_the_inspector_refuses_each_file_that_runs_code(folders, reports):
    for path in folders["harmful"]:
        report = reports[path]
        assert in_words(report) in (UNSAFE, DAMAGED), f"{path.name}: {report}"


def test_no_line_that_the_inspector_offers_runs_code(
    folders, reports, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for path in folders["harmful"]:
        with suppress(Exception):
            exec("\n".join(reports[path].opens), {"__name__": "copied"})
        assert not Path("EXECUTED").exists(), path.name


def test_the_inspector_calls_no_harmless_file_unsafe(folders, reports):
    for path in folders["harmless"]:
        assert reports[path].safety != UNSAFE, f"{path.name}: {reports[path]}"


def test_what_a_scanner_calls_dangerous_is_not_safe_for_the_inspector(
    answers, folders, reports
):
    for name, (verdicts, _) in answers.items():
        for path, verdict in verdicts.items():
            if verdict == ask.DANGEROUS:
                assert in_words(reports[path]) != SAFE, f"{name}: {path.name}"


def test_no_name_that_a_scanner_lists_is_allowed_and_new_ones_are_noticed(answers):
    for scanner, (_, names) in answers.items():
        assert len(names) > 20, scanner
        # A module as a whole: any name in it, and in a module below it.
        each = [(module, name) for module, name in names if name != "*"]
        whole = [module for module, name in names if name == "*"]
        each += [(f"{module}{below}", "anything") for module in whole for below in BELOW]
        judged = {
            modern(module, name): judge(modern(module, name)) for module, name in each
        }
        assert ALLOWED not in judged.values(), judged
        milder = {name.split(".")[0] for name, said in judged.items() if said != DANGEROUS}
        assert milder <= UNKNOWN.keys(), scanner


def test_each_scanner_is_awake_and_the_table(answers, folders, reports, capsys):
    plainest = next(path for path in folders["harmful"] if path.name == PLAINEST)
    for name, (verdicts, _) in answers.items():
        assert verdicts[plainest] == ask.DANGEROUS, f"{name} calls nothing dangerous"
    columns = {OURS: {path: in_words(report) for path, report in reports.items()}}
    columns |= {name: verdicts for name, (verdicts, _) in answers.items()}
    lines = []
    for kind, paths in folders.items():
        lines += ["", row(f"{len(paths)} {kind} files", columns)]
        lines += [row(p.name, (said[p] for said in columns.values())) for p in paths]
        counts = [Counter(said[p] for p in paths) for said in columns.values()]
        for verdict in dict.fromkeys(word for count in counts for word in count):
            lines.append(row(f"  {verdict}", (count[verdict] for count in counts)))
    left_out = set(SCANNERS) - answers.keys()
    lines += [f"{name}: not made for this Python" for name in left_out]
    with capsys.disabled():
        print("\n".join(lines))


def modern(module, name):
    """Return the dotted name that Python 3 imports for what Python 2 called so."""
    old = NAME_MAPPING.get((module, name))
    return ".".join(old or (IMPORT_MAPPING.get(module, module), name))


def row(first, others) -> str:
    return f"{first:40}" + "".join(f" {other!s:>11}" for other in others)
