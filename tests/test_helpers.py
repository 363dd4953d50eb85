"""Of all helpers: rules that ruff cannot hold, and proof that the tools hold the others."""

import ast
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests import ROOT

TREES = {
    file.relative_to(ROOT): ast.parse(file.read_text(encoding="utf-8"))
    for file in sorted((ROOT / "helpers").rglob("*.py"))
}


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, **options)


def imported(file: Path, tree: ast.AST) -> set[str]:
    """Every module or name that a file imports, also inside functions; dotted, absolute."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = file.parent.parts
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            name = ".".join(part for part in (base, node.module) if part)
            found |= {f"{name}.{alias.name}" for alias in node.names}
    return found


def test_nothing_is_imported_under_another_modules_private_name():
    private = [
        (file.as_posix(), name)
        for file, tree in TREES.items()
        for name in imported(file, tree)
        if name.startswith("helpers.")
        and any(part.startswith("_") and part[:2] != "__" for part in name.split("."))
    ]
    assert private == []


def test_the_package_itself_imports_nothing():
    # So each module can be imported where only its own requirements are installed.
    file = Path("helpers/__init__.py")
    assert imported(file, TREES[file]) == set()


def test_no_two_modules_have_a_public_class_of_one_name():
    classes = Counter(
        node.name
        for tree in TREES.values()
        for node in tree.body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, count in classes.items() if count > 1] == []


@pytest.mark.parametrize(
    "module", ["measurement", "doctor", "lab", "classroom.setup.install", "__main__"]
)
def test_these_are_imported_without_torch(module):
    # They have to work, or to say what is missing, where torch is not installed.
    code = f"import sys, helpers.{module}; print('torch' in sys.modules)"
    done = run(sys.executable, "-c", code, cwd=ROOT)
    assert done.stdout == "False\n", done.stderr


# What the tools hold.


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("from urllib.request import urlopen", "TID251"),
        ("import urllib\n\npage = urllib.request.urlopen", "TID251"),
        ("import requests.adapters", "TID251"),
        ("def f():\n    import http.client", "TID251"),
        ('def f():\n    """Returns a number."""', "D401"),
        ("def f():\n    return 1", "D103"),
        ("class Public:\n    def method(self):\n        return 1", "D102"),
    ],
)
@pytest.mark.parametrize("place", ["helpers/atomic.py", "helpers/classroom/panel/new.py"])
def test_ruff_refuses_the_network_and_names_without_a_docstring(line, rule, place):
    command = ["-m", "ruff", "check", "--output-format=concise", "--stdin-filename", place]
    done = run(
        sys.executable, *command, "-", input=f'"""A module."""\n\n{line}\n', cwd=ROOT
    )
    assert f": {rule} " in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        ("doctor.py", "from helpers.classroom import doctor", None),
        ("atomic.py", "from helpers.classroom import doctor", "The library does not"),
        ("atomic.py", "def f():\n    import helpers.checkpoints", "No circles"),
    ],
)
def test_import_linter_refuses_the_classroom_and_circles(tmp_path, file, line, broken):
    small = {
        "__init__.py": "",
        "atomic.py": "",
        "checkpoints.py": "import helpers.atomic\n",
        "doctor.py": "",
        "lab.py": "",
        "classroom/__init__.py": "",
        "classroom/doctor.py": "",
    }
    (tmp_path / "helpers" / "classroom").mkdir(parents=True)
    for name, text in {**small, file: line}.items():
        (tmp_path / "helpers" / name).write_text(text)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = run(sys.executable, "-P", "-c", code, "--no-cache", cwd=tmp_path)
    found = [each for each in done.stdout.splitlines() if each.endswith("BROKEN")]
    assert len(found) == (broken is not None), done.stdout + done.stderr
    assert done.returncode == len(found)
    assert not found or found[0].startswith(broken)
