"""Every loader calls every kind of file what it is; nobody is told to run one."""

import io
import os
import pickle
import socket
import zipfile

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from helpers.checkpoints import CheckpointError, load_checkpoint, read_metadata, verify
from helpers.devices import load_to_device
from helpers.model_files.recognizing import recognize
from helpers.model_files.wording import WORDS
from helpers.onnx_export import describe
from helpers.onnx_export.files import read_onnx
from helpers.onnx_export.running import session
from tests.model_files.readers import mutations
from tests.model_files.samples import FOLDERS, contents, empties, folder, onnx_model

KINDS = contents()
LOADERS = {
    "load_to_device": lambda path: load_to_device(nn.Linear(4, 4), path, "cpu"),
    "load_checkpoint": lambda path: load_checkpoint(path, model=nn.Linear(4, 4)),
    "verify": verify,
    "read_metadata": read_metadata,
    "read_onnx": read_onnx,
    "describe": describe,
    "session": session,
}
DOCUMENTED = (ValueError, TypeError, FileNotFoundError, RuntimeError, CheckpointError)
# What these loaders are for.
OWN = {
    "load_to_device": (PT := {"torch zip", "whole model", "legacy"}),
    "load_checkpoint": PT - {"legacy"},
    "verify": PT - {"legacy"},
    "read_metadata": PT - {"legacy"},
    "read_onnx": (ONNX := {"onnx", "cut onnx", "noise"}),
    "describe": ONNX,
    "session": ONNX,
}
# The checkpoints' own words for a file that was one.
IN_OTHER_WORDS = {"empty": "is empty (0 bytes)", "cut zip": "was cut short"}


def words_of(error: BaseException) -> str:
    return "\n".join([str(error), *getattr(error, "__notes__", ())])


def assert_no_unsafe_advice(words):
    words = words.replace("Do not open it with weights_only=False", "")
    assert "weights_only=False" not in words and "set to `False`" not in words, words
    assert "weights_only` argument" not in words, words


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("suffix", [".pt", ".onnx", ".bin", ""])
def test_every_kind_is_recognized_whatever_its_suffix_says(tmp_path, name, suffix):
    kind, data = KINDS[name]
    path = tmp_path / f"model{suffix}"
    path.write_bytes(data)
    found = recognize(path)
    assert found.kind == kind
    assert WORDS[kind][1] == found.next_step and str(found).endswith(found.next_step)
    assert found.evidence and "{" not in found.is_.partition("beginning")[0]
    with path.open("rb") as file:
        assert recognize("another.name", file) == found


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_every_loader_says_what_it_was_given_and_what_to_do(tmp_path, name, loader):
    data = KINDS[name][1]
    path = tmp_path / "given.model"
    path.write_bytes(data)
    try:
        LOADERS[loader](path)
    except DOCUMENTED as error:
        words = words_of(error)
    else:
        assert name in OWN[loader]
        return
    assert_no_unsafe_advice(words)
    assert str(path) in words
    if name not in OWN[loader]:
        found = recognize(path)
        said = str(found) in words
        checkpoints = loader in ("load_checkpoint", "verify", "read_metadata")
        assert said or (checkpoints and IN_OTHER_WORDS[name] in words), words


@pytest.mark.parametrize("kind", FOLDERS)
@pytest.mark.parametrize("loader", LOADERS)
def test_every_loader_says_which_folder_it_was_given(tmp_path, kind, loader):
    path = folder(tmp_path, kind)
    with pytest.raises(DOCUMENTED) as caught:
        LOADERS[loader](path)
    found = recognize(path)
    assert found.kind == kind
    assert str(found) in words_of(caught.value) and str(path) in words_of(caught.value)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such kind of file")
@pytest.mark.parametrize("loader", ["none", *LOADERS])
def test_nothing_is_waited_for(tmp_path, monkeypatch, loader):
    monkeypatch.chdir(tmp_path)  # a socket's name must be short
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        for path in (tmp_path / "pipe", tmp_path / "socket", "/dev/zero"):
            if loader == "none":
                assert recognize(path).kind == "no file"
            else:
                with pytest.raises(DOCUMENTED, match=r"device or socket|named pipe"):
                    LOADERS[loader](path)


def test_a_missing_file_is_an_ordinary_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.pt"):
        recognize(tmp_path / "nothing.pt")


def test_an_error_of_torch_is_not_passed_on_with_its_advice(tmp_path, monkeypatch):
    path = tmp_path / "a.pt"
    torch.save({}, path)

    def fail(*_, **__):
        raise RuntimeError("Cannot use ``weights_only=True``. Set weights_only=False.")

    monkeypatch.setattr(torch, "load", fail)
    with pytest.raises(ValueError) as caught:
        load_to_device(nn.Linear(4, 4), path, "cpu")
    assert_no_unsafe_advice(words_of(caught.value))


def test_a_real_program_of_torch_export_is_recognized(tmp_path):
    program = torch.export.export(nn.Linear(4, 4), (torch.ones(1, 4),))
    torch.export.save(program, tmp_path / "a.zip")
    assert recognize(tmp_path / "a.zip").kind == "pt2"


@pytest.mark.parametrize("count", [1, 3000])
def test_every_field_of_onnx_may_stand_before_the_graph(tmp_path, count):
    path = tmp_path / "a.onnx"
    model = onnx_model()
    model.producer_name, model.doc_string, model.domain = "me", "words " * count, "ai.me"
    model.metadata_props.add(key="license", value="mine" * count)
    model.functions.add(name="f", domain="mine")
    onnx.save(model, path)
    assert recognize(path).kind == "onnx"
    path.write_bytes(path.read_bytes()[:-5])  # its graph is whole
    assert recognize(path).kind == "onnx"


@pytest.mark.parametrize("size", [0, 1, 9, 100, 5000])
def test_random_bytes_and_words_crash_nothing(tmp_path, size):
    rng = np.random.default_rng(size)
    path = tmp_path / "a"
    for alphabet in (
        bytes(range(256)),
        b"(]}cd.\n ab01",
        b"PK\1\2\3\4\5\6\0",
        b"\x08\x12\x3a\2",
    ):
        for _ in range(50):
            path.write_bytes(bytes(rng.choice(list(alphabet), size).astype(np.uint8)))
            assert recognize(path).kind in WORDS


class Counting(io.FileIO):
    """Counts what is asked for."""

    asked = 0

    def read(self, size=-1):
        data = super().read(size)
        self.asked += len(data)
        return data


@pytest.mark.parametrize(
    "start", [b"\x08\x0a\x3a\xff\xff\xff\x7f", b"PK\3\4", b"{", b"(dp0\n"]
)
def test_few_bytes_of_a_large_file_are_read(tmp_path, start):
    path = tmp_path / "a"
    with path.open("wb") as file:
        file.write(start)
        file.truncate(8 << 30)  # mostly a hole
    with Counting(path) as file:
        assert recognize(path, file).kind in WORDS
        assert 0 < file.asked < 40 << 20


@pytest.mark.parametrize("few", [zipfile.ZIP_FILECOUNT_LIMIT, 1])
def test_an_archive_of_many_records_is_recognized_by_one_of_the_last(
    tmp_path, monkeypatch, few
):
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", few)  # with more, a longer end
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(5000):
            archive.writestr(f"archive/data/{i}", b"")
        archive.writestr("archive/data.pkl", b"")
    assert (b"PK\6\6" in path.read_bytes()) == (few == 1)
    assert recognize(path).kind == "torch zip"


@pytest.mark.parametrize("name", ["torch zip", "legacy", "program", "onnx", "safetensors"])
@pytest.mark.filterwarnings("ignore")
def test_damaged_files_end_in_documented_errors(tmp_path, name):
    path = tmp_path / "a"
    for new in mutations(KINDS[name][1]):
        path.write_bytes(new)
        assert recognize(path).kind in WORDS
        for loader in LOADERS.keys() - {"session", "describe"}:
            try:
                LOADERS[loader](path)
            except DOCUMENTED as error:
                assert_no_unsafe_advice(words_of(error))
                assert str(path) in words_of(error) or "state dict" in words_of(error)


def test_a_directory_that_claims_the_whole_file_is_read_in_part(tmp_path):
    path = tmp_path / "a.zip"
    with path.open("wb") as file:
        file.write(b"PK\3\4")
        file.truncate(100 << 20)
        file.seek(0, io.SEEK_END)
        file.write(b"PK\5\6" + bytes(18))
    with Counting(path) as file:
        assert recognize(path, file).kind == "zip"
        assert file.asked < 40 << 20


def test_a_large_directory_is_found_whose_small_fields_are_full(tmp_path):
    (tmp_path / "a").write_bytes(empties(9).getvalue())
    assert recognize(tmp_path / "a").kind == "zip"


def test_a_damaged_directory_is_named(tmp_path):
    path = tmp_path / "a.pt"
    path.write_bytes(KINDS["torch zip"][1].replace(b"PK\1\2", b"PK\1\3"))
    found = recognize(path)
    assert (found.kind, found.evidence) == ("cut zip", "its directory is damaged")
    assert "or with a damaged one: it was cut short or changed" in str(found)


@pytest.mark.parametrize(
    "first", [b"N", b"\x88", b"K\1", b"I1\n", b"S'hello'\n", b"C\1a", b")", b"V\n"]
)
@pytest.mark.parametrize("behind", [b"", b"\0" * 5000, b"words " * 1000])
def test_a_pickle_that_begins_with_any_instruction_is_one(tmp_path, first, behind):
    path = tmp_path / "a.bin"
    path.write_bytes(first + b"0cos\nsystem\n(S'echo'\ntR." + behind)
    assert recognize(path).kind == "pickle"


WORDY = [
    *("(() => {" + end * 900 for end in ("", "\n", "cut ")),
    *(line * 900 for line in ("None of it. ", "Version\nof it.\n", "cattr/a.py,sha\n")),
    *(line * 900 for line in ('"""A module."""\n', ":mod:`email`\n")),
    *("No.", "I am.", "V.\n.", "].", "CMP0046\n-------\n\nError on it." + "\n.." * 90),
    "Git v1.7\n========\n\nFixes since v1.7.\n" * 90,
    '((global,factory)=>{"object"==typeof exports' * 900,
]


@pytest.mark.parametrize("words", WORDY)
def test_text_is_text_though_letters_are_instructions_or_fields(tmp_path, words):
    (tmp_path / "a.txt").write_text(words)
    assert recognize(tmp_path / "a.txt").kind == "text"


@pytest.mark.parametrize("data", [b"\xff\xfe\0\xd8" * 9, b"\xfe\xff" + bytes(99)])
def test_a_mark_of_utf_16_before_what_is_no_text(tmp_path, data):
    (tmp_path / "a").write_bytes(data)
    assert recognize(tmp_path / "a").kind == "unknown"
    (tmp_path / "a").write_bytes(data[:2])
    assert recognize(tmp_path / "a").kind == "utf-16"
    (tmp_path / "a").write_bytes(b"\xff\xfe" + b"a\0" * 5000 + b"\0")
    assert "beginning '" + "a" * 60 + "'" in recognize(tmp_path / "a").is_


@pytest.mark.parametrize("protocol", range(5))
def test_a_long_pickle_is_one_wherever_its_beginning_ends(tmp_path, protocol):
    values = {f"key {i}": [i, float(i), None, "x" * (i % 7)] for i in range(400)}
    for length in range(60):  # so that any instruction stands where the reading stops
        path = tmp_path / "a"
        path.write_bytes(pickle.dumps({"k" * length: 1, **values}, protocol))
        assert recognize(path).kind == "pickle"
