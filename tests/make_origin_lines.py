"""Write into each library module which version it is of, and where it comes from.

    python -m tests.make_origin_lines

Whoever has copied a module finds its repairs in CHANGELOG.md by that line.
"""

import ast
import re
import tomllib
from pathlib import Path

from tests import ROOT

NOT_COPIED = {"__main__.py", "doctor.py", "lab.py", "classroom"}
LIBRARY = [
    file
    for file in sorted((ROOT / "helpers").rglob("*.py"))
    if file.relative_to(ROOT / "helpers").parts[0] not in NOT_COPIED
]
LINE = re.compile(r"Save, Load, Ship \S+: helpers/\S+ · repairs: CHANGELOG\.md")


def origin(file: Path, version: str) -> str:
    """Return the line for a file."""
    place = file.relative_to(ROOT).as_posix()
    return f"Save, Load, Ship {version}: {place} · repairs: CHANGELOG.md"


def main() -> None:
    """Bring the line of every module up to date."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for file in LIBRARY:
        text = file.read_text(encoding="utf-8")
        said = ast.parse(text).body[0]
        lines = text.splitlines(keepends=True)
        head, rest = "".join(lines[: said.end_lineno]), "".join(lines[said.end_lineno :])
        line = origin(file, project["project"]["version"])
        if LINE.search(head):
            head = LINE.sub(line, head)
        else:
            body = head.rstrip().removesuffix('"""').rstrip()
            head = f'{body}\n\n{line}\n"""\n'
        file.write_text(head + rest, encoding="utf-8")


if __name__ == "__main__":
    main()
