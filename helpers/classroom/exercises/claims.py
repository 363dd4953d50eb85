"""The verdict on a popular claim, recorded in the output of the cell that measured it."""

import json
import re
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path

# Jupyter skips a type that it cannot show; `gather` reads it back from the file.
MIME = "application/vnd.save-load-ship.claim+json"
WORDS = {True: "holds", False: "does not hold", None: "it depends"}


@dataclass(frozen=True)
class Verdict:
    """One claim, what was measured, and what follows from it.

    Attributes:
        id: notebook and letter, such as "01.a".
        claim: as it is usually put.
        measured: the figures of this run, with units.
        holds: True, False, or None where it depends.
        depends_on: what would change the verdict.
    """

    id: str
    claim: str
    measured: str
    holds: bool | None
    depends_on: str

    @property
    def word(self) -> str:
        """The verdict as a word."""
        return WORDS[self.holds]

    def __repr__(self) -> str:
        """Return the verdict as text."""
        return (
            f"Claim {self.id}: {self.claim}\nMeasured: {self.measured}\n"
            f"Verdict: {self.word}. Depends on: {self.depends_on}"
        )

    def _repr_mimebundle_(self, **kwargs) -> dict:
        rows = {
            f"Claim {self.id}": f"“{self.claim}”",
            "Measured": self.measured,
            "Verdict": self.word,
            "Depends on": self.depends_on,
        }
        cells = "".join(
            f'<tr><th scope="row" style="text-align:left">{escape(name)}</th>'
            f'<td style="text-align:left">{escape(value)}</td></tr>'
            for name, value in rows.items()
        )
        record = asdict(self)
        return {
            "text/plain": repr(self),
            "text/html": f"<table>{cells}</table>",
            MIME: record,
        }


def verdict(
    id: str, *, claim: str, measured: str, holds: bool | None, depends_on: str
) -> Verdict:
    """Return the verdict; as a cell's last line it is shown and recorded.

    Args:
        id: notebook and letter, such as "01.a".
        claim: as it is usually put.
        measured: the figures of this run, with units, made from variables.
        holds: computed from what was measured; None where it depends.
        depends_on: what would change the verdict.

    Raises:
        ValueError: the id has another form, holds is neither True, False nor None, or a
            text is empty.
    """
    if not re.fullmatch(r"\d\d\.[a-z]", str(id)):
        raise ValueError(f"id is {id!r}; expected notebook and letter, such as '01.a'")
    # A numpy or torch truth value would not survive the file; bool() makes a plain one.
    if not (holds is None or type(holds) is bool):
        raise ValueError(f"holds is {holds!r}; expected True, False or None; use bool(...)")
    for name, text in {
        "claim": claim,
        "measured": measured,
        "depends_on": depends_on,
    }.items():
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"{name} is {text!r}; say it in words")
    return Verdict(id, claim, measured, holds, depends_on)


@dataclass(frozen=True)
class Recorded:
    """A verdict as it stands in a notebook's saved output."""

    notebook: str
    cell: str
    verdict: Verdict


def gather(folder: str | Path) -> list[Recorded]:
    """Return every verdict recorded in the notebooks of a folder, in their order.

    Raises:
        ValueError: two cells record the same id.
    """
    found: dict[str, Recorded] = {}
    for path in sorted(Path(folder).glob("*.ipynb")):
        # A learner's copy, such as 01_state_dicts-Copy1.ipynb, records the same claims.
        if not re.fullmatch(r"\d\d_\w+\.ipynb", path.name):
            continue
        notebook = json.loads(path.read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            for output in cell.get("outputs", []):
                record = output.get("data", {}).get(MIME)
                if record is None:
                    continue
                if record["id"] in found:
                    first = found[record["id"]]
                    raise ValueError(
                        f"claim {record['id']} stands in {first.notebook}, cell "
                        f"{first.cell}, and in {path.name}, cell {cell['id']}"
                    )
                found[record["id"]] = Recorded(path.name, cell["id"], Verdict(**record))
    return list(found.values())
