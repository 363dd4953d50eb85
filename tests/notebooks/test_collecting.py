"""nbval collects every cell of every notebook."""

import re
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
