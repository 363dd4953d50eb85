"""The same things in the same places, so that a learner never has to look for them."""

import re
from pathlib import Path

from tests.make_notebooks import FOLDED
from tests.notebook_rules.course_map import table
from tests.notebook_rules.reading import (
    code,
    prose,
    read,
    section,
    sections,
    shown,
    without_code,
)

HEADINGS = (
    "You will be able to",
    "Set-up",
    "?",  # one section or more, each a question
    "Break it",
    "Try it",
    "Further",  # optional reading, folded
    "Exercises",
    "What you saw",
)
MAY_LACK = {"00": {"Break it"}, "14": {"Break it", "Exercises"}}
OFFICIAL = (
    "docs.pytorch.org",
    "docs.python.org",
    "huggingface.co/docs",
    "jupyterlab.readthedocs.io",
    "onnx.ai",
    "onnxruntime.ai",
    "docs.openvino.ai",
)


def title(notebook, path: Path) -> list[str]:
    """Number and name, one sentence, one line with the minutes and the way on."""
    blocks = notebook.cells[0].source.split("\n\n")
    if notebook.cells[0].cell_type != "markdown" or len(blocks) != 3:
        return ["the first cell is to hold a title, a sentence and a line, and no more"]
    name, promise, line = blocks
    faults = []
    if not re.fullmatch(rf"# {path.name[:2]} · \S.*", name):
        faults.append(f"title {name!r}; expected '# {path.name[:2]} · Name'")
    if len(re.findall(r"[.!?](?=\s|$)", promise)) != 1 or not promise.endswith("."):
        faults.append(f"{promise!r} is not one sentence")
    links = _navigation(path)
    if not re.fullmatch(rf"\*\d+ minutes · know first: [^·]+ · {re.escape(links)}\*", line):
        faults.append(f"{line!r}; expected '*MM minutes · know first: ... · {links}*'")
    return faults


def _navigation(path: Path) -> str:
    names = sorted(some.name for some in path.parent.glob("*.ipynb"))
    here = names.index(path.name)
    links = ["[index](../README.md#the-map)"]
    if here > 0:
        links.insert(0, f"previous: {_link(path.with_name(names[here - 1]))}")
    if here + 1 < len(names):
        links.append(f"next: {_link(path.with_name(names[here + 1]))}")
    return " · ".join(links)


def _link(path: Path) -> str:
    first_line = read(path).cells[0].source.partition("\n")[0]
    return f"[{first_line.removeprefix('# ')}]({path.name})"


def headings(notebook, path: Path) -> list[str]:
    """The headings of HEADINGS, in that order."""
    faults, found = [], []
    for some in sections(notebook):
        if not (some.is_question and found[-1:] == ["?"]):
            kind = "Further" if some.is_further else some.heading
            found.append("?" if some.is_question else kind)
    may_lack = MAY_LACK.get(path.name[:2], set()) | {"Further"}
    expected = [some for some in HEADINGS if some in found or some not in may_lack]
    if found != expected:
        faults.append(f"headings are {found}; expected {expected} ('?': questions)")
    for cell in prose(notebook.cells):
        if re.search(r"\n##? ", without_code(cell.source)):
            faults.append(f"{cell.id}: a heading is to be the first line of its cell")
        if bool(cell.metadata.get(FOLDED)) != cell.source.startswith("## Further: "):
            faults.append(f"{cell.id}: '## Further: ...' is to be folded, and nothing else")
    return faults


def set_up(notebook, path: Path) -> list[str]:
    """One cell with the imports, one seed, and the versions in one line."""
    cells = code(section(notebook, "Set-up").cells)
    if [cell.id for cell in cells] != ["set-up"]:
        return ["the section '## Set-up' is to hold one code cell, with the id 'set-up'"]
    faults = []
    if "seed_everything(" not in cells[0].source:
        faults.append("set-up: no seed; call seed_everything(0)")
    if not re.fullmatch(r"Python \d.*\n", shown(cells[0])):
        faults.append(f"set-up: shows {shown(cells[0])!r}; expected one line of versions")
    return faults


def predict_and_read(notebook, path: Path) -> list[str]:
    """Every question asks for a guess, runs, and says what the output showed."""
    faults = []
    for some in sections(notebook):
        for part in some.text.split("\n### ")[1:] if some.is_further else ():
            missing = [w for w in ("*Predict:*", "*Read:*") if w not in part]
            faults += [f"{part.splitlines()[0]!r}: no {word}" for word in missing]
        if some.is_question and code(some.cells):
            missing = [w for w in ("*Predict:*", "*Read:*") if w not in some.text]
            faults += [f"{some.heading!r}: no {word}" for word in missing]
        # The map in notebook 00 is there to be read.
        elif some.is_question and not (path.name.startswith("00") and table(some.text)):
            faults.append(f"{some.heading!r}: nothing is run")
    return faults


def recap(notebook, path: Path) -> list[str]:
    """The promises come back in their order, each with a number; and where to read on."""
    faults = []
    promises = section(notebook, "You will be able to").bullets
    last = section(notebook, "What you saw")
    if not 3 <= len(promises) <= 5:
        faults.append(f"{len(promises)} promises; expected 3 to 5 bullets")
    if len(promises) != len(last.bullets):
        faults.append(f"{len(promises)} promises, {len(last.bullets)} bullets at the end")
    for promise, kept in zip(promises, last.bullets, strict=False):
        if not re.search(r"\d", kept):
            faults.append(f"{kept!r} has no number, in digits, that was measured here")
        words = [set(re.findall(r"\w{5,}", bullet.lower())) for bullet in (promise, kept)]
        if not words[0] & words[1]:
            faults.append(f"{kept!r} does not speak of the promise {promise!r}")
    if not any(f"](https://{site}" in last.text for site in OFFICIAL):
        faults.append(f"'What you saw' links to none of {', '.join(OFFICIAL)}")
    return faults
