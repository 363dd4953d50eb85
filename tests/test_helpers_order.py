"""Helpers import only what stands above them, are documented, and stay off the network."""

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests import ROOT

FILES = sorted((ROOT / "helpers").rglob("*.py"))
MODULES = [file for file in FILES if file != ROOT / "helpers" / "__init__.py"]
NETWORK = ("urllib.request", "requests", "http.client", "httpx", "aiohttp", "ftplib")
each_module = pytest.mark.parametrize(
    "file", MODULES, ids=lambda file: file.relative_to(ROOT).as_posix()
)


def imports(file: Path, tree: ast.AST | None = None) -> set[str]:
    """Every module that the file imports, also inside functions; dotted, absolute."""
    found = set()
    for node in ast.walk(tree or ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = file.relative_to(ROOT).parent.parts
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            name = ".".join(part for part in (base, node.module) if part)
            # `from helpers import charts` imports helpers.classroom.charts.
            found |= {name, *(f"{name}.{alias.name}" for alias in node.names)}
    return found


@each_module
def test_no_module_uses_the_network(file):
    for name in imports(file):
        assert not any(name == some or name.startswith(f"{some}.") for some in NETWORK), (
            name
        )
    text = file.read_text(encoding="utf-8")
    assert "urlopen" not in text and "urlretrieve" not in text


@each_module
def test_the_module_and_everything_public_in_it_has_a_docstring(file):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), "the module"
    for node in public(tree):
        assert ast.get_docstring(node), node.name


def public(tree) -> list:
    """Public functions and classes, and the public methods of those classes."""
    found = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if node.name.startswith("_"):
                continue
            found.append(node)
            if isinstance(node, ast.ClassDef):
                found += public(node)
    return found


def test_docstrings_of_functions_say_what_to_do_and_not_what_is_done():
    command = [sys.executable, "-m", "ruff", "check", "--select", "D401", "helpers"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_two_modules_have_a_public_class_of_one_name():
    trees = (ast.parse(file.read_text(encoding="utf-8")) for file in MODULES)
    classes = Counter(
        node.name for tree in trees for node in public(tree) if type(node) is ast.ClassDef
    )
    assert [name for name, count in classes.items() if count > 1] == []


@pytest.mark.parametrize(
    "module", ["measurement", "doctor", "lab", "classroom.setup.install", "__main__"]
)
def test_these_are_imported_without_torch(module):
    # They have to work, or to say what is missing, where torch is not installed.
    code = f"import sys, helpers.{module}; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout == "False\n", done.stderr


@each_module
def test_nothing_is_imported_under_another_modules_private_name(file):
    private = [
        name
        for name in imports(file)
        if name.startswith("helpers.") and name.rpartition(".")[2].startswith("_")
    ]
    assert private == []
