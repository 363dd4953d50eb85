"""Atomic writes: the path holds the old file or the new one, whatever happens."""

import errno
import os
import stat
import subprocess
import sys
import time

import psutil
import pytest

from helpers import atomic
from helpers.atomic import atomic_write

posix = pytest.mark.skipif(
    os.name != "posix", reason="permissions and symlinks work differently on Windows"
)


def write(path, content=b"new"):
    with atomic_write(path, len(content)) as file:
        file.write(content)
    return path


@posix
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_permissions_follow_the_umask(tmp_path, mask):
    before = os.umask(mask)
    try:
        path = write(tmp_path / "a.pt")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


@posix
def test_a_symlink_is_replaced_and_not_followed(tmp_path):
    other = tmp_path / "precious.txt"
    other.write_text("keep me")
    path = tmp_path / "a.pt"
    path.symlink_to(other)
    write(path)
    assert not path.is_symlink() and path.read_bytes() == b"new"
    assert other.read_text() == "keep me"


def test_the_file_and_then_the_folder_are_flushed_to_the_disk(tmp_path, monkeypatch):
    calls, fsync, replace = [], os.fsync, atomic.Path.replace

    def note_fsync(descriptor):
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        calls.append("fsync folder" if is_folder else "fsync file")
        fsync(descriptor)

    def note_replace(self, target):
        calls.append("replace")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(atomic.Path, "replace", note_replace)
    write(tmp_path / "a.pt")
    folder = ["fsync folder"] if os.name == "posix" else []
    assert calls == ["fsync file", "replace", *folder]


# What stops a write


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, MemoryError])
def test_the_temporary_goes_whatever_stops_the_save(tmp_path, monkeypatch, kind):
    path = write(tmp_path / "a.pt", b"old")
    for name in ("flush_to_disk", "_remove_stale"):
        with monkeypatch.context() as patch:

            def stop(*_, **__):
                raise kind

            patch.setattr(atomic, name, stop)
            with pytest.raises(kind):
                write(path)
        assert os.listdir(tmp_path) == ["a.pt"] and path.read_bytes() == b"old"


@pytest.mark.parametrize(
    ("number", "cause"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "your disk quota is used up"),
        (errno.EFBIG, "the file would exceed the largest size allowed here"),
        (errno.EACCES, "you have no permission to write there"),
        (errno.EROFS, "the disk is read-only"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
def test_an_error_of_the_disk_says_what_it_is(tmp_path, monkeypatch, number, cause):
    def fail(_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(atomic, "flush_to_disk", fail)
    path = tmp_path / "a.pt"
    with pytest.raises(OSError) as caught:
        write(path)
    assert caught.value.errno == number
    assert caught.value.strerror == (
        f"cannot save {path}: {cause}. About 3 bytes are needed; what was at the path "
        "is unchanged"
    )
    assert os.listdir(tmp_path) == []


@posix
def test_a_disk_that_is_really_full_says_so(tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("only Linux has /dev/full")
    with pytest.raises(OSError) as caught, atomic_write(tmp_path / "a.pt", 12) as file:
        os.dup2(os.open("/dev/full", os.O_RDWR), file.fileno())
        file.write(b"twelve bytes")
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.strerror == (
        f"cannot save {tmp_path / 'a.pt'}: the disk is full. About 12 bytes are needed; "
        "what was at the path is unchanged"
    )
    assert os.listdir(tmp_path) == []


def test_a_missing_folder_and_a_folder_in_the_way_say_so(tmp_path):
    path = tmp_path / "runs" / "a.pt"
    with pytest.raises(FileNotFoundError) as caught:
        write(path)
    assert f"cannot save {path}: there is no folder {path.parent}." in str(caught.value)
    with pytest.raises(IsADirectoryError) as caught:
        write(tmp_path)
    assert f"cannot save {tmp_path}: there is a folder at this path." in str(caught.value)


# What other writers left behind


def test_a_live_writers_temporary_is_left_to_it(tmp_path):
    path = tmp_path / "a.pt"
    with atomic_write(path, 3) as file:
        write(path)
        assert len(os.listdir(tmp_path)) == 2
        file.write(b"abc")
    assert path.read_bytes() == b"abc" and os.listdir(tmp_path) == ["a.pt"]


def temporary(path, host, pid, age=0.0):
    made = path.with_name(f".{path.name}.{host}.{pid}.0123abcd.tmp")
    made.write_bytes(b"half")
    os.utime(made, (time.time() - age, time.time() - age))
    return made


def dead_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


DAY = 24 * 60 * 60


def test_stale_temporaries_go_with_the_next_save_and_no_others(tmp_path):
    path = tmp_path / "a.pt"
    here, parent = atomic._host(), os.getppid()
    began = time.time() - psutil.Process(parent).create_time()
    stale = [
        temporary(path, here, dead_pid()),
        temporary(path, here, parent, age=began + 60),  # the number went to another
        temporary(path, "another-host", 1, age=DAY + 60),
    ]
    kept = [
        temporary(path, here, parent, age=0),
        temporary(path, "another-host", 1_000_000, age=DAY - 60),
        temporary(tmp_path / "b.pt", here, dead_pid()),
        tmp_path / ".a.pt.notes.tmp",
    ]
    kept[-1].write_text("mine")
    # One name for two: the parent's stale file was overwritten by its live one.
    stale.remove(kept[0])
    write(path)
    assert not any(each.exists() for each in stale)
    assert sorted(tmp_path.iterdir()) == sorted([path, *kept])
    os.utime(kept[0], (time.time() - began - 60,) * 2)
    write(path)
    assert not kept[0].exists()


LONG = [
    "x" * 252 + ".pt",
    "x" * 152 + ".pt",
    "x" * 153 + ".pt",
    "é" * 126 + ".pt",
    "x" + "名" * 83 + ".pt",
]


@pytest.mark.parametrize("name", LONG, ids=["longest", "whole", "cut", "two", "three"])
def test_a_name_near_the_limit_is_written_and_its_stale_files_go(tmp_path, name):
    path, twin = tmp_path / name, tmp_path / f"{name[:-4]}y.pt"
    with atomic_write(path, 3) as file:
        [made] = os.listdir(tmp_path)
        assert made.startswith(f".{name[0]}") and len(os.fsencode(made)) <= 255
        file.write(b"new")
    assert path.read_bytes() == b"new" and os.listdir(tmp_path) == [name]
    begin = made.rsplit(".", 4)[0]
    stale = tmp_path / f"{begin}.{atomic._host()}.{dead_pid()}.0123abcd.tmp"
    other = tmp_path / f"{begin}.{'h' * 40}-4026531836.1.0123abcd.tmp"
    for left in (stale, other):
        left.write_bytes(b"half")
    write(twin)
    assert stale.exists(), "another file's, though the names begin alike"
    write(path)
    assert sorted(os.listdir(tmp_path)) == sorted([name, twin.name, other.name])


def test_a_name_beyond_the_limit_is_refused_before_anything_is_written(tmp_path):
    path = tmp_path / ("x" * 256)
    with pytest.raises(OSError) as caught, atomic_write(path, 3):
        pytest.fail("the block must not run")
    assert caught.value.errno == errno.ENAMETOOLONG
    assert f"cannot save {path}: {os.strerror(errno.ENAMETOOLONG)}." in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_a_host_with_a_long_name_in_another_script_is_cut_to_bytes(monkeypatch):
    monkeypatch.setattr(atomic.socket, "gethostname", lambda: "主.机" * 40)
    atomic._host.cache_clear()
    try:
        host = atomic._host()
        assert "." not in host and len(os.fsencode(host)) <= 40 + len("-4026531836")
    finally:
        monkeypatch.undo()
        atomic._host.cache_clear()


def test_a_folder_that_cannot_be_flushed_does_not_fail_the_save(tmp_path, monkeypatch):
    fsync = os.fsync

    def refuse_folders(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "this file system cannot")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    with atomic_write(str(tmp_path / "a.pt"), 3) as file:
        file.write(b"new")
    assert (tmp_path / "a.pt").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a.pt"]


def test_an_error_in_the_block_leaves_the_old_file(tmp_path):
    path = write(tmp_path / "a.pt", b"old")
    with pytest.raises(KeyError), atomic_write(path, 3) as file:
        file.write(b"new")
        raise KeyError
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["a.pt"]
