"""What the tests know of each notebook, one module each: `notebook_NN.py`.

Each module has `IGNORED` (cells that are not compared, and why), `SHOWN` where a cell
warns or uses a deprecated call on purpose, `WRONG_ANSWERS` and `RIGHT_ANSWERS` for its
exercises, `MEASUREMENTS` for its claims, and `CELLS`, `EDITS` and `ROUNDS` for the copies
on which nbval must fail.
"""

import ast
import importlib
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import nbformat

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"


class Edit(NamedTuple):
    """A place in a cell (a field or a MIME type), a pattern, and what replaces it."""

    cell: str
    place: str
    old: str
    new: str


class Mutation(NamedTuple):
    """A line of a helper altered, and the cells of the copy whose outputs then differ."""

    file: str
    old: str
    new: str
    caught_by: str


def known() -> dict[str, ModuleType]:
    """Return the stem of each notebook -> what is known of it."""
    return {
        path.stem: importlib.import_module(f"tests.course.notebook_{path.name[:2]}")
        for path in sorted(FOLDER.glob("*.ipynb"))
    }


def gathered(name: str) -> dict:
    """Return one of the modules' dictionaries, of all notebooks together."""
    return {
        key: value
        for module in known().values()
        for key, value in getattr(module, name, {}).items()
    }


def run(source: str, **namespace):
    """Run a cell's source in the namespace; return the value of its last line."""
    *before, last = ast.parse(source).body
    exec(compile(ast.Module(before, []), "<cell>", "exec"), namespace)
    return eval(compile(ast.Expression(last.value), "<cell>", "eval"), namespace)


def cell(notebook: str, id: str) -> str:
    """Return the source of a cell of a notebook (its number is enough)."""
    [path] = FOLDER.glob(f"{notebook[:2]}_*.ipynb")
    [found] = [some.source for some in nbformat.read(path, 4).cells if some.id == id]
    return found
