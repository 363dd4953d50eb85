"""`inspect_file` on whatever a path can be; and the same with bytes changed at random."""

import json
import os
import pickle
import random
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from onnx import numpy_helper
from safetensors.torch import save

from helpers.model_files import FileReport, inspect_file
from helpers.model_files.inspecting import main
from tests import ROOT
from tests.model_files import torch_samples as samples
from tests.model_files.readers import ROUNDS, mutated
from tests.model_files.samples import onnx_model
from tests.model_files.test_second_looks import front_of

LEFT_OUT = """
import sys
from helpers.model_files import inspect_file
for path in sys.argv[1:]:
    report = inspect_file(path, verify=True)
    str(report), report.to_json(), report._repr_html_()
print({"torch", "numpy", "onnx", "safetensors", "pandas"} & set(sys.modules))
"""


def kinds() -> dict[str, bytes]:
    model, optimizer = samples.trained()
    state = model.state_dict()
    return {
        "zip": samples.saved({"state_dict": state, "optimizer": optimizer.state_dict()}),
        "legacy": samples.legacy(state),
        "pickle": pickle.dumps(state),
        "old pickle": pickle.dumps({"a": [1, 2], "b": b"c"}, 0),
        "whole": samples.saved(model),
        "evil": samples.saved({"a": samples.Runs()}),
        "script": samples.scripted(),
        "exported": samples.exported(),
        "tar": samples.tar(),
    }


KINDS = kinds()


def test_neither_torch_nor_numpy_nor_onnx_is_imported(tmp_path):
    paths = []
    for name, data in KINDS.items():
        paths.append(tmp_path / f"{name}.pt")
        paths[-1].write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", LEFT_OUT, *map(str, paths)],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("set()\n", "")


def altered(kind: str, draw: random.Random) -> bytes:
    if kind == "pickle in a zip":  # with the right checksum, so that it is followed
        return samples.with_pickle(mutated(pickle.dumps(samples.VARIED, 2), draw))
    return mutated(KINDS[kind], draw)


@pytest.mark.parametrize("kind", [*KINDS, "pickle in a zip"])
def test_whatever_is_changed_the_report_comes_quickly_and_nothing_runs(
    kind, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    draw, path = random.Random(kind), tmp_path / "a.pt"
    for turn in range(ROUNDS):
        path.write_bytes(altered(kind, draw))
        started = time.process_time()
        report = inspect_file(path, verify=turn % 2 == 0)
        str(report), report._repr_html_(), report.to_json()
        assert time.process_time() - started < 5
        assert report.safety in ("safe", "unsafe", "unknown")
        if report.structure == "damaged":
            assert report.structure_why or report.kind in ("empty", "zeros", "cut zip")
            assert report.opens == []
    assert [some.name for some in tmp_path.iterdir()] == ["a.pt"], "nothing ran"


@pytest.mark.parametrize("kind", ["zip", "evil", "legacy"])
def test_a_change_never_makes_a_dangerous_name_safe(kind, tmp_path):
    """What torch finds in a changed pickle, which it would not import, is found here."""
    draw, path = random.Random(1), tmp_path / "a.pt"
    data = samples.with_pickle(pickle.dumps({"a": samples.Runs(print, "ran")}, 2))
    for _ in range(100):
        path.write_bytes(mutated(data, draw))
        report = inspect_file(path)
        try:
            found = set(torch.serialization.get_unsafe_globals_in_checkpoint(path))
        except Exception:
            continue
        if found:
            assert report.safety != "safe"


def test_a_file_that_is_safe_for_us_is_opened_by_torch(tmp_path):
    draw, path, opened = random.Random(2), tmp_path / "a.pt", 0
    for _ in range(100):
        path.write_bytes(mutated(KINDS["zip"], draw))
        report = inspect_file(path, verify=True)
        if report.structure == report.bytes_checked == "whole":
            exec("\n".join(report.opens), {})
            opened += 1
    assert opened > 0


def test_what_is_no_regular_file(tmp_path):
    assert inspect_file(tmp_path).kind == "folder"
    os.mkfifo(tmp_path / "pipe")
    report = inspect_file(tmp_path / "pipe", verify=True)
    assert "reading it could wait forever" in str(report)
    with socket.socket(socket.AF_UNIX) as here:
        here.bind(str(tmp_path / "s"))
        assert inspect_file(tmp_path / "s").kind == "no file"
    assert inspect_file(os.devnull).kind == "no file"


def test_links(tmp_path):
    (tmp_path / "a.pt").write_bytes(KINDS["zip"])
    (tmp_path / "link.pt").symlink_to("a.pt")
    assert inspect_file(tmp_path / "link.pt").structure == "whole"
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="symbolic links"):
        inspect_file(tmp_path / "loop")


def test_what_cannot_be_opened(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing"):
        inspect_file(tmp_path / "missing.pt")
    with pytest.raises(FileNotFoundError, match="is no path"):
        inspect_file("a\0b")
    with pytest.raises(TypeError):
        inspect_file(None)


def test_an_empty_file_and_a_text(tmp_path):
    (tmp_path / "a.pt").write_bytes(b"")
    report = inspect_file(tmp_path / "a.pt")
    assert (report.kind, report.structure) == ("empty", "damaged")
    (tmp_path / "a.pt").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:1\n"
    )
    report = inspect_file(tmp_path / "a.pt")
    assert isinstance(report, FileReport) and "git lfs pull" in str(report)
    assert "Its suffix .pt promises something else." in report.notes


def test_what_wrappers_left_in_a_safetensors_file(tmp_path):
    from safetensors.torch import save_file

    save_file(dict(samples.wrapped("module.")), tmp_path / "a.safetensors")
    report = inspect_file(tmp_path / "a.safetensors")
    found = {}
    exec("\n".join(report.opens), found)
    assert found["state_dict"].keys() == samples.net().state_dict().keys()


def test_exit_codes_and_words(tmp_path, capsys):
    path = tmp_path / "a.pt"
    path.write_bytes(samples.saved(samples.net().state_dict()))
    assert main([str(path)]) == 0
    assert "structure: whole; bytes not checked" in capsys.readouterr().out
    assert main([str(path), "--verify"]) == 0
    assert "every byte is as it was written" in capsys.readouterr().out
    assert main([str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "torch zip"
    path.write_bytes(samples.saved(samples.Runs()))
    assert main([str(path)]) == 1
    path.write_bytes(path.read_bytes()[:-100])
    assert main([str(path)]) == 1
    capsys.readouterr()
    assert main([str(tmp_path / "none.pt")]) == 2
    assert "No such file" in capsys.readouterr().err


def test_through_the_door(tmp_path):
    (tmp_path / "a.pt").write_bytes(samples.saved({"\ud800": 1, "größe": 2}))
    done = subprocess.run(
        [sys.executable, "-m", "helpers", "inspect", str(tmp_path / "a.pt")],
        cwd=ROOT, capture_output=True, text=True, env={"PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "a dictionary without weights" in done.stdout
    assert "gr\\xf6\\xdfe = 2" in done.stdout


@pytest.mark.parametrize("kind", ["safetensors", "npy", "onnx", "gguf"])
def test_what_is_damaged_is_not_safe(tmp_path, kind):
    whole = {
        "safetensors": save({"w": torch.ones(9)}),
        "npy": b"\x93NUMPY\1\0\x38\0{'descr': '<f4', 'fortran_order': False, 'shape': (9,)}"
        + bytes(36),
        "onnx": onnx_model(w=numpy_helper.from_array(np.ones(9))).SerializeToString(),
        "gguf": front_of("gguf", b"text"),
    }
    (tmp_path / "a").write_bytes(whole[kind][:-40])
    report = inspect_file(tmp_path / "a")
    assert (report.structure, report.safety) == ("damaged", "unknown")
    assert report.safety_why == "its structure is damaged"


def test_a_name_of_thousands_of_parts_is_judged_at_once_and_not_shown_whole(tmp_path):
    path, names = tmp_path / "a.pkl", [b"a." * 16_000 + b"b%d" % i for i in range(50)]
    path.write_bytes(
        b"\x80\2" + b"".join(b"c" + name + b"\nc\n0" for name in names) + b"N."
    )
    started = time.process_time()
    report = inspect_file(path)
    assert time.process_time() - started < 2
    assert report.safety == "unsafe" and set(report.names.values()) == {"dangerous"}
    assert len(str(report)) < 5000 and len(report.to_json()) < 10_000


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has it")
def test_a_report_that_cannot_be_written_ends_in_a_sentence():
    command = [sys.executable, "-m", "helpers", "inspect", __file__]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1 and "cannot be written" in done.stderr
