"""`python -m helpers inspect`: its words and its exit codes."""

import json
import subprocess
import sys

from helpers.model_files.inspect_command import main
from tests import ROOT
from tests.model_files import torch_samples as samples


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
