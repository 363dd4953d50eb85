"""Other kinds of file say what they are, and none is waited for."""

import os
import pickle
import socket
import tarfile
import time
from pathlib import Path

import pytest

from helpers.checkpoints.archive.errors import (
    CorruptCheckpointError,
    IncompatibleCheckpointError,
    UnsafeCheckpointError,
)
from tests.checkpoints.archive.files import RESTORE, check, refused, saved

posix = pytest.mark.skipif(os.name != "posix", reason="Windows has no such kind of file")


def test_a_missing_file_is_an_ordinary_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.pt"):
        check(tmp_path / "nothing.pt")


@posix
def test_a_named_pipe_is_refused_at_once(tmp_path):
    path = tmp_path / "pipe.pt"
    os.mkfifo(path)
    started = time.monotonic()
    assert refused(path, UnsafeCheckpointError) == (
        f"{path} is a named pipe; expected a regular file. Reading it could wait forever."
    )
    assert time.monotonic() - started < 30, "it waited for a writer"


@posix
def test_a_device_and_a_socket_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's name must be short
    message = refused(Path("/dev/zero"), UnsafeCheckpointError)
    assert message.startswith("/dev/zero is a device or socket; expected a regular file.")
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s")
        assert "is a device or socket" in refused(path, UnsafeCheckpointError)


def test_a_folder_is_refused(tmp_path):
    assert refused(tmp_path, IncompatibleCheckpointError) == (
        f"{tmp_path} is not a checkpoint but a folder: give the path of a file in it."
    )


def test_an_empty_file_is_refused(tmp_path):
    path = tmp_path / "empty.pt"
    path.touch()
    assert refused(path, CorruptCheckpointError) == (
        f"{path} is empty (0 bytes): a crash or a full disk cut the save short. {RESTORE}"
    )


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (
            b"hello, world\n",
            CorruptCheckpointError,
            "is not a checkpoint but a text file, beginning 'hello, world': give the "
            "path of the model file.",
        ),
        (
            b"\xfe\xed\xfa",
            CorruptCheckpointError,
            "is not a checkpoint but of an unknown kind, beginning b'\\xfe\\xed\\xfa': "
            "restore the file from a copy.",
        ),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 12\n",
            IncompatibleCheckpointError,
            "is not a checkpoint but a Git LFS pointer: fetch the file with "
            "`git lfs pull`.",
        ),
        (
            b"\n<!DOCTYPE html>",
            IncompatibleCheckpointError,
            "is not a checkpoint but a web page or XML: the download went wrong, fetch the "
            "file again.",
        ),
        (
            b"\x10\x00\x00\x00\x00\x00\x00\x00" + b'{"a":{}}'.ljust(16),
            IncompatibleCheckpointError,
            "is not a checkpoint but a safetensors file: read it with "
            "safetensors.torch.load_file(path).",
        ),
        (
            pickle.dumps({"a": 1}),
            UnsafeCheckpointError,
            "is a bare pickle: it has no checksums, and opening it can run code. Ask its "
            "author for model.state_dict(), saved with torch.save.",
        ),
    ],
    ids=["text", "unknown", "git lfs", "web page", "safetensors", "pickle"],
)
def test_files_of_other_kinds_say_what_they_are(tmp_path, content, kind, message):
    path = tmp_path / "a.pt"
    path.write_bytes(content)
    assert refused(path, kind) == f"{path} {message}"


def test_the_legacy_format_is_refused(tmp_path):
    path = saved(tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert refused(path, UnsafeCheckpointError).startswith(
        f"{path} is a file in the format of torch before 1.6: it has no checksums,"
    )


def test_a_tar_around_a_checkpoint_is_a_tar(tmp_path):
    with tarfile.open(tmp_path / "b.pt", "w") as archive:
        archive.add(saved(tmp_path / "a.pt"), "a.pt")
    error = refused(tmp_path / "b.pt", IncompatibleCheckpointError)
    assert "b.pt is not a checkpoint but a tar archive: unpack it, and give" in error
