"""How the browser tests start: which browser is taken, and what is said if none is."""

import contextlib
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from playwright.sync_api import Error

from helpers.classroom.setup import doctor
from tests import browser, make_pictures
from tests.benchmarks import __main__ as benchmarks

CURE = "install Chromium, or run `.venv/bin/playwright install chromium`"


class Playwright:
    """Stands for Playwright on a machine where only some browsers start."""

    def __init__(self, *starting):
        self.starting, self.tried = starting, []
        self.chromium = SimpleNamespace(launch=self.launch)

    def launch(self, args, executable_path=None, channel="Playwright's own"):
        self.tried.append(executable_path or channel)
        if self.tried[-1] not in self.starting:
            raise Error(f"{self.tried[-1]} does not start")
        return self.tried[-1]


@pytest.fixture
def programs(monkeypatch):
    """The programs that are on the path: a dict from name to place, to be filled."""
    found = {}
    monkeypatch.setattr(browser.shutil, "which", found.get)
    return found


@pytest.mark.parametrize("name", doctor.BROWSERS)
def test_a_browser_that_the_doctor_finds_is_taken(programs, name):
    programs[name] = f"somewhere/{name}"
    playwright = Playwright(f"somewhere/{name}", "chrome")
    assert browser.launch(playwright) == f"somewhere/{name}"
    assert playwright.tried == [f"somewhere/{name}"]


def test_one_that_does_not_start_gives_way_to_the_next(programs):
    programs["chromium"] = "somewhere/chromium"
    chrome, own = Playwright("chrome"), Playwright("Playwright's own")
    assert browser.launch(chrome) == "chrome"
    assert browser.launch(own) == "Playwright's own"
    assert own.tried == ["somewhere/chromium", "chrome", "Playwright's own"]


def test_without_any_the_cure_and_the_last_error_are_named(programs):
    with pytest.raises(browser.BrowserMissing) as caught:
        browser.launch(Playwright())
    assert str(caught.value) == (
        f"there is no browser that starts: {CURE}. "
        "The last error: Playwright's own does not start"
    )


def none_starts(playwright):
    raise browser.BrowserMissing(f"there is no browser that starts: {CURE}")


def test_without_any_a_browser_test_is_skipped_with_that_reason():
    code = """
        import sys, pytest
        from tests import browser
        from tests.browser import test_start
        browser.launch = test_start.none_starts
        sys.exit(pytest.main(["-rs", "-p", "no:cacheprovider", *sys.argv[1:]]))
    """
    env = {k: v for k, v in os.environ.items() if k != "CI" and not k.startswith("PYTEST_")}
    command = [sys.executable, "-c", re.sub(r"(?m)^ +", "", code)]
    command += ["tests/browser/test_panels.py", "-k", "first_slider"]
    done = subprocess.run(
        command, cwd=browser.ROOT, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\b1 skipped\b", done.stdout)
    assert CURE in done.stdout


def test_without_any_a_benchmark_and_the_pictures_say_it_in_a_sentence(monkeypatch):
    # Only one Playwright runs in a process, and other tests may have it.
    monkeypatch.setattr(browser, "sync_playwright", contextlib.nullcontext)
    monkeypatch.setattr(browser, "launch", none_starts)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "slider"])
    for main, start in ((benchmarks.main, "slider: "), (make_pictures.main, "")):
        with pytest.raises(SystemExit) as left:
            main()
        assert str(left.value) == f"{start}there is no browser that starts: {CURE}"


@pytest.mark.skipif(os.name != "posix", reason="Windows has no sockets in folders")
def test_the_socket_of_a_kernel_that_runs_meanwhile_is_not_copied(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # since a socket's path must be short
    Path("notebook.ipynb").touch()
    Path("__pycache__").mkdir()
    with socket.socket(socket.AF_UNIX) as kernel:
        kernel.bind("kernel-ipc-1")
        left_out = browser.not_copied(".", os.listdir())
    assert left_out == {"kernel-ipc-1", "__pycache__"}


def test_a_jupyterlab_that_says_nothing_is_given_up(tmp_path, monkeypatch):
    popen, started = subprocess.Popen, []

    def silent(command, **options):
        code = "import time; print('still thinking', flush=True); time.sleep(600)"
        started.append(popen([sys.executable, "-c", code], **options))
        return started[0]

    monkeypatch.setattr(browser.subprocess, "Popen", silent)
    monkeypatch.setattr(browser, "START_LIMIT", 1)
    with (
        pytest.raises(RuntimeError, match="did not start in 1 s:\nstill thinking\n"),
        browser.lab(tmp_path),
    ):
        pass
    assert started[0].poll() is not None, "nothing is left running"
