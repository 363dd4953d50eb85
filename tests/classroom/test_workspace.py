"""The temporary folder: one for each kernel, gone with it, and what a kill leaves too."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest
from jupyter_client import KernelManager

from helpers.classroom.workspace import PREFIX, _remove_orphans, temporary_folder
from tests import ROOT

MAKE = """
from helpers.classroom.workspace import temporary_folder
folder = temporary_folder()
assert folder == temporary_folder()
(folder / "a").mkdir()
(folder / "a" / "file").touch()
print(folder, flush=True)
"""


def test_it_is_the_same_at_each_call():
    folder = temporary_folder()
    (folder / "file").touch()
    assert temporary_folder() == folder and (folder / "file").exists()
    assert folder.parent == Path(tempfile.gettempdir())
    assert folder.name.startswith(f"{PREFIX}{os.getpid()}-")


@pytest.fixture
def kernel(tmp_path):
    """A kernel manager whose kernel has made its folder in tmp_path, and the folder."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(ROOT), env=os.environ | {"TMPDIR": str(tmp_path)})
    client = manager.blocking_client()
    client.start_channels()
    client.wait_for_ready(timeout=120)
    client.execute_interactive(MAKE, timeout=120, output_hook=lambda message: None)
    [folder] = tmp_path.glob(f"{PREFIX}*")
    assert (folder / "a" / "file").exists()
    yield manager, folder
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.mark.skipif(os.name != "posix", reason="TMPDIR is POSIX's name for it")
@pytest.mark.parametrize("way", ["shutdown_kernel", "restart_kernel"])
def test_it_goes_when_the_kernel_is_shut_down_or_restarted(kernel, way):
    manager, folder = kernel
    getattr(manager, way)()
    assert not folder.exists()


@pytest.mark.skipif(os.name != "posix", reason="TMPDIR is POSIX's name for it")
def test_what_a_killed_kernel_leaves_goes_with_the_next_that_asks(tmp_path):
    env = os.environ | {"TMPDIR": str(tmp_path)}
    wait = f"{MAKE}\nimport time\ntime.sleep(600)"
    command = [sys.executable, "-c", wait]
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE) as killed:
        left = Path(killed.stdout.readline().decode().strip())
        alive = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE)
        kept = Path(alive.stdout.readline().decode().strip())
        killed.kill()
    assert left.exists() and kept.exists()
    (tmp_path / f"{PREFIX}of-somebody-else").mkdir()
    subprocess.run([sys.executable, "-c", MAKE], cwd=ROOT, env=env, check=True)
    try:
        assert not left.exists() and kept.exists()
        assert [path.name for path in tmp_path.iterdir()].count(kept.name) == 1
        assert (tmp_path / f"{PREFIX}of-somebody-else").exists()
    finally:
        alive.kill()
        alive.wait()
        alive.stdout.close()


def test_a_folder_that_cannot_be_removed_stops_nothing(tmp_path, monkeypatch):
    gone = next(pid for pid in range(40_000, 10**6) if not psutil.pid_exists(pid))
    (tmp_path / f"{PREFIX}{gone}-abc").write_text("a file")
    _remove_orphans(tmp_path)
    assert any(tmp_path.iterdir())
