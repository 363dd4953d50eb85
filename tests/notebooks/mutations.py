"""Altered helpers are caught: `make mutations`, which the other tests leave out.

In copies of each notebook some lines of helpers are altered; exactly the cells that are
named must fail. So must cells that are edited: run here for the notebooks with an edited
source, while test_comparison.py compares all other edits. A notebook is not run again
while all that decides is as it was when its copies last passed: the notebook, what
tests/course knows of it, helpers, and installed packages. So a fresh clone runs all. To
run all again: make mutations ARGS=--cache-clear
"""

import functools
import hashlib
import platform
from collections.abc import Callable, Iterator
from importlib.metadata import distributions
from pathlib import Path

import pytest

from tests.course import known
from tests.notebook_rules import FOLDER, ROOT, read
from tests.notebooks import comparing

ROUNDS = {stem: some.ROUNDS for stem, some in known().items() if some.ROUNDS}
EDITS = {
    stem: some.EDITS
    for stem, some in known().items()
    if any(edit.place == "source" for edit in some.EDITS)
}


@functools.cache
def shared() -> list[bytes]:
    """Return what decides for every notebook: code, data and the installed packages."""
    files = [
        path
        for path in sorted((ROOT / "helpers").rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    ]
    files += [Path(__file__), Path(comparing.__file__), ROOT / "tests/sanitize.cfg"]
    files += [ROOT / "tests/course/__init__.py"]
    files += sorted((ROOT / "tests/notebook_rules").glob("*.py"))
    files += [ROOT / "conftest.py", ROOT / "pyproject.toml"]
    packages = {f"{some.name}=={some.version}" for some in distributions()}
    machine = [platform.python_version(), platform.machine(), *sorted(packages)]
    named = (path.relative_to(ROOT).as_posix().encode() for path in files)
    return [*named, *(path.read_bytes() for path in files), *map(str.encode, machine)]


def digest(stem: str) -> str:
    """Return what changes when anything does on which a notebook's rounds depend."""
    own = (FOLDER / f"{stem}.ipynb", ROOT / f"tests/course/notebook_{stem[:2]}.py")
    parts = [hashlib.sha256(some) for some in (*shared(), *(f.read_bytes() for f in own))]
    return hashlib.sha256(b"".join(part.digest() for part in parts)).hexdigest()


def mutation_faults(stem: str, failures: dict) -> Iterator[str]:
    """Say where the altered lines of a notebook are not caught by exactly their cells."""
    for k, mutations in enumerate(ROUNDS[stem]):
        failed = failures[f"{stem}-{k}"]
        named = [(cell, some) for some in mutations for cell in some.caught_by.split()]
        for cell, some in named:
            said = failed.get(cell, "it passed")
            if "Cell outputs differ" not in said and "caused an exception" not in said:
                yield f"round {k}, {cell} is to catch {some}: {said}"
        cells = [cell for cell, _ in named]
        for cell in failed.keys() - set(cells):
            yield f"round {k}, {cell} fails as well: {failed[cell]}"
        if len(set(cells)) < len(cells):
            yield f"round {k}: each alteration needs cells of its own"


def edit_faults(stem: str, failures: dict) -> Iterator[str]:
    """Say where not exactly the edited cells of a notebook fail, each for its edit."""
    failed = failures[f"{stem}-edited"]
    for cell in failed.keys() ^ {some.cell for some in EDITS[stem]}:
        yield f"{cell} is edited or fails, but not both: {failed.get(cell)}"
    for edit in EDITS[stem]:
        said = failed.get(edit.cell, "it passed")
        if "Cell outputs differ" not in said or comparing.said_of(edit) not in said:
            yield f"{edit} is not what fails: {said}"


CASES = [*((mutation_faults, stem) for stem in ROUNDS), *((edit_faults, s) for s in EDITS)]


def test_two_notebooks_are_run_with_their_edits():
    assert len(EDITS) >= 2


def has_passed(find: Callable, stem: str, cache: pytest.Cache) -> bool:
    """Tell whether no fault of a notebook was found when everything was as it is now."""
    return cache.get(f"{find.__name__}/{stem}", None) == digest(stem)


@pytest.fixture(scope="module")
def failures(request, tmp_path_factory):
    """The name of each copy that has to run -> its cells that failed and what was said."""
    copies = comparing.Copies(tmp_path_factory.mktemp("copies"))
    chosen = [item for item in request.session.items if "find" in item.fixturenames]
    for item in chosen:
        find, stem = item.callspec.params["find"], item.callspec.params["stem"]
        if has_passed(find, stem, request.config.cache):
            continue
        if find is edit_faults:
            copies.add(f"{stem}-edited", stem, comparing.edited(stem))
        else:
            for k, mutations in enumerate(ROUNDS[stem]):
                notebook = read(FOLDER / f"{stem}.ipynb")
                copies.add(f"{stem}-{k}", stem, notebook, mutations)
    return copies.failures() if copies.stems else {}


@pytest.mark.parametrize(
    ("find", "stem"), CASES, ids=lambda some: getattr(some, "__name__", some)
)
def test_exactly_the_cells_that_must_fail_do(find, stem, failures, pytestconfig, capsys):
    if has_passed(find, stem, pytestconfig.cache):
        with capsys.disabled():
            print(f"\n{stem}: not run again; all is as it was when this last passed.")
        return
    assert not (faults := list(find(stem, failures))), "\n".join(faults)
    pytestconfig.cache.set(f"{find.__name__}/{stem}", digest(stem))
