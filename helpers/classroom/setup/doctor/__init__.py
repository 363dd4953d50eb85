"""Is this machine ready for the course? `python -m helpers doctor` says so.

Every check gives a finding: a status in words and, where something is wrong, its cure.
Packages are imported inside the checks, so that a missing one is a row of the table and
not a traceback.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from importlib import metadata

from helpers.classroom.setup.course_folder import FOLDER
from helpers.classroom.setup.doctor.checks import (
    check_cpu,
    check_environments,
    check_extensions,
    check_folder,
    check_gpu,
    check_packages,
    check_python,
    check_reopening,
    check_room,
    check_threads,
    check_tool,
    check_weights,
    check_writing,
)
from helpers.classroom.setup.doctor.environments import (
    Environments,
    find_environments,
    jupyter_files_are_found,
    missing_extensions,
)
from helpers.classroom.setup.doctor.findings import Finding, Report
from helpers.classroom.setup.free_space import free_disk, free_memory
from helpers.measurement import cpu_features

SAYS = "Is this machine ready for the course? A table of findings, each with its cure."
WEIGHTS = FOLDER / "helpers" / "classroom" / "data" / "weights" / "digits_net.safetensors"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def report() -> Report:
    """Examine this machine; the last line of a cell shows the table."""
    return Report(examine())


def versions(*packages: str) -> str:
    """Return one line with Python's version and that of each package, for a set-up cell."""
    found = [f"Python {'.'.join(map(str, sys.version_info[:3]))}"]
    return " · ".join(found + [f"{name} {metadata.version(name)}" for name in packages])


def problems(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings that keep the course from running."""
    return [finding for finding in findings if finding.status == "problem"]


def examine(
    *,
    requirements: Sequence[str] | None = None,
    version_of: Callable[[str], str] = metadata.version,
    load: Callable[[str], object] = importlib.import_module,
    environments: Environments | None = None,
) -> list[Finding]:
    """Make every check; this imports each package that the course needs.

    Args:
        requirements: such as "torch>=2.13,<3"; those of the installed course if None.
        version_of: name of a package -> its version, or PackageNotFoundError.
        load: imports a module by its name.
        environments: of the notebook and its server; looked up if None.
    """
    home = environments or find_environments()
    rows = {
        "Notebook and server": lambda: check_environments(home),
        "Widget extensions": lambda: check_extensions(missing_extensions(home)),
        "Reopening": lambda: check_reopening(jupyter_files_are_found(home)),
        "Reference weights": lambda: check_weights(WEIGHTS),
        "Course's folder": lambda: check_folder(FOLDER),
        "Temporary folder": lambda: check_writing("Temporary folder", None),
        "Free memory": lambda: check_room("Free memory", free_memory(), 2e9, 1e9),
        "Free disk": lambda: check_room(
            "Free disk", free_disk(FOLDER, tempfile.gettempdir()), 2e9, 0.5e9
        ),
        "CPU": lambda: check_cpu(cpu_features()),
        "GPU": lambda: check_gpu(load("torch")),
        "Threads": lambda: check_threads(load("torch")),
        "Chromium": lambda: check_tool("Chromium", BROWSERS, "the browser tests use"),
        "Node": lambda: check_tool("Node", ["node"], "a section of notebook 07 uses"),
    }
    findings = [check_python(), *check_packages(requirements, version_of, load)]
    for subject, check in rows.items():
        try:
            findings.append(check())
        except Exception as error:
            unknown = f"not known ({type(error).__name__}: {error})"
            findings.append(Finding(subject, unknown, "warning"))
    return findings


def main(argv: Sequence[str] = ()) -> int:
    """Print the table; return 1 if there is a problem, else 0."""
    parser = argparse.ArgumentParser("python -m helpers doctor", description=SAYS)
    parser.parse_args(argv)
    table = report()
    print(table)
    return 1 if problems(table.findings) else 0
