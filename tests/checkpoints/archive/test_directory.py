"""The directory of a zip archive: each record is where it says, and is torch.save's."""

import zipfile

import pytest
import torch

from helpers.checkpoints.archive import directory
from helpers.checkpoints.archive.errors import (
    CorruptCheckpointError,
    IncompatibleCheckpointError,
    UnsafeCheckpointError,
)
from helpers.model_files.zip_records import read_directory
from tests.checkpoints.archive.files import RESTORE, refused, rewrite, saved


def test_two_records_may_not_share_bytes(tmp_path):
    path = saved(tmp_path / "a.pt")
    with zipfile.ZipFile(path) as archive:
        first, second = archive.infolist()[4:6]
    content = path.read_bytes()
    old, new = (i.header_offset.to_bytes(4, "little") for i in (second, first))
    at = content.rindex(old + second.filename.encode())
    path.write_bytes(content[:at] + new + content[at + 4 :])
    words = "record 'a/data/1' has another header: readers disagree"
    assert words in refused(path, CorruptCheckpointError)
    with zipfile.ZipFile(path, "w") as archive:  # the third begins within the second
        for name in ("data.pkl", "data/0", "data/1"):
            archive.writestr(f"a/{name}", bytes(100))
        archive.filelist[1].file_size = archive.filelist[1].compress_size = 150
    words = "50 bytes before 'a/data/1' are in two records"
    assert words in refused(path, CorruptCheckpointError)


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
    assert message == (
        f"{path} is damaged: record 'a/data/0' claims bytes that are not there. {RESTORE}"
    )


def test_a_zip_archive_of_something_else_is_refused(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", "text" * 100)
    assert refused(path, IncompatibleCheckpointError) == (
        f"{path} is not a checkpoint but a zip archive of something else: unpack it, "
        "and give the path of the model file in it."
    )


def test_more_records_than_the_inspector_follows_are_read(tmp_path, monkeypatch):
    def asked(file, most):
        assert most > 1_000_000
        return read_directory(file, most)

    monkeypatch.setattr(directory, "read_directory", asked)
    with saved(tmp_path / "a.pt").open("rb") as file:
        assert "data.pkl" in directory.read_records(tmp_path / "a.pt", file)


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
    assert " is compressed (" in message
    assert message.endswith("a few bytes could fill the memory: do not open it.")


def test_a_directory_that_claims_to_fill_the_memory_is_refused(tmp_path):
    path = saved(tmp_path / "bomb.pt")
    rewrite(path, compression=zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = (1 << 31).to_bytes(4, "little")
    path.write_bytes(data)
    message = refused(path, UnsafeCheckpointError)
    assert message.startswith(f"{path}: its {len(data)} bytes claim to become 21474")
    assert message.endswith(", to fill the memory. Do not open it.")


def test_an_encrypted_record_and_one_in_another_folder_are_refused(tmp_path):
    path = saved(tmp_path / "a.pt")
    whole = path.read_bytes()
    data = bytearray(whole)
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    assert refused(path, CorruptCheckpointError) == (
        f"{path} is damaged: record 'a/data.pkl' is encrypted. {RESTORE}"
    )
    path.write_bytes(whole.replace(b"a/data/0", b"b/data/0"))
    words = "record 'b/data/0' stands in another folder"
    assert words in refused(path, CorruptCheckpointError)


def test_a_directory_that_is_damaged_says_so(tmp_path):
    path = saved(tmp_path / "a.pt")
    data = path.read_bytes()
    path.write_bytes(data.replace(b"PK\x01\x02", b"PK\x01\x03"))
    assert refused(path, CorruptCheckpointError) == (
        f"{path} is damaged: the directory of its archive cannot be read (an entry of its "
        f"directory is damaged). {RESTORE}"
    )


def test_a_record_said_to_begin_in_the_last_bytes_is_refused(tmp_path):
    path = saved(tmp_path / "a.pt")
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\x01\x02")  # the last one of the archive's directory
    for back in (27, 28, 29):
        data[entry + 42 : entry + 46] = (len(data) - back).to_bytes(4, "little")
        path.write_bytes(data)
        assert "has another header: readers disagree" in refused(
            path, CorruptCheckpointError
        )
