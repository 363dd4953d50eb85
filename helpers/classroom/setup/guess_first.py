"""Copies of the notebooks without outputs, for learners who guess before they look."""

import copy
import hashlib
import json
import re
from pathlib import Path

from helpers.classroom.setup.course_folder import FOLDER

NOTEBOOKS = FOLDER / "notebooks"
NAME = "guess_first"
# In the folder: name of a copy -> digest of what was last written there.
RECORD = ".as_written.json"
# What the course has; a learner's own notebooks may lie beside.
OURS = re.compile(r"\d\d_\w+\.ipynb")


def without_outputs(notebook: dict) -> dict:
    """Return a copy of a notebook (nbformat 4) in which no cell has run."""
    notebook = copy.deepcopy(notebook)
    notebook["metadata"].pop("widgets", None)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    return notebook


def write(notebooks: Path = NOTEBOOKS) -> list[str]:
    """Write the copies, and bring those up to date that the learner has not touched.

    A copy that the learner has run, edited or saved is never overwritten. One that was
    deleted is written again.

    Args:
        notebooks: the folder of the course's notebooks; the copies go into one inside it.

    Returns:
        The names of copies that are older than the course, since the learner works there.
    """
    folder, older = notebooks / NAME, []
    folder.mkdir(exist_ok=True)
    record = folder / RECORD
    written = _read(record)
    for source in sorted(filter(_is_ours, notebooks.iterdir())):
        target, data = folder / source.name, _data(source)
        there = _digest(target.read_bytes()) if target.exists() else None
        if there in (None, written.get(source.name), _digest(data)):
            target.write_bytes(data)
            written[source.name] = _digest(data)
        elif written.get(source.name) != _digest(data):
            older.append(source.name)
    record.write_text(json.dumps(written, indent=1), encoding="utf-8")
    return older


def prepare() -> str:
    """Write the copies; say in a line what the learner has to know, if anything."""
    try:
        older = write()
    except (OSError, ValueError) as error:  # a notebook may be damaged
        return f"There are no copies without outputs: {error}"
    if not older:
        return ""
    return (
        f"You have worked in notebooks/{NAME}, in {', '.join(older)}: the course's changes "
        "are missing there. Rename your copy, and the next start writes a new one."
    )


def _is_ours(path: Path) -> bool:
    return OURS.fullmatch(path.name) is not None


def _read(record: Path) -> dict[str, str]:
    """Return what was last written; {} where nobody knows, and nothing is replaced."""
    try:
        return dict(json.loads(record.read_text("utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return {}


def _data(source: Path) -> bytes:
    notebook = without_outputs(json.loads(source.read_text("utf-8")))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            # What lies outside the notebooks' folder, or in its folders, is one level up.
            text = re.sub(r"\]\((?=\.\./|\w+/)", "](../", "".join(cell["source"]))
            cell["source"] = text.splitlines(keepends=True)
    return (json.dumps(notebook, indent=1, ensure_ascii=False) + "\n").encode()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
