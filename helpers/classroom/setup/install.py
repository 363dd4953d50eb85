"""Make the course's environment; run as a file, ``python3 .../setup/install.py``.

It makes ``.venv`` in the project's folder and installs the course into it, in the exact
versions of constraints.txt. A stamp in ``.venv`` says what was installed last; while it
fits, nothing is done. An interrupted installation leaves no stamp, and the next run
finishes it. Nothing is ever deleted: where that is the cure, a sentence says so.

Standard library only, and nothing newer than Python 3.6: an old Python must get as far
as the sentence that says it is too old.
"""

import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
if not __package__:  # run as a file
    sys.path.insert(0, str(ROOT))

from helpers.classroom.setup.steps import ROOM, run  # noqa: E402

WEB = Path("helpers", "classroom", "runtimes", "web", "package.json")
JUPYTER = Path("helpers", "classroom", "setup", "jupyter_files")
OLDEST_PYTHON = (3, 11)


def venv_python(venv: Path) -> Path:
    """Return where a virtual environment keeps its Python."""
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def python_version(python: Path) -> str:
    """Ask a Python for its version, such as "3.12.1"; "" if it does not run."""
    ask = "import platform; print(platform.python_version())"
    # -I -S: quick, and away from the learner's own settings.
    command = [str(python), "-I", "-S", "-c", ask]
    try:
        return subprocess.check_output(command, stderr=subprocess.DEVNULL).decode().strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def is_new_enough(version: str) -> bool:
    """Tell whether the course runs on this version of Python."""
    return tuple(int(part) for part in version.split(".")[:2]) >= OLDEST_PYTHON


def pip_install(python: Path, course: str) -> list:
    """Return the command that installs the course, in the versions of constraints.txt."""
    quiet = ["--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
    return [python, "-m", "pip", "install", *quiet, "-c", "constraints.txt", "-e", course]


def stamp_for(root: Path, version: str) -> str:
    """Return what the stamp says once everything is installed.

    Args:
        root: the project's folder.
        version: the version of the environment's Python.

    Returns:
        Two lines: the folder, and a digest of what the installation depends on.
    """
    digest = hashlib.sha256(version.encode())
    # pip copies Jupyter's files, also where it installs in place.
    for_jupyter = (path for path in sorted((root / JUPYTER).rglob("*")) if path.is_file())
    for path in (root / "pyproject.toml", root / "constraints.txt", *for_jupyter):
        digest.update(path.read_bytes())
    return f"{root}\n{digest.hexdigest()}\n"


def make_venv(root: Path) -> None:
    """Make .venv with the Python that runs this file.

    Raises:
        SystemExit: .venv holds an environment that does not run, or this Python is too
            old or has no venv; the message says what to do.
    """
    venv = root / ".venv"
    here = platform.python_version()
    if (venv / "pyvenv.cfg").exists():
        sys.exit(
            f"The Python of {venv} does not run: it was removed, or the folder comes "
            "from another system. Delete the folder .venv, then run this again."
        )
    if not is_new_enough(here):
        sys.exit(
            f"The course needs Python 3.11 or newer; {sys.executable} is {here}. Name "
            "another one: make lab PYTHON=python3.12 "
            "(Windows: py -3.12 helpers\\classroom\\setup\\install.py)"
        )
    if not all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")):
        minor = ".".join(here.split(".")[:2])
        sys.exit(
            f"{sys.executable} comes without venv. On Debian or Ubuntu: apt install "
            f"python3-venv (or python{minor}-venv), then run this again."
        )
    free = shutil.disk_usage(str(root)).free
    if free < ROOM:
        print(
            f"Only {free / 1e9:.1f} GB are free here; "
            f"the course needs about {ROOM / 1e9:.1f} GB."
        )
    venv.mkdir(exist_ok=True)
    run(f"Making .venv with Python {here}", [sys.executable, "-m", "venv", venv], root)


def install(root: Path) -> None:
    """Bring .venv to what pyproject.toml and constraints.txt say.

    Args:
        root: the project's folder.

    Raises:
        SystemExit: a step failed; the message is a sentence with its cure.
        OSError: the folder cannot be written, or a file is missing.
    """
    venv = root / ".venv"
    python = venv_python(venv)
    stamp = venv / "installed.txt"
    installed = stamp.read_text(encoding="utf-8") if stamp.exists() else ""
    version = python_version(python)
    if not version:
        make_venv(root)
        version = python_version(python)
    elif not is_new_enough(version):
        sys.exit(
            f"{venv} has Python {version}; the course needs 3.11 or newer. Delete the "
            "folder .venv, then run this again."
        )
    mine = platform.python_version()
    if is_new_enough(mine) and mine.split(".")[:2] != version.split(".")[:2]:
        print(f".venv keeps its Python {version}. To take {mine}, delete .venv first.")
    wanted = stamp_for(root, version)
    if installed == wanted:
        return
    if installed and installed.splitlines()[0] != str(root):
        sys.exit(
            f"{venv} was made in {installed.splitlines()[0]}, and an environment "
            "cannot be moved or copied. Delete the folder .venv, then run this again."
        )
    if installed:
        stamp.unlink()
    # An interrupted run, or another tool, leaves an environment without pip.
    if subprocess.call([str(python), "-c", "import pip"], stderr=subprocess.DEVNULL):
        run("Adding pip", [python, "-m", "ensurepip", "--default-pip"], root)
    run(
        "Installing the course's packages (a minute or more, once)",
        pip_install(python, ".[test]"),
        root,
    )
    stamp.write_text(wanted, encoding="utf-8")


def install_runtimes(root: Path) -> None:
    """Add what notebook 07 compares with: the extra "runtimes", and a package of npm's.

    Without npm the rest is installed, and a line says what is missing; where the
    variable CI is set, that is a failure.

    Args:
        root: the project's folder, with the course installed.

    Raises:
        SystemExit: a step failed; the message is a sentence with its cure.
        OSError: the folder cannot be written, or a file is missing.
    """
    venv, web = root / ".venv", root / WEB
    python, npm = venv_python(venv), shutil.which("npm")
    stamp = venv / "runtimes.txt"
    said = f"{stamp_for(root, python_version(python))}npm: {npm}\n{web.read_text()}"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == said:
        return
    run(
        "Installing other runtimes for notebook 07",
        pip_install(python, ".[runtimes]"),
        root,
    )
    if npm:
        folder = venv / "web"
        folder.mkdir(exist_ok=True)
        shutil.copy(str(web), str(folder))
        quiet = ["--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
        run(
            "Installing ONNX Runtime Web",
            [npm, "install", *quiet, "--prefix", folder],
            root,
        )
    else:
        missing = "There is no npm here, so notebook 07 goes without ONNX Runtime Web. "
        cure = "Install Node with npm, then run: make runtimes"
        if os.environ.get("CI"):
            sys.exit(missing + cure)
        print(missing + cure)
    stamp.write_text(said, encoding="utf-8")


def main(root: Path = ROOT, extras: tuple = ()) -> None:
    """Install, and turn what can be expected to go wrong into one sentence.

    Args:
        root: the project's folder.
        extras: "runtimes" for those of notebook 07.

    Raises:
        SystemExit: something went wrong; the message says what to do.
    """
    try:
        install(root)
        if "runtimes" in extras:
            install_runtimes(root)
    except PermissionError as error:
        sys.exit(
            f"No permission to write {error.filename}. Move the project to a folder of "
            "your own, then run this again."
        )
    except OSError as error:
        # A full disk is noticed while a file is written, and then names no file.
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(f"{where}{error.strerror}. Fix that, then run this again.")
    except KeyboardInterrupt:
        sys.exit("Interrupted; the next run finishes it.")


if __name__ == "__main__":
    main(extras=tuple(sys.argv[1:]))
