"""The command: write everything that is handed out to the folder `handouts`."""

import argparse
import shutil
import subprocess
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import nbformat
from nbclient.exceptions import CellControlSignal, DeadKernelError
from nbconvert.filters import strip_ansi

from helpers.classroom import handouts
from helpers.classroom.handouts.slides import REVEAL_FILES
from helpers.classroom.setup.course_folder import FOLDER, require_whole

NOTEBOOKS = FOLDER / "notebooks"
PACKAGE = Path(__file__).with_name("package.json")


def write(path: Path, folder: Path, *, still: bool = False, slides: bool = True) -> str:
    """Write the handouts of one notebook.

    Args:
        path: the notebook.
        folder: gets the folders `learner`, `teacher`, `pages` and `slides`.
        still: do not execute it, so that no panel is live in its page.
        slides: write the slides too.

    Returns:
        A line that says what was written.
    """
    notebook = nbformat.read(path, as_version=4)
    reader = handouts.for_readers(notebook)
    held, note = {}, ""
    if not still:
        try:
            held = handouts.held_panels(handouts.execute(reader, path.parent))
            note = f", live panels: {len(held)}"
        except (CellControlSignal, DeadKernelError) as error:
            reason = strip_ansi(str(error)).strip().splitlines()[-1]
            note = f"; its panels stand still, since a cell failed: {reason}"
    _put(folder / "learner" / path.name, nbformat.writes(handouts.for_learners(notebook)))
    _put(folder / "teacher" / path.name, nbformat.writes(handouts.for_teachers(notebook)))
    parts = (reader, path.stem, path.parent, held)
    page = _put(folder / "pages" / f"{path.stem}.html", handouts.page(*parts))
    if slides:
        _put(folder / "slides" / f"{path.stem}.html", handouts.slides(*parts))
    return f"{path.stem}: page of {page.stat().st_size / 1e6:.1f} MB{note}"


def _put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.rstrip("\n") + "\n", encoding="utf-8", newline="\n")
    return path


def fetch_reveal(folder: Path) -> str:
    """Put reveal.js beside the slides, with npm if it is not there yet.

    Args:
        folder: the folder of handouts; the package is kept in its `npm`.

    Returns:
        An empty string, or why there can be no slides.
    """
    kept = folder / "npm"
    package = kept / "node_modules" / "reveal.js"
    kept.mkdir(parents=True, exist_ok=True)
    wanted = PACKAGE.read_bytes()
    installed = kept / "package.json"
    if not (package.exists() and installed.exists() and installed.read_bytes() == wanted):
        if not (npm := shutil.which("npm")):
            return "npm is not here; it comes with Node.js"
        installed.write_bytes(wanted)
        quiet = ("--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error")
        command = [npm, "install", *quiet]
        done = subprocess.run(command, cwd=kept, capture_output=True, text=True)
        if done.returncode:
            return f"npm could not install reveal.js: {done.stderr.strip()[-200:]}"
    for name in REVEAL_FILES:
        target = folder / "slides" / "reveal" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (package / name).is_dir():
            shutil.copytree(package / name, target, dirs_exist_ok=True)
        else:
            shutil.copy(package / name, target)
    return ""


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, write, and say what was written."""
    parser = argparse.ArgumentParser(prog="python -m helpers handouts", description=__doc__)
    parser.add_argument("names", nargs="*", help="notebooks; all where none is given")
    parser.add_argument("--to", type=Path, default=FOLDER / "handouts", help="the folder")
    parser.add_argument(
        "--still", action="store_true", help="execute nothing: no live panels"
    )
    options = parser.parse_args(arguments)
    require_whole("make handouts")
    paths = [NOTEBOOKS / Path(name).name for name in options.names]
    for path in paths:
        if not path.is_file():
            there = ", ".join(sorted(path.name for path in NOTEBOOKS.glob("*.ipynb")))
            parser.error(f"there is no notebook {path.name}; there are: {there}")
    paths = paths or sorted(NOTEBOOKS.glob("*.ipynb"))
    missing = fetch_reveal(options.to)
    with ProcessPoolExecutor(2) as pool:
        lines = [
            pool.submit(write, path, options.to, still=options.still, slides=not missing)
            for path in paths
        ]
        for line in lines:
            print(line.result(), flush=True)
    if missing:
        print(f"The slides are left out: {missing}.")
    print(
        f"Written to {options.to}: learner, teacher, pages{'' if missing else ', slides'}"
    )
