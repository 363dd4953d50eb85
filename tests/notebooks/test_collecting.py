"""nbval collects every cell of every notebook."""

import re
import shutil
import subprocess
import sys
from collections import Counter

from tests.notebook_rules import NOTEBOOKS, ROOT, read
from tests.notebook_rules.reading import code


def test_every_code_cell_of_every_notebook_is_collected():
    command = [sys.executable, "-m", "pytest", "--nbval", "--collect-only", "-q"]
    command.append("notebooks")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    collected = Counter(re.findall(r"(?m)^(.+\.ipynb)::Cell \d+$", done.stdout))
    on_disk = {
        path.relative_to(ROOT).as_posix(): len(code(read(path).cells)) for path in NOTEBOOKS
    }
    assert len(NOTEBOOKS) >= 2
    assert collected == on_disk, done.stdout + done.stderr


def test_copies_for_guessing_first_are_nobodys_but_the_learners(tmp_path):
    shutil.copy(ROOT / "conftest.py", tmp_path)
    for folder in (tmp_path / "notebooks", tmp_path / "notebooks/guess_first"):
        folder.mkdir()
        shutil.copy(NOTEBOOKS[0], folder)
    command = [sys.executable, "-m", "pytest", "-c", ROOT / "pyproject.toml", "--nbval"]
    command += [f"--rootdir={tmp_path}", "--collect-only", "-q", tmp_path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert NOTEBOOKS[0].name in done.stdout
    assert "guess_first" not in done.stdout
    assert not any("guess_first" in path.parts for path in NOTEBOOKS)
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    assert "/notebooks/guess_first/" in ignored


def test_beside_the_notebooks_nothing_lies_that_a_learner_need_not_see():
    command = ["git", "ls-files", "notebooks"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [path.relative_to(ROOT).as_posix() for path in NOTEBOOKS]
