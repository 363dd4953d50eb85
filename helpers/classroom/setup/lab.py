"""Open JupyterLab on the first notebook: ``python -m helpers lab [arguments]``.

The server's root is the project, it listens on this machine only, Jupyter's token is
on, and one Ctrl-C ends the server and its kernels. Arguments that are not named here go
to JupyterLab as they are: ``python -m helpers lab --no-browser``.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
from importlib.util import find_spec

from helpers.classroom.setup import guess_first
from helpers.classroom.setup.course_folder import FIRST_NOTEBOOK, FOLDER, require_whole
from helpers.classroom.setup.doctor.environments import (
    JUPYTER_FILES,
    how_to_install,
    in_conda,
)
from helpers.classroom.setup.install import is_new_enough

NEEDED = ("jupyterlab", "ipykernel", "ipywidgets", "anywidget", "torch")


def require_new_python(version: str) -> None:
    """Leave with a sentence if this Python is too old for the course.

    Args:
        version: that of this Python, such as "3.12.1".

    Raises:
        SystemExit: it is older than 3.11.
    """
    if not is_new_enough(version):
        other = "`make lab`, or name another Python: make lab PYTHON=python3.12"
        sys.exit(
            f"The course needs Python 3.11 or newer; {sys.executable} is {version}. "
            + (how_to_install() if in_conda() else f"Start the course with {other}")
        )


def require_course_environment() -> None:
    """Leave with a sentence if this Python is not the one the course is installed in.

    Raises:
        SystemExit: a package of the course is missing here.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        sys.exit(
            f"{sys.executable} is not the course's environment: it lacks "
            f"{', '.join(missing)}. Start the course with `make lab`, or do without "
            f"make. {how_to_install()}"
        )


def require_free_port(port: int, ip: str) -> None:
    """Leave with a sentence if the server cannot listen.

    Args:
        port: the port that the learner asked for; 0 means any.
        ip: the address to listen on.

    Raises:
        SystemExit: the address is not one of this machine's, or the port is taken, not
            allowed, or not a port.
    """
    if not 0 <= port <= 65535:
        sys.exit(f"--port {port}: a port is a number from 0 to 65535.")
    if why := _why_not(0, ip):
        sys.exit(
            f"--ip {ip}: this machine cannot listen there ({why}). Leave --ip out, and "
            "only this machine reaches the course."
        )
    if why := _why_not(port, ip):
        sys.exit(
            f"Port {port} at {ip} cannot be used ({why}). Leave --port out and the "
            "course takes a free one, or end the program that uses this one."
        )


def _why_not(port: int, ip: str) -> str:
    """Return why nobody can listen there, or an empty string."""
    from tornado.netutil import bind_sockets

    try:
        # As for Jupyter, a star means every address.
        for bound in bind_sockets(port, "" if ip == "*" else ip):
            bound.close()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def jupyter_arguments(port: int | None, ip: str, extra: list[str]) -> list[str]:
    """Return the arguments JupyterLab is started with, the learner's own last.

    Args:
        port: the port asked for, or None to take 8888 or the next free one.
        ip: the address to listen on.
        extra: the learner's own arguments.
    """
    arguments = [
        f"--ServerApp.ip={ip}",
        f"--ServerApp.root_dir={FOLDER}",
        f"--LabApp.default_url=/lab/tree/{FIRST_NOTEBOOK}",
        "--ServerApp.log_level=ERROR",
        "--LabApp.log_level=ERROR",
    ]
    if port is not None:
        # A tunnel or a bookmark waits at this port: no silent other one.
        arguments += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    if can_encrypt_kernels():
        arguments.append("--KernelManager.transport_encryption=auto")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        print("Running as root: whatever a notebook does, it does with full rights.")
        arguments.append("--allow-root")
    return arguments + extra


def can_encrypt_kernels() -> bool:
    """Can this Jupyter encrypt what it tells kernels? They warn where it does not."""
    import zmq
    from jupyter_client import KernelManager

    return hasattr(KernelManager, "transport_encryption") and zmq.has("curve")


def serve(arguments: list[str]) -> None:
    """Run JupyterLab until Ctrl-C, then end it and its kernels.

    Args:
        arguments: command-line arguments for JupyterLab.
    """
    from jupyterlab.labapp import LabApp

    server = LabApp.initialize_server(argv=arguments)
    url = server.connect_url
    # Our line replaces the six that Jupyter logs for a token it has made itself.
    server.identity_provider.token_generated = False

    def stop(signum, frame):
        # Jupyter's own handler asks "Shut down this Jupyter server (y/[n])?".
        print("\nStopping JupyterLab and its kernels ...", flush=True)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # twice: at once
        server.stop(from_signal=True)

    signal.signal(signal.SIGINT, stop)
    # Said from inside the loop, since only there does the server listen.
    server.io_loop.add_callback(
        print, f"JupyterLab runs at {url}\nCtrl-C here stops it.", flush=True
    )
    server.start()


def main(argv: list[str] | None = None) -> str | None:
    """Read the command line and run JupyterLab.

    Args:
        argv: the arguments, by default those of the command line.

    Returns:
        What to say if it was interrupted before the server was ready.

    Raises:
        SystemExit: something is missing or the port is taken; the message says what
            to do.
    """
    parser = argparse.ArgumentParser(
        prog="python -m helpers lab",
        description="Open JupyterLab on the course's first notebook.",
        epilog="Every other argument goes to JupyterLab, for example --no-browser.",
        allow_abbrev=False,
    )
    parser.add_argument("--port", type=int, help="default: 8888 or the next free one")
    parser.add_argument("--ip", default="127.0.0.1", help="default: this machine only")
    options, extra = parser.parse_known_args(argv)
    require_new_python(platform.python_version())
    require_whole("make lab")
    require_course_environment()
    # A kernel that was once installed for all environments would otherwise stand before
    # the one beside this Python. Jupyter reads this, so it comes before the imports.
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    # Before those that were installed with the course, perhaps an older one.
    for variable, folder in (("JUPYTER_CONFIG_PATH", "config"), ("JUPYTER_PATH", "data")):
        places = [str(JUPYTER_FILES / folder), os.environ.get(variable)]
        os.environ[variable] = os.pathsep.join(filter(None, places))
    try:
        require_free_port(options.port or 0, options.ip)
        if said := guess_first.prepare():
            print(said)
        print(f"Starting JupyterLab on {FIRST_NOTEBOOK} ...", flush=True)
        serve(jupyter_arguments(options.port, options.ip, extra))
    except KeyboardInterrupt:
        return "Interrupted before JupyterLab was ready."
