"""Opening the course: `lab` starts a real JupyterLab, and one Ctrl-C ends it."""

import ast
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from ast import literal_eval
from urllib.parse import parse_qs, urlsplit

import psutil
import pytest
from jupyter_client import BlockingKernelClient

from helpers.classroom.setup import lab
from tests import ROOT

FIRST = "/lab/tree/notebooks/00_start_here.ipynb"
TIMEOUT = 60  # seconds; a start takes two


class Server:
    """A JupyterLab started by `helpers.lab`, as a learner would on a server."""

    def __init__(self, folder, *arguments, stdin=subprocess.DEVNULL, usual_port="8888"):
        # Away from the settings of whoever runs the tests; and a kernel that was once
        # installed "for all environments" lies there as a trap.
        trap = folder / "data" / "kernels" / "python3"
        trap.mkdir(parents=True)
        spec = {"argv": ["elsewhere"], "display_name": "Trap", "language": "python"}
        (trap / "kernel.json").write_text(json.dumps(spec))
        self.runtime = folder / "runtime"
        environment = os.environ | {
            "JUPYTER_CONFIG_DIR": str(folder / "config"),
            "JUPYTER_DATA_DIR": str(folder / "data"),
            "JUPYTER_RUNTIME_DIR": str(self.runtime),
            "JUPYTER_PREFER_ENV_PATH": "0",
            "JUPYTER_PORT": usual_port,
        }
        self._log = folder / "output.txt"
        with self._log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "helpers.lab", "--no-browser", *arguments],
                cwd=ROOT,
                env=environment,
                stdin=stdin,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + TIMEOUT
        ready = re.compile(r"JupyterLab runs at (\S+).*Ctrl-C here", re.DOTALL)
        while not (match := ready.search(self.output())):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                pytest.fail(f"JupyterLab did not start: {self.output()}")
            time.sleep(0.05)
        self.url = urlsplit(match[1])
        self.token = parse_qs(self.url.query).get("token", [""])[0]

    def output(self):
        return self._log.read_text(encoding="utf-8")

    def ask(self, path, method="GET", token=True):
        """Return (status, Location, body) of a request; redirects are not followed."""
        connection = http.client.HTTPConnection(self.url.netloc, timeout=TIMEOUT)
        headers = {"Authorization": f"token {self.token}"} if token else {}
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        body = answer.read().decode("utf-8")
        connection.close()
        return answer.status, answer.headers["Location"], body

    def start_kernel(self):
        """Start a kernel and wait until it answers.

        Returns:
            Its process, and the Python that it says it runs.
        """
        status, _, body = self.ask("/api/kernels", method="POST")
        assert status == 201, body
        client = BlockingKernelClient()
        client.load_connection_file(
            str(self.runtime / f"kernel-{json.loads(body)['id']}.json")
        )
        client.start_channels()
        client.wait_for_ready(timeout=TIMEOUT)
        expressions = {
            "process": "__import__('os').getpid()",
            "python": "__import__('sys').executable",
        }
        # Until it is idle again: interrupted in the middle, a kernel says so at the end.
        reply = client.execute_interactive(
            "", user_expressions=expressions, timeout=TIMEOUT
        )
        client.stop_channels()
        answers = reply["content"]["user_expressions"]
        process, python = (
            literal_eval(answers[name]["data"]["text/plain"]) for name in expressions
        )
        return psutil.Process(process), python

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(TIMEOUT)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    # The usual port is one that we have taken: Jupyter reads it from this variable, and
    # 8888 itself may come free at any moment.
    with socket.create_server(("127.0.0.1", 0)) as taken:
        usual = str(taken.getsockname()[1])
        folder = tmp_path_factory.mktemp("lab")
        with Server(folder, "--expose-app-in-browser", usual_port=usual) as running:
            running.usual = int(usual)
            yield running


def test_only_this_machine_can_reach_it(server):
    connections = psutil.Process(server.process.pid).net_connections("tcp")
    listening = {
        (connection.laddr.ip, connection.laddr.port)
        for connection in connections
        if connection.status == psutil.CONN_LISTEN
    }
    assert ("127.0.0.1", server.url.port) in listening
    assert {ip for ip, _ in listening} == {"127.0.0.1"}


def test_a_taken_usual_port_gives_the_next_free_one(server):
    assert server.url.port != server.usual


def test_nothing_is_shown_without_the_token(server):
    assert server.ask("/api/contents", token=False)[0] == 403
    status, location, _ = server.ask(FIRST, token=False)
    assert (status, urlsplit(location).path) == (302, "/login")
    assert len(server.token) >= 32


def test_it_opens_the_first_notebook(server):
    assert server.url.path == FIRST
    status, location, _ = server.ask("/")
    assert (status, urlsplit(location).path) == (302, FIRST)
    assert server.ask("/api/contents/notebooks/00_start_here.ipynb?content=0")[0] == 200


def test_the_project_is_its_root(server):
    listing = json.loads(server.ask("/api/contents")[2])["content"]
    names = {entry["name"] for entry in listing}
    assert {"notebooks", "helpers", "tests", "pyproject.toml"} <= names


def setting(server, plugin, name):
    """What JupyterLab takes where the learner has chosen nothing."""
    answer = json.loads(server.ask(f"/lab/api/settings/{plugin}")[2])
    return answer["schema"]["properties"][name]["default"]


def test_it_does_not_ask_to_fetch_news(server):
    plugin = "@jupyterlab/apputils-extension:notification"
    # "none", JupyterLab's default, is the state in which it asks.
    assert setting(server, plugin, "fetchNews") == "false"
    assert setting(server, plugin, "checkForUpdates") is False


def test_the_state_of_widgets_is_saved(server):
    manager = "@jupyter-widgets/jupyterlab-manager:plugin"
    assert setting(server, manager, "saveState") is True
    # What is to be loaded with the page stands in it.
    assert '"load": "static/reopening.js"' in server.ask(FIRST)[2]


def test_other_arguments_go_to_jupyterlab(server):
    page = server.ask(FIRST)[2]
    assert '"exposeAppInBrowser": true' in page


def test_kernels_run_the_same_python_and_the_terminal_stays_quiet(server):
    before = server.output()
    _, python = server.start_kernel()
    assert python == sys.executable
    assert server.output() == before
    assert len(before.splitlines()) <= 4


@pytest.mark.skipif(
    sys.platform == "win32",
    reason="Ctrl-C cannot be sent to one process on Windows, nor stdin be a terminal",
)
def test_one_ctrl_c_ends_it_and_its_kernels(tmp_path):
    # Jupyter asks "Shut down this Jupyter server (y/[n])?" when stdin is a terminal.
    terminal, stdin = os.openpty()
    with Server(tmp_path, stdin=stdin) as server:
        kernel, _ = server.start_kernel()
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(TIMEOUT) == 0
    os.close(terminal)
    os.close(stdin)
    assert not kernel.is_running()
    assert server.output().endswith("\nStopping JupyterLab and its kernels ...\n")
    assert not list(server.runtime.glob("kernel-*.json"))


def test_a_taken_port_that_was_asked_for_is_an_error():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = subprocess.run(
            [sys.executable, "-m", "helpers.lab", "--no-browser", "--port", str(port)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
    assert result.returncode == 1
    assert result.stderr.startswith(f"Port {port} at 127.0.0.1 cannot be used (")
    assert "Leave --port out" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_number_that_is_not_a_port_is_an_error():
    with pytest.raises(SystemExit, match="--port 99999: a port is a number from 0 to"):
        lab.main(["--port", "99999"])


@pytest.mark.parametrize("port", [[], ["--port", "0"]])
def test_an_address_that_is_not_this_machines_is_an_error(port):
    with pytest.raises(SystemExit) as left:
        lab.main(["--ip", "192.0.2.1", *port])  # reserved for documentation
    assert str(left.value).startswith("--ip 192.0.2.1: this machine cannot listen there (")
    assert "Leave --ip out" in str(left.value)


def test_a_star_is_every_address():
    lab.require_free_port(0, "*")


def test_a_port_that_was_asked_for_is_the_only_one_tried():
    arguments = lab.jupyter_arguments(9000, "127.0.0.1", ["--no-browser"])
    assert "--ServerApp.port=9000" in arguments
    assert "--ServerApp.port_retries=0" in arguments
    assert arguments[-1] == "--no-browser"


def test_another_python_is_told_where_the_course_is():
    # -S: the same Python without its packages.
    result = subprocess.run(
        [sys.executable, "-S", "-m", "helpers.lab"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert result.returncode == 1
    assert "is not the course's environment: it lacks jupyterlab," in result.stderr
    assert "`make lab`" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_an_old_python_is_told_so_before_anything_else(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "prefix", str(tmp_path))  # not an environment of conda
    monkeypatch.setattr(lab.platform, "python_version", lambda: "3.10.13")
    monkeypatch.setattr(lab, "find_spec", lambda name: None)  # it lacks everything, too
    with pytest.raises(SystemExit) as left:
        lab.main([])
    assert str(left.value) == (
        f"The course needs Python 3.11 or newer; {sys.executable} is 3.10.13. Start the "
        "course with `make lab`, or name another Python: make lab PYTHON=python3.12"
    )


@pytest.mark.parametrize("module", ["lab", "doctor"])
def test_an_old_python_gets_as_far_as_that_sentence(module):
    # What is imported on the way may use nothing newer than Python 3.9.
    todo, seen = [f"helpers.{module}"], set()
    while todo:
        name = todo.pop()
        seen.add(name)
        file = ROOT / f"{name.replace('.', '/')}.py"
        if not file.exists():
            file = file.with_suffix("") / "__init__.py"
        tree = ast.parse(file.read_text(encoding="utf-8"), feature_version=(3, 9))
        imported = [node for node in tree.body if isinstance(node, ast.Import)]
        from_modules = [node.module for node in tree.body if type(node) is ast.ImportFrom]
        names = [alias.name for node in imported for alias in node.names] + from_modules
        outside = {n.split(".")[0] for n in names} - {"helpers"} - sys.stdlib_module_names
        assert outside == set(), name
        # `int | None` in an annotation would be computed, and fail, without this.
        annotated = any(isinstance(node, ast.BinOp) for node in annotations(tree))
        assert not annotated or "__future__" in from_modules, name
        todo += [n for n in names if n.startswith("helpers.") and n not in seen]
    assert "helpers.classroom.setup.doctor.environments" in seen


def annotations(tree):
    for node in ast.walk(tree):
        for field in ("annotation", "returns"):
            if found := getattr(node, field, None):
                yield found
