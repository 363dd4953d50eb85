"""Helpers import only what stands above them, are documented, and stay off the network."""

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from helpers import ORDER

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "helpers").rglob("*.py"))
MODULES = [file for file in FILES if file != ROOT / "helpers" / "__init__.py"]
NETWORK = ("urllib.request", "requests", "http.client", "httpx", "aiohttp", "ftplib")
each_module = pytest.mark.parametrize("file", MODULES, ids=lambda file: room(file, True))


def room(file: Path, whole: bool = False) -> str:
    """The name in ORDER: a package counts as one."""
    parts = file.relative_to(ROOT / "helpers").with_suffix("").parts
    return ".".join(parts) if whole else parts[0]


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
            # `from helpers import charts` imports helpers.charts.
            found |= {name, *(f"{name}.{alias.name}" for alias in node.names)}
    return found


def from_helpers(file: Path) -> set[str]:
    """The rooms of ORDER that the file imports, its own left out."""
    names = {name.split(".")[1] for name in imports(file) if name.startswith("helpers.")}
    rooms = {name for name in names if name in ORDER or is_room(name)}
    return rooms - {room(file)}


def is_room(name: str) -> bool:
    return any(room(file) == name for file in MODULES)


def test_every_module_has_its_place_in_the_order_once():
    assert {room(file) for file in MODULES} <= set(ORDER)
    assert len(set(ORDER)) == len(ORDER)


@each_module
def test_a_module_imports_only_what_stands_above_it(file):
    above = set(ORDER[: ORDER.index(room(file))])
    assert from_helpers(file) <= above


def test_helpers_itself_imports_nothing():
    assert imports(ROOT / "helpers" / "__init__.py") == set()


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


def test_the_rule_finds_what_it_is_there_for(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    file = tmp_path / "helpers" / "explorers" / "one.py"
    file.parent.mkdir(parents=True)
    file.write_text(
        "import helpers.digits\n"
        "from helpers import claims\n"
        "from helpers.panel import Panel\n"
        "from . import two\n"
        "from ..charts import Chart\n"
        "def late():\n    from helpers.doctor import report\n    import urllib.request\n"
        "def _private(): ...\n"
        "class Some:\n    def method(self): ...\n"
    )
    rooms = {"digits", "claims", "panel", "charts", "doctor"}
    assert from_helpers(file) == rooms
    assert rooms - set(ORDER[: ORDER.index("explorers")]) == {"claims", "doctor"}
    assert "urllib.request" in imports(file)
    names = [node.name for node in public(ast.parse(file.read_text()))]
    assert names == ["late", "Some", "method"]


@pytest.mark.parametrize("module", ["measurement", "doctor", "install", "lab"])
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
