"""The doctor's checks: each looks at one thing and returns one finding."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from pathlib import Path

from helpers.classroom.setup.course_folder import GET_IT, is_whole
from helpers.classroom.setup.doctor.environments import (
    Environments,
    how_to_install,
    how_to_reinstall,
    in_conda,
)
from helpers.classroom.setup.doctor.findings import Finding
from helpers.measurement import format_bytes

COURSE = "save-load-ship"
SLOW = {"torchao"}  # takes seconds to import: that it is installed must do


def check_python(version: Sequence[int] = sys.version_info) -> Finding:
    """Is Python new enough?"""
    found = ".".join(map(str, version[:3]))
    if tuple(version[:2]) >= (3, 11):
        return Finding("Python", found)
    cure = "Delete .venv; make lab PYTHON=python3.12 (with a Python 3.11 or newer)"
    cure = how_to_install() if in_conda() or not is_whole() else cure
    return Finding("Python", f"{found}, needs >=3.11", "problem", cure)


def check_packages(
    requirements: Sequence[str] | None,
    version_of: Callable[[str], str],
    load: Callable[[str], object],
) -> list[Finding]:
    """Is each package there, in its range, and does it import?"""
    try:
        if requirements is None:
            requirements = metadata.requires(COURSE) or []
        parse = load("packaging.requirements").Requirement
    except metadata.PackageNotFoundError:
        return [Finding(COURSE, "the course is not installed", "problem", how_to_install())]
    except ImportError:
        found = "cannot be imported: versions cannot be compared"
        return [Finding("packaging", found, "problem", how_to_install())]
    parsed = [parse(text) for text in requirements]
    # With no extra asked for, the marker of an optional requirement is false.
    needed = [r for r in parsed if not r.marker or r.marker.evaluate({"extra": ""})]
    return [check_package(each, version_of, load) for each in _with_progress(needed)]


def _with_progress(packages: list) -> Iterable:
    if not sys.modules.get("IPython"):  # no notebook, and it may not be installed
        return packages
    from helpers.classroom.progress import progress

    return progress(packages, "packages")


def check_package(
    requirement, version_of: Callable[[str], str], load: Callable[[str], object]
) -> Finding:
    """Is the package of one `packaging` Requirement in its range, does it import?"""
    name = requirement.name
    limits = ",".join(sorted(map(str, requirement.specifier), reverse=True))
    try:
        found = version_of(name)
        if not requirement.specifier.contains(found, prereleases=True):
            return Finding(name, f"{found}, needs {limits}", "problem", how_to_install())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if name not in SLOW:
                load({"scikit-learn": "sklearn"}.get(name, name))
    except metadata.PackageNotFoundError:
        return Finding(name, f"not installed, needs {limits}", "problem", how_to_install())
    except Exception as error:
        found = f"{found}, cannot be imported ({type(error).__name__}: {error})"
        return Finding(name, found, "problem", how_to_reinstall(name))
    return Finding(name, found)


def check_environments(home: Environments) -> Finding:
    """Do the notebook and JupyterLab run in one environment?"""
    if home.agree:
        return Finding("Notebook and server", str(home))
    cure = "Start with `make lab`, or choose the course's kernel (Kernel, Change Kernel)"
    return Finding("Notebook and server", str(home), "problem", cure)


def check_extensions(missing: Sequence[str]) -> Finding:
    """Can JupyterLab show widgets?"""
    if not missing:
        return Finding("Widget extensions", "anywidget and ipywidgets")
    found = f"missing: {', '.join(missing)}"
    return Finding("Widget extensions", found, "problem", how_to_reinstall(*missing))


def check_reopening(found: bool) -> Finding:
    """Will a saved notebook show its panels when it is opened again?"""
    if found:
        return Finding("Reopening", "saved panels come back")
    lost = "saved panels will be lost: the course's part of Jupyter is missing or old"
    return Finding("Reopening", lost, "warning", how_to_install())


def check_weights(path: Path) -> Finding:
    """Are the weights of the reference model there?"""
    size = path.stat().st_size if path.exists() else 0
    if size > 10_000:
        return Finding("Reference weights", format_bytes(size))
    found = f"{path.name} is " + (f"only {format_bytes(size)}" if size else "missing")
    cure = (
        "git checkout -- helpers/classroom/data/weights; or train it: "
        "python -m helpers.classroom.data.networks"
    )
    if not is_whole():
        cure = "Install again the wheel that this copy came from"
    return Finding("Reference weights", found, "problem", cure)


def check_folder(folder: Path) -> Finding:
    """Are the notebooks there, and can files be made beside them?"""
    if not is_whole():
        return Finding("Course's folder", "helpers without notebooks", "problem", GET_IT)
    return check_writing("Course's folder", folder)


def check_writing(subject: str, folder: Path | None) -> Finding:
    """Can files be made in a folder (None: the one for temporary files)?"""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"written")
    except OSError as error:
        cure = "Move the course" if folder else "Set TMPDIR (Windows: TEMP)"
        cure += " to a folder of your own"
        return Finding(subject, f"no file can be made: {error.strerror}", "problem", cure)
    return Finding(subject, "can be written")


def check_room(subject: str, free: float, enough: float, least: float) -> Finding:
    """Is there enough free memory or disk, in bytes?"""
    found = format_bytes(free)
    if free >= enough:
        return Finding(subject, found)
    status = "warning" if free >= least else "problem"
    what = "Close other programs" if "memory" in subject else "Delete what you can spare"
    found = f"{found}, should be at least {format_bytes(enough)}"
    return Finding(subject, found, status, what)


def check_cpu(features: dict[str, bool | None]) -> Finding:
    """Which instructions for small numbers are there?"""
    names = [name for name, there in features.items() if there]
    if features["AVX2"] or features["NEON"]:
        return Finding("CPU", ", ".join(names))
    if features["AVX2"] is None:
        return Finding("CPU", "this system does not say what it offers")
    cure = "All lessons run; the timings of small models will be disappointing"
    return Finding("CPU", "neither AVX2 nor NEON", "warning", cure)


def check_gpu(torch) -> Finding:
    """Is there a GPU that torch can use?"""
    if not torch.accelerator.is_available():
        return Finding("GPU", "none; not needed")
    kind = torch.accelerator.current_accelerator().type
    name = f" ({torch.cuda.get_device_name()})" if kind == "cuda" else ""
    return Finding("GPU", kind + name)


def check_threads(torch) -> Finding:
    """With how many threads does torch compute?"""
    found = f"torch uses {torch.get_num_threads()} (processors: {os.cpu_count()})"
    return Finding("Threads", found)


def check_tool(subject: str, programs: Iterable[str], user: str) -> Finding:
    """Is an optional program there? It is fine if not."""
    if any(map(shutil.which, programs)):
        return Finding(subject, "found")
    return Finding(subject, f"not found; only {user} it")
