"""Run one step of the installation: say how far it is and, if it fails, what to do.

Standard library only, and nothing newer than Python 3.6, as for install.py.
"""

import re
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

# Measured: .venv takes 1.8 GB with torch for CPUs alone, and pip keeps 0.4 GB of what it
# downloads. The libraries for CUDA take several GB more.
ROOM = 2.5e9  # bytes

# What a failed step writes, and its cure. The first that fits is shown: without a
# network, pip also says "No matching distribution found".
CURES = (
    (
        "No space left on device",
        f"The disk is full. Make about {ROOM / 1e9:.1f} GB of room, then run this again.",
    ),
    (
        "ResolutionImpossible",
        "constraints.txt and pyproject.toml contradict each other. Undo the change to "
        "one of them (git diff shows it), then run this again.",
    ),
    (
        "npm error code E",
        "npm did not get the package. Check the network, then run: make runtimes",
    ),
    (
        "connection broken by",
        "The package index was not reached. Check the network or the proxy, then run "
        "this again.",
    ),
    (
        "No matching distribution found",
        "A package is not made for this Python on this system, or your index lacks it. "
        "Delete .venv, then take a 64-bit Python 3.11 to 3.13: make lab "
        "PYTHON=python3.12",
    ),
)

# Seconds from one look at what pip has written to the next; and from line to line where
# no terminal can write one line over the other.
LOOK, LINE = 0.5, 20.0


def run(step: str, command: list, root: Path) -> None:
    """Run one step of the installation, its output in .venv/install.log.

    Args:
        step: what is done, as the learner reads it.
        command: the program and its arguments.
        root: the project's folder; the command runs there.

    Raises:
        SystemExit: the command failed; the message says why and what to do.
    """
    log = root / ".venv" / "install.log"
    print(f"{step} ...", flush=True)
    words = [str(part) for part in command]
    with log.open("wb") as output:
        process = subprocess.Popen(
            words, cwd=str(root), stdout=output, stderr=subprocess.STDOUT
        )
        with process:
            try:
                watch(process, root)
            except BaseException:
                process.kill()
                raise
    if process.returncode != 0:
        said = explain(log.read_text(encoding="utf-8", errors="replace"))
        sys.exit(f"This step failed. All it wrote is in {log}; in short:\n{said}")


def watch(process: subprocess.Popen, root: Path) -> None:
    """Wait for a step of pip, and say how far it is: on a terminal always on one line.

    Args:
        process: writes to .venv/install.log.
        root: the project's folder.
    """
    venv, one_line, begun = root / ".venv", sys.stdout.isatty(), time.time()
    pins = len(re.findall(r"(?m)^\w", (root / "constraints.txt").read_text("utf-8")))
    shown, last, running = "", begun, True
    while running:
        with suppress(subprocess.TimeoutExpired):
            process.wait(LOOK)
            running = False
        log = (venv / "install.log").read_text(encoding="utf-8", errors="replace")
        said = how_far(log, pins, installed_since(begun, venv))
        if said != shown and (one_line or time.time() - last > LINE):
            start, end = ("\r", "") if one_line else ("", "\n")
            print(f"{start}  {said:<{len(shown) if one_line else 0}}", end=end, flush=True)
            shown, last = said, time.time()
    if one_line and shown:
        print()


def how_far(log: str, pins: int, installed: int) -> str:
    """Say how far pip is.

    Args:
        log: what pip has written so far.
        pins: how many packages constraints.txt names: about as many are needed.
        installed: how many packages it has installed.

    Returns:
        Such as "12 of about 150 packages, 96 MB; now torch (182.4 MB)"; "" before pip has
        found anything.
    """
    units = {"bytes": 1e-6, "kB": 1e-3, "MB": 1.0, "GB": 1e3}
    file = r"(?m)^ *(?:Downloading|Using cached) (\S+?)-\d\S*\.(?:whl|tar\.gz|zip)"
    found = re.findall(file + r" \(([\d.]+) (bytes|kB|MB|GB)\)", log)
    megabytes = sum(float(size) * units[unit] for _, size, unit in found)
    names = re.search(r"(?m)^Installing collected packages: (.+)$", log)
    if names:
        every = len(names.group(1).split(","))
        done = min(installed, every)
        return f"{done} of {every} packages installed, {megabytes:.0f} MB"
    kept = len(set(re.findall(r"(?m)^Requirement already satisfied: ([\w.-]+)", log)))
    if not found:
        asked = len(set(re.findall(r"(?m)^Collecting ([\w.-]+)", log)))
        return f"{asked + kept} packages looked up" if asked else ""
    name, size, unit = found[-1]
    done = len(found) - 1 + kept
    return (
        f"{done} of about {max(done + 1, pins)} packages, {megabytes:.0f} MB; "
        f"now {name} ({size} {unit})"
    )


def installed_since(begun: float, venv: Path) -> int:
    """Count the packages that pip has put into an environment since a time."""
    count, packages = 0, "site-packages/*.dist-info"
    for folder in [*venv.glob(f"lib/*/{packages}"), *venv.glob(f"Lib/{packages}")]:
        with suppress(OSError):  # an old version, which pip has just removed
            count += folder.stat().st_mtime >= begun
    return count


def explain(log: str) -> str:
    """Say what a failed step wrote, at most four lines of it, and the cure."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    cures = (cure for sign, cure in CURES if sign in log)
    cure = next(cures, "Fix what it says, then run this again.")
    return "\n".join(["    " + line for line in (errors or lines)[-4:]] + [cure])
