"""What is free in memory and on disk."""

import types

import psutil

from helpers.classroom.setup import free_space
from helpers.classroom.setup.free_space import free_disk, free_memory


def test_free_memory_respects_the_limit_of_a_container(monkeypatch, tmp_path):
    free = types.SimpleNamespace(available=8_000_000_000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    (tmp_path / "memory.stat").write_text("anon 500000000\nfile 900000000\n")
    (tmp_path / "memory.max").write_text("1500000000\n")
    assert free_memory(tmp_path) == 1_000_000_000
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory(tmp_path) == 8_000_000_000
    assert free_memory(tmp_path / "none") == 8_000_000_000


def test_the_free_disk_is_that_of_the_fuller_folder(monkeypatch):
    free = {"course": 5e9, "temporary": 1e9}
    monkeypatch.setattr(
        free_space.shutil,
        "disk_usage",
        lambda folder: types.SimpleNamespace(free=free[folder]),
    )
    assert free_disk("course", "temporary") == 1e9
    assert free_disk("course") == 5e9
