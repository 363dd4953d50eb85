"""Altered helpers are caught: `make mutations`, which the other tests leave out.

In copies of each notebook some lines of helpers are altered; exactly the cells that are
named must fail. A notebook is not run again while all that decides is as it was when its
copies last passed: the notebook, what tests/course knows of it, helpers, and installed
packages. So a fresh clone runs all. To run all again: make mutations ARGS=--cache-clear
"""

import functools
import hashlib
import platform
from importlib.metadata import distributions
from pathlib import Path

import pytest

from tests.course import known
from tests.notebook_rules import FOLDER, ROOT, read
from tests.notebooks import comparing

ROUNDS = {stem: some.ROUNDS for stem, some in known().items() if some.ROUNDS}


@functools.cache
def shared() -> list[bytes]:
    """Return what decides for every notebook: code, data and the installed packages."""
    files = [
        path
        for path in sorted((ROOT / "helpers").rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    ]
    files += [Path(__file__), Path(comparing.__file__), ROOT / "tests/sanitize.cfg"]
    files += [FOLDER / "conftest.py", ROOT / "pyproject.toml"]
    packages = {f"{some.name}=={some.version}" for some in distributions()}
    machine = [platform.python_version(), platform.machine(), *sorted(packages)]
    named = (path.relative_to(ROOT).as_posix().encode() for path in files)
    return [*named, *(path.read_bytes() for path in files), *map(str.encode, machine)]


def digest(stem: str) -> str:
    """Return what changes when anything does on which a notebook's rounds depend."""
    own = (FOLDER / f"{stem}.ipynb", ROOT / f"tests/course/notebook_{stem[:2]}.py")
    parts = [hashlib.sha256(some) for some in (*shared(), *(f.read_bytes() for f in own))]
    return hashlib.sha256(b"".join(part.digest() for part in parts)).hexdigest()


def has_passed(stem: str, cache: pytest.Cache) -> bool:
    """Tell whether the rounds of a notebook have passed as everything is now."""
    return cache.get(f"mutations/{stem}", None) == digest(stem)


@pytest.fixture(scope="module")
def failures(request, tmp_path_factory):
    """The name of each copy that has to run -> its cells that failed and what was said."""
    chosen = [item.callspec.params["stem"] for item in request.session.items]
    copies = comparing.Copies(tmp_path_factory.mktemp("copies"))
    for stem in chosen:
        if not has_passed(stem, request.config.cache):
            for k, mutations in enumerate(ROUNDS[stem]):
                notebook = read(FOLDER / f"{stem}.ipynb")
                copies.add(f"{stem}-{k}", stem, notebook, mutations)
    return copies.failures() if copies.stems else {}


@pytest.mark.parametrize("stem", ROUNDS)
def test_exactly_the_named_cells_catch_the_altered_lines(
    stem, failures, pytestconfig, capsys
):
    if has_passed(stem, pytestconfig.cache):
        with capsys.disabled():
            print(f"\n{stem}: not run again; all is as it was when it last passed.")
        return
    faults = []
    for k, mutations in enumerate(ROUNDS[stem]):
        failed = failures[f"{stem}-{k}"]
        named = [(cell, some) for some in mutations for cell in some.caught_by.split()]
        for cell, some in named:
            said = failed.get(cell, "it passed")
            if "Cell outputs differ" not in said and "caused an exception" not in said:
                faults.append(f"round {k}, {cell} is to catch {some}: {said}")
        cells = [cell for cell, _ in named]
        others = failed.keys() - set(cells)
        faults += [f"round {k}, {cell} fails as well: {failed[cell]}" for cell in others]
        if len(set(cells)) < len(cells):
            faults.append(f"round {k}: each alteration needs cells of its own")
    assert not faults, "\n".join(faults)
    pytestconfig.cache.set(f"mutations/{stem}", digest(stem))
