"""The course's folder, of which a wheel holds only a part: the helpers."""

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[3]
FIRST_NOTEBOOK = "notebooks/00_start_here.ipynb"
GET_IT = "Get the course's whole folder, and run there: make lab"


def is_whole() -> bool:
    """Tell whether the notebooks are here, and not the helpers alone."""
    return (FOLDER / FIRST_NOTEBOOK).is_file()


def require_whole(command: str) -> None:
    """Leave with a sentence if the notebooks are not here.

    Args:
        command: what is to run in the whole folder, such as "make lab".

    Raises:
        SystemExit: only the helpers are here.
    """
    if not is_whole():
        sys.exit(
            "This copy of the course has its helpers but no notebooks; get the course's "
            f"whole folder, and run there: {command}"
        )
