"""Exercises, pictures and panels: what a learner looks at and works with."""

import html
import re
from itertools import zip_longest
from pathlib import Path

from tests.notebook_rules.reading import code, plain, prose, section, sections, tags

FEWEST_EXERCISES = {"00": 1, "14": 0}  # elsewhere 2
STEPS = ("exercise", "solution")


def exercises(notebook, path: Path) -> list[str]:
    """Each exercise has its text, a stub that checks, and a folded solution that passes."""
    number, faults, used = path.name[:2], [], set()
    inside = section(notebook, "Exercises")
    ids = re.findall(r"\*\*(\d\d\.\d+)\*\*", inside.text)
    fewest = FEWEST_EXERCISES.get(number, 2)
    if len(ids) < fewest:
        faults.append(f"{len(ids)} exercises; at least {fewest} are due, each as **NN.N**")
    if ids != [f"{number}.{k}" for k in range(1, len(ids) + 1)]:
        faults.append(f"exercises {ids}; expected {number}.1 and so on, in order")
    for id in ids:
        at = next(k for k, cell in enumerate(inside.cells) if f"**{id}**" in cell.source)
        pair = inside.cells[at + 1 : at + 3]
        tagged = [tag in tags(cell) for tag, cell in zip(STEPS, pair, strict=False)]
        if tagged != [True, True]:
            faults.append(f"{id}: after its text no cells tagged {' and '.join(STEPS)}")
            continue
        used |= {cell.id for cell in pair}
        for cell, state in zip(pair, ("Not tried yet", "Right"), strict=True):
            if f'exercises.check("{id}", ' not in cell.source:
                faults.append(f'{cell.id}: does not call exercises.check("{id}", ...)')
            said = "".join(map(plain, cell.get("outputs", [])))
            if not said.startswith(f"Exercise {id} · {state}"):
                faults.append(f"{cell.id}: says {said!r}; expected {state!r}")
        folded = pair[1].metadata.get("jupyter", {})
        for key in ("source_hidden", "outputs_hidden"):
            if not folded.get(key):
                faults.append(f"{pair[1].id}: the solution is not folded ({key})")
        # JupyterLab unfolds an output when its cell runs, at *Run All* for instance.
        if len(pair[1].get("outputs", [])) != 1:
            faults.append(f"{pair[1].id}: shows more than the verdict, so it gives it away")
        if not pair[1].source.startswith("#"):
            faults.append(f"{pair[1].id}: its first line, which shows, is not a comment")
    for cell in notebook.cells:
        if set(STEPS) & set(tags(cell)) and cell.id not in used:
            faults.append(f"{cell.id}: belongs to no exercise")
    return faults


def pictures(notebook, path: Path) -> list[str]:
    """Every picture says in words what it shows."""
    faults = []
    for cell in prose(notebook.cells):
        if re.search(r'!\[\s*\]\(|<img(?![^>]*\balt="[^"]+)', cell.source):
            faults.append(f"{cell.id}: a picture without a text alternative")
    for cell in code(notebook.cells):
        for output, after in zip_longest(cell.outputs, cell.outputs[1:], fillvalue={}):
            data = output.get("data", {})
            printed = after.get("text", "") if after.get("name") == "stdout" else ""
            if {"image/png", "image/jpeg"} & set(data) and not re.search(r"\w \w", printed):
                faults.append(f"{cell.id}: a bitmap without a sentence printed after it")
            if "image/svg+xml" in data:
                faults += [f"{cell.id}: {why}" for why in _silent(data, printed)]
    return faults


def _silent(data, printed: str) -> list[str]:
    root = re.search(r"<svg\b[^>]*>", data["image/svg+xml"])
    label = re.search(r'\baria-label="([^"]+)"', root[0] if root else "")
    if not label or 'role="img"' not in root[0]:
        return ['an svg without role="img" and aria-label']
    said = " ".join(f"{data.get('text/plain', '')} {printed}".split())
    if " ".join(html.unescape(label[1]).split()) not in said:
        return ["the words of a picture are neither its text/plain nor printed after it"]
    return []


def panels(notebook, path: Path) -> list[str]:
    """Every live view has words that nbval compares, every panel a form for paper."""
    faults = []
    for some in sections(notebook):
        cells = code(some.cells)
        for k, cell in enumerate(cells):
            texts = [plain(output) for output in cell.outputs]
            # A widget's own repr; it is cut short, so that little would be compared.
            if any(re.search(r"\blayout=Layout\(|\bchildren=\(", text) for text in texts):
                faults.append(f"{cell.id}: a widget that shows its repr, not its words")
            is_live = any(text.startswith("Panel(") for text in texts)
            if is_live and not any(map(_is_static, cells[k + 1 :])):
                faults.append(f"{cell.id}: no table or figure for paper after the panel")
    return faults


def _is_static(cell) -> bool:
    words = ("Panel(", "Quiz:")
    return any(not plain(output).startswith(words) for output in cell.outputs)
