"""Is a `.pt` whole and safe? Every kind of wrong file has its error, and runs nothing."""

import os
import pickle
import socket
import sys
import time
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from helpers.checkpoints.archive.container import map_archive, open_archive, seal
from helpers.checkpoints.archive.errors import (
    CheckpointError,
    CorruptCheckpointError,
    IncompatibleCheckpointError,
    UnsafeCheckpointError,
)
from helpers.checkpoints.archive.pickles import StandIn, read_structure

posix = pytest.mark.skipif(os.name != "posix", reason="Windows has no such kind of file")
VALUES = {"weight": torch.arange(100.0), "bias": torch.ones(3), "epoch": 7}
RESTORE = "Restore it from a copy, or go back to an older checkpoint."


def saved(path: Path, value=VALUES, **options) -> Path:
    torch.save(value, path, **options)
    return path


def sealed(path: Path) -> Path:
    with saved(path).open("r+b") as file, map_archive(path, file) as archive:
        seal(archive, file)
    return path


def check(path: Path) -> object:
    """All that this package can ask of a file."""
    with open_archive(path) as archive:
        archive.check_bookkeeping()
        archive.check_payload()
        return read_structure(archive)


def refused(path: Path, kind: type) -> str:
    with pytest.raises(CheckpointError) as caught:
        check(path)
    assert type(caught.value) is kind
    return str(caught.value)


def rewrite(path: Path, change=lambda name, data: data, compression=zipfile.ZIP_STORED):
    """Write the archive anew with other bytes in its records; all sums are right."""
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in records.items():
            archive.writestr(name, change(name, data))


# A good file


def test_the_structure_holds_plain_values_and_stand_ins_for_tensors(tmp_path):
    value = {
        "model": OrderedDict(weight=torch.ones(2, 3)),
        "half": torch.ones(4, dtype=torch.bfloat16),
        "small": torch.ones(4).to(torch.float8_e4m3fn),
        "parameter": nn.Parameter(torch.ones(2)),
        "plain": [1, 2.5, "text", None, True, (1, 2), 2**70, {3}],
        "size": torch.Size([2, 3]),
    }
    structure = check(saved(tmp_path / "a.pt", value))
    assert type(structure["model"]) is OrderedDict
    assert structure["plain"] == value["plain"] and structure["size"] == (2, 3)
    for tensor in (structure["model"]["weight"], structure["half"], structure["small"]):
        assert isinstance(tensor, StandIn)
    assert repr(structure["half"]) == "<torch._utils._rebuild_tensor_v2>"


def test_records_are_where_the_file_says(tmp_path):
    path = saved(tmp_path / "a.pt")
    with open_archive(path) as archive:
        data = path.read_bytes()
        record = archive.records["data/0"]
        expected = VALUES["weight"].numpy().tobytes()
        assert data[record.start : record.end] == expected == archive.read("data/0")
        assert archive.has_crcs and not archive.sealed


def test_a_sealed_file_is_read_by_plain_torch_load(tmp_path):
    path = sealed(tmp_path / "a.pt")
    for mmap in (False, True):
        loaded = torch.load(path, weights_only=True, mmap=mmap)
        assert torch.equal(loaded["weight"], VALUES["weight"])
    with zipfile.ZipFile(path) as archive:
        assert archive.comment.startswith(b"save-load-ship sha256 ")
        assert archive.testzip() is None
    with open_archive(path) as archive:
        assert archive.sealed


def test_a_class_that_the_reader_allowed_is_allowed_here(tmp_path):
    path = saved(tmp_path / "a.pt", {"when": Custom(3)})
    assert "tests.checkpoints.test_archive.Custom" in refused(path, UnsafeCheckpointError)
    with torch.serialization.safe_globals([Custom]):
        assert isinstance(check(path)["when"], StandIn)


class Custom:
    def __init__(self, value):
        self.value = value


# Damage


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_flipped_bit_of_a_sealed_file_is_found(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp()
    whole = folder / "whole.pt"
    if not whole.exists():
        sealed(whole)
    content = bytearray(whole.read_bytes())
    offset = data.draw(st.integers(0, len(content) - 1), "offset")
    content[offset] ^= 1 << data.draw(st.integers(0, 7), "bit")
    path = folder / "flipped.pt"
    path.write_bytes(content)
    refused(path, CorruptCheckpointError)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_other_bytes_give_a_checkpoint_error_or_pass(tmp_path_factory, data):
    """Whatever somebody else's file holds, no other exception comes out."""
    folder = tmp_path_factory.getbasetemp()
    path = folder / "foreign.pt"
    content = bytearray(saved(path).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        new = data.draw(st.binary(max_size=12))
        content[start : start + data.draw(st.integers(0, 12))] = new
    path.write_bytes(content)
    try:
        check(path)
    except CheckpointError as error:
        assert str(path) in str(error)


def test_a_flipped_payload_byte_names_its_record_and_both_sums(tmp_path):
    path = saved(tmp_path / "a.pt")
    with open_archive(path) as archive:
        record = archive.records["data/0"]
    content = bytearray(path.read_bytes())
    content[record.start + 5] ^= 1
    path.write_bytes(content)
    message = refused(path, CorruptCheckpointError)
    assert message.startswith(
        f"{path} is damaged: record 'data/0' of 400 bytes has CRC-32 "
    )
    assert message.endswith(f" instead of {record.crc:08x}. {RESTORE}")


def test_a_flipped_byte_between_records_is_found_through_the_digest(tmp_path):
    path = sealed(tmp_path / "a.pt")
    content = bytearray(path.read_bytes())
    content[10] ^= 1  # the time of day in the first header: nobody reads it
    path.write_bytes(content)
    assert refused(path, CorruptCheckpointError) == (
        f"{path} is damaged: its headers or its directory are not those that were "
        f"written. {RESTORE}"
    )


CUT = (
    "is damaged: the directory of its zip archive does not end where the file ends. The "
    f"file was cut short, something follows it, or its last bytes changed. {RESTORE}"
)


def test_a_file_that_was_cut_or_goes_on_says_so(tmp_path):
    content = sealed(tmp_path / "whole.pt").read_bytes()
    path = tmp_path / "a.pt"
    for other in (content[:-1], content[: len(content) // 2], content[:5], content + b"x"):
        path.write_bytes(other)
        assert refused(path, CorruptCheckpointError) == f"{path} {CUT}"


def test_the_digest_cannot_be_cut_off_unseen(tmp_path):
    content = sealed(tmp_path / "whole.pt").read_bytes()
    path = tmp_path / "a.pt"
    path.write_bytes(content[:-86])
    assert refused(path, CorruptCheckpointError) == f"{path} {CUT}"


def test_two_records_may_not_share_bytes(tmp_path):
    path = saved(tmp_path / "a.pt")
    with zipfile.ZipFile(path) as archive:
        first, second = archive.infolist()[4:6]
    content = path.read_bytes()
    old, new = (i.header_offset.to_bytes(4, "little") for i in (second, first))
    at = content.rindex(old + second.filename.encode())
    path.write_bytes(content[:at] + new + content[at + 4 :])
    assert " is not where the archive's directory" in refused(path, CorruptCheckpointError)


def test_a_record_that_would_end_outside_the_file_is_refused(tmp_path):
    path = saved(tmp_path / "a.pt")
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("a/data/0")
    content = path.read_bytes()
    at = content.rindex(b"PK\x01\x02", 0, content.rindex(b"a/data/0"))
    size = (10**6).to_bytes(4, "little")
    path.write_bytes(content[: at + 20] + 2 * size + content[at + 28 :])
    message = refused(path, CorruptCheckpointError)
    assert info.file_size == 400
    assert f"{path} is damaged: record 'data/0' is not where the archive's" in message
    assert message.endswith(f"of {len(content)}. {RESTORE}")


# Other kinds of file


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
        f"{tmp_path} is a folder; expected a .pt file. A folder that "
        "torch.distributed.checkpoint wrote is read by that library."
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
            "is not an archive of torch.save: it begins with b'hello, world\\n'. Give the "
            "path of a .pt file; if this was one, restore it from a copy.",
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
            "is a safetensors file; read it with safetensors.torch.load_file.",
        ),
        (
            pickle.dumps({"a": 1}),
            UnsafeCheckpointError,
            "is a bare pickle: it has no checksums, and opening it can run code. If you "
            "trust its author, convert it: "
            "torch.save(torch.load(path, weights_only=True), new_path).",
        ),
    ],
    ids=["text", "git lfs", "web page", "safetensors", "pickle"],
)
def test_files_of_other_kinds_say_what_they_are(tmp_path, content, kind, message):
    path = tmp_path / "a.pt"
    path.write_bytes(content)
    assert refused(path, kind) == f"{path} {message}"


def test_the_legacy_format_is_refused(tmp_path):
    path = saved(tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert refused(path, UnsafeCheckpointError).startswith(
        f"{path} is in the format of torch before 1.6: it has no checksums,"
    )


def test_a_zip_archive_of_something_else_is_refused(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", "text" * 100)
    assert refused(path, IncompatibleCheckpointError) == (
        f"{path} is a zip archive, but not torch.save's: it has no record 'data.pkl'."
    )


# Unsafe files


class Evil:
    """A pickle of it makes a file when it is opened."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_code_in_the_pickle_is_named_and_not_run(tmp_path):
    trap = tmp_path / "trap"
    path = saved(tmp_path / "evil.pt", {"model": VALUES, "extra": Evil(trap)})
    assert refused(path, UnsafeCheckpointError) == (
        f"{path} asks for {os.mkdir.__module__}.mkdir, which weights_only=True refuses. A "
        "whole pickled model does, and so does a file with code in it. Nothing in it was "
        "executed. Ask its author for model.state_dict() and plain values."
    )
    assert not trap.exists()
    torch.load(path, weights_only=False)
    assert trap.exists(), "the trap would not have caught anything"


def test_a_whole_pickled_model_is_refused(tmp_path):
    path = saved(tmp_path / "model.pt", nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
    message = refused(path, UnsafeCheckpointError)
    assert "asks for torch.nn.modules.activation.ReLU, torch.nn.modules" in message


def test_a_pickle_with_unknown_instructions_is_refused(tmp_path):
    path = saved(tmp_path / "a.pt", pickle_protocol=4)
    assert refused(path, UnsafeCheckpointError).startswith(
        f"{path}: its pickle is not one that torch.save writes ("
    )


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_a_torchscript_program_is_refused(tmp_path):
    path = tmp_path / "program.pt"
    with zipfile.ZipFile(path, "w") as archive:  # the shape of torch.jit.save's file
        for name in ("data.pkl", "code/__torch__.py", "constants.pkl"):
            archive.writestr(f"program/{name}", b"x")
    assert refused(path, UnsafeCheckpointError) == (
        f"{path} is a TorchScript program: it holds code, not a state dict. Ask its "
        "author for the weights; run code only if you trust it."
    )


def test_a_deflate_bomb_is_refused_before_it_grows(tmp_path):
    path = saved(tmp_path / "bomb.pt", {"zeros": torch.zeros(1_000_000)})
    rewrite(path, compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 10_000
    message = refused(path, UnsafeCheckpointError)
    assert " is compressed or encrypted (" in message
    assert message.endswith("a few bytes could fill the memory: do not open it.")


def test_a_storage_larger_than_its_record_is_refused(tmp_path):
    path = saved(tmp_path / "a.pt", {"a": torch.ones(4), "b": torch.full((4,), 9.0)})
    # The number of elements stands behind the device's name: BININT1 4 becomes 50.
    rewrite(path, lambda name, data: data.replace(b"cpuq\x06K\x04", b"cpuq\x06K\x32"))
    assert refused(path, UnsafeCheckpointError) == (
        f"{path}: storage '0' claims 200 bytes, its record holds 16. torch.save never "
        "writes that: do not open the file."
    )


def test_a_missing_record_is_corrupt(tmp_path):
    path = saved(tmp_path / "a.pt")
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in records.items():
            if name != "a/data/1":
                archive.writestr(name, data)
    assert refused(path, CorruptCheckpointError) == (
        f"{path}: its pickle cannot be followed (KeyError: 'data/1'). "
        "Save it again with torch.save."
    )


def test_a_pickle_that_ends_in_the_middle_is_refused(tmp_path):
    path = saved(tmp_path / "a.pt")
    rewrite(path, lambda name, data: data[:40] if name.endswith("data.pkl") else data)
    assert refused(path, UnsafeCheckpointError).startswith(f"{path}: its pickle is not one")


def test_a_pickle_cannot_ask_for_much_memory(tmp_path):
    """The C unpickler would make room for two thousand million entries."""
    path = saved(tmp_path / "a.pt")
    bomb = b"\x80\x02}r\xff\xff\xff\x7f."  # put the dict at place 2**31 - 1
    rewrite(path, lambda name, data: bomb if name.endswith("data.pkl") else data)
    assert check(path) == {}


def test_large_files_are_checked_on_two_threads_and_every_record_is(tmp_path):
    values = [torch.randint(255, (1_500_000,), dtype=torch.uint8) for _ in range(4)]
    path = saved(tmp_path / "large.pt", values)
    check(path)
    whole = path.read_bytes()
    with open_archive(path) as archive:
        ends = [archive.records[f"data/{k}"].end for k in range(4)]
    for end in ends:
        content = bytearray(whole)
        content[end - 1] ^= 1
        path.write_bytes(content)
        assert "CRC-32" in refused(path, CorruptCheckpointError)


def test_nothing_stays_open_after_an_error(tmp_path):
    if sys.platform != "linux":
        pytest.skip("open files are listed under /proc on Linux only")
    path = saved(tmp_path / "a.pt")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with pytest.raises(CheckpointError):
            check(path)
    assert len(os.listdir("/proc/self/fd")) == before
    assert str(path) not in Path("/proc/self/maps").read_text()


def test_a_record_said_to_begin_in_the_last_bytes_is_refused(tmp_path):
    path = saved(tmp_path / "a.pt")
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\x01\x02")  # the last one of the archive's directory
    for back in (27, 28, 29):
        data[entry + 42 : entry + 46] = (len(data) - back).to_bytes(4, "little")
        path.write_bytes(data)
        assert "is not where the archive's directory says" in refused(
            path, CorruptCheckpointError
        )
