"""The map of the course: in notebook 00, in README.md, and in each notebook's title."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from tests.notebook_rules.reading import FOLDER, ROOT, read, section

MAP = "What is in the course?"


@dataclass(frozen=True)
class Row:
    """A line of the map: a notebook, made or planned."""

    number: str
    name: str
    minutes: str
    target: str = field(default="", compare=False)


def table(text: str) -> list[Row]:
    """Return the rows of the map in a text: | NN | name, or link | minutes | ..."""
    rows = []
    for line in re.findall(r"(?m)^\|(.*)\|\s*$", text):
        parts = [part.strip() for part in line.split("|")]
        if len(parts) >= 3 and re.fullmatch(r"\d\d", parts[0]):
            linked = re.fullmatch(r"\[(.+)\]\((.+)\)", parts[1])
            name, target = linked.groups() if linked else (parts[1], "")
            rows.append(Row(parts[0], name, parts[2], target))
    return rows


def course_map(notebook, path: Path) -> list[str]:
    """Notebook 00's map lists all, and gives each its own name and minutes."""
    number, first = path.name[:2], notebook
    if number != "00":
        first = read(FOLDER / "00_start_here.ipynb")
    rows = table(section(first, MAP).text)
    # Notebook 00 has no link to itself.
    faults = _check_links(rows, FOLDER, but="00") if number == "00" else []
    found = re.match(r"# \d\d · (.+)\n(?:.*\n)*\*(\d+) minutes", notebook.cells[0].source)
    here = Row(number, *(found.groups() if found else ("", "")))
    if here not in rows:
        listed = [row for row in rows if row.number == number]
        faults.append(f"this is {here}; the map of notebook 00 says {listed}")
    return faults


def readme_map(text: str) -> list[str]:
    """README's map has the rows of notebook 00's, and links to every notebook there is."""
    rows = table(text.partition("## The map\n")[2].partition("\n## ")[0])
    known = table(section(read(FOLDER / "00_start_here.ipynb"), MAP).text)
    differing = [
        f"{row}: notebook 00's map has another" for row in rows if row not in known
    ]
    return _check_links(rows, ROOT) + differing


def _check_links(rows: list[Row], base: Path, but: str = "") -> list[str]:
    faults = []
    if [row.number for row in rows] != [f"{k:02}" for k in range(15)]:
        faults.append(f"rows {[row.number for row in rows]}; expected 00 to 14, in order")
    for row in rows:
        files = sorted(FOLDER.glob(f"{row.number}_*.ipynb")) if row.number != but else []
        if [(base / row.target).resolve()] * bool(row.target) != files:
            due = f"a link to {files[0].name}" if files else "no link"
            faults.append(f"row {row.number}: expected {due}, found {row.target!r}")
    return faults
