"""Four small files as older releases of PyTorch wrote them, each with the same weights.

The weights are those of a net of two linear layers, fc1 (16, 64) and fc2 (10, 16), trained
on the digits. Today's PyTorch no longer writes such files, so `recipe.py` makes them:

    python -m helpers.classroom.faults.old_files.recipe
"""

from pathlib import Path

FOLDER = Path(__file__).parent
WHAT_THEY_ARE = {
    "legacy.pt": "state dict, no zip file: PyTorch up to 1.5",
    "zip_1x.pt": "state dict, first zip layout: PyTorch 1.6 to 2.0",
    "whole_model.pt": "whole model of a class old_project.nets.Net",
    "numpy_scalar.pt": "checkpoint with a scalar of NumPy 1",
}


def old_file(name: str) -> Path:
    """Return the path of an old file.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in WHAT_THEY_ARE:
        raise ValueError(f"no old file {name!r}; there are {', '.join(WHAT_THEY_ARE)}")
    return FOLDER / name
