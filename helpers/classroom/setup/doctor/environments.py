"""Which Python environments take part: this one and, in a notebook, its server's.

Imports with the standard library alone: a missing psutil or Jupyter leaves a question
open and is not an error.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.classroom.setup.course_folder import FOLDER, GET_IT, is_whole

if TYPE_CHECKING:
    import psutil

# What pyproject.toml installs into the environment: etc/jupyter and share/jupyter.
JUPYTER_FILES = Path(__file__).resolve().parents[1] / "jupyter_files"
CONDA_NAMES = {"torch": "pytorch-cpu"}
# Each package with the folder that it adds to JupyterLab's extensions.
EXTENSIONS = {
    "anywidget": "anywidget",
    "jupyterlab_widgets": "@jupyter-widgets/jupyterlab-manager",
}


def in_conda() -> bool:
    """Tell whether conda made the environment that this Python runs from."""
    return Path(sys.prefix, "conda-meta").is_dir()


def how_to_install() -> str:
    """Return the sentence that brings the learner to what the course needs.

    pip with the exact versions of constraints.txt would replace packages that conda has
    installed, and break others that were linked against them.
    """
    if not is_whole():
        return GET_IT
    if in_conda():  # in whichever environment of conda: it updates the one it names
        command = "conda env update -f environment.yml, then conda activate save-load-ship"
    elif own := _course_python():
        return f"The course is installed in .venv. Use its Python: {own}"
    else:
        command = f"{_this_python()} -m pip install -c constraints.txt -e ."
    return f"In the course's folder: {command}"


def how_to_reinstall(*packages: str) -> str:
    """Return the command that puts broken packages in place again, and only those."""
    if in_conda():
        names = (CONDA_NAMES.get(package, package) for package in packages)
        return f"conda install --force-reinstall {' '.join(names)}"
    if _course_python():
        return how_to_install()
    install = f"{_this_python()} -m pip install"
    return f"{install} --no-deps --force-reinstall {' '.join(packages)}"


def _course_python() -> str:
    """Return the Python that `make lab` has set up; "" if there is none, or it is this."""
    own = FOLDER / ".venv"
    # As a file: where its Python was removed, .venv is of no use.
    python = own / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not python.is_file() or own.samefile(sys.prefix):
        return ""
    return str(python.relative_to(FOLDER))


def _this_python() -> str:
    """Return this Python as a terminal takes it: a plain `python` may be another one."""
    path = Path(sys.executable)
    path = path.relative_to(FOLDER) if FOLDER in path.parents else path
    return f'"{path}"' if " " in str(path) else str(path)


@dataclass(frozen=True)
class Environments:
    """The folders (`sys.prefix`) that the notebook and its server run from.

    `starter` names the program that started the kernel; it is None outside a notebook.
    `server` is None there too, and where that program is not Python.
    """

    kernel: str
    server: str | None = None
    starter: str | None = None

    @property
    def agree(self) -> bool:
        """Whether both are one, as far as that is known."""
        return self.server is None or Path(self.kernel).samefile(self.server)

    def __str__(self) -> str:
        """Say in a few words where both run."""
        kernel = _short(self.kernel)
        if self.server is None:
            where = f"started by {self.starter}" if self.starter else "not in a notebook"
            return f"{kernel}, {where}"
        if self.agree:
            return f"both in {kernel}"
        return f"this notebook runs in {kernel}, JupyterLab in {_short(self.server)}"


def _short(folder: str) -> str:
    """Write a folder without the learner's home in it."""
    for base, sign in ((FOLDER, ""), (Path("~").expanduser(), "~/")):
        with suppress(ValueError):
            return sign + Path(folder).relative_to(base).as_posix()
    return folder


def find_environments() -> Environments:
    """Look up where this Python lives, and the server if this is a notebook."""
    app = sys.modules.get("ipykernel.kernelapp")
    if app is None or not app.IPKernelApp.initialized():
        return Environments(sys.prefix)
    try:
        parent = _parent_of_this_kernel()
        starter = Path(parent.cmdline()[0]).name
        server = _prefix_of(parent) if "python" in starter.lower() else None
        return Environments(sys.prefix, server, starter)
    except Exception:  # psutil is missing, or may not look at that process
        return Environments(sys.prefix, None, "an unknown program")


def _parent_of_this_kernel() -> psutil.Process:
    import psutil

    parent = psutil.Process().parent()
    # On Windows a virtual environment's python.exe starts another Python.
    while "ipykernel_launcher" in " ".join(parent.cmdline()):
        parent = parent.parent()
    return parent


def _prefix_of(process: psutil.Process) -> str | None:
    """Return the folder of the environment that a Python process runs from."""
    program = process.cmdline()[0]
    # Only that Python itself knows its folder: in an environment it is a link.
    program = shutil.which(program, path=process.environ().get("PATH")) or program
    answer = subprocess.run(
        [Path(process.cwd(), program), "-c", "import sys; print(sys.prefix)"],
        capture_output=True,
        text=True,
        timeout=30,
    )
    return answer.stdout.strip() or None


def data_folders(home: Environments) -> list[Path]:
    """Return the folders where the server looks for JupyterLab's extensions and more."""
    folders = [Path(home.server or home.kernel) / "share" / "jupyter"]
    with suppress(ImportError):
        from jupyter_core import paths

        folders += [Path(paths.jupyter_data_dir()), *map(Path, paths.SYSTEM_JUPYTER_PATH)]
    return folders + _named_by("JUPYTER_PATH")


def config_folders(home: Environments) -> list[Path]:
    """Return the folders where the server looks for its settings."""
    folders = [Path(home.server or home.kernel) / "etc" / "jupyter"]
    with suppress(ImportError):
        from jupyter_core import paths

        system = map(Path, paths.SYSTEM_CONFIG_PATH)
        folders += [Path(paths.jupyter_config_dir()), *system]
    return folders + _named_by("JUPYTER_CONFIG_PATH")


def _named_by(variable: str) -> list[Path]:
    """Return folders that `make lab` or the learner has named; kernels inherit them."""
    return [Path(some) for some in os.environ.get(variable, "").split(os.pathsep) if some]


def missing_extensions(home: Environments) -> list[str]:
    """Return the packages whose JupyterLab extension the server does not find."""
    folders = [folder / "labextensions" for folder in data_folders(home)]
    return [
        package
        for package, name in EXTENSIONS.items()
        if not any((folder / name / "package.json").exists() for folder in folders)
    ]


def jupyter_files_are_found(home: Environments) -> bool:
    """Tell whether the server finds the course's own files, and no older ones."""
    places = {"config": config_folders(home), "data": data_folders(home)}
    return all(
        any(_same(path, folder / path.relative_to(ours)) for folder in folders)
        for kind, folders in places.items()
        for ours in [JUPYTER_FILES / kind]
        for path in ours.rglob("*.*")
        if path.suffix in (".json", ".py", ".js")
    )


def _same(path: Path, other: Path) -> bool:
    return other.is_file() and other.read_text("utf-8") == path.read_text("utf-8")
