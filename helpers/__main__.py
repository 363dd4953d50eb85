"""One door: ``python -m helpers lab``, ``doctor``, ``inspect`` and others."""

import importlib
import sys

# Each is imported only when asked for: doctor, lab and inspect must run without torch.
DOORS = {
    "lab": ("helpers.classroom.setup.lab", "open the course in JupyterLab"),
    "doctor": ("helpers.classroom.setup.doctor", "what is here, what is missing"),
    "inspect": (
        "helpers.model_files.inspecting",
        "what a model file is, and if it is safe",
    ),
    "handouts": ("helpers.classroom.handouts.command", "write what a teacher hands out"),
}
HELP = "\n".join(
    ["python -m helpers DOOR [arguments]   (each door knows --help)", ""]
    + [f"  {name:9} {what}" for name, (_, what) in DOORS.items()]
)


def main(argv: list) -> object:
    """Open one door.

    Args:
        argv: the door's name, and what goes on to it.

    Returns:
        What ``sys.exit`` takes: None or 0 if all went well, 2 if there is no such door.
    """
    name, *rest = argv or [""]
    if name in ("-h", "--help"):
        print(HELP)
        return 0
    if name not in DOORS:
        wrong = f"there is no door {name!r}" if name else "which door?"
        print(f"python -m helpers: {wrong}\n\n{HELP}", file=sys.stderr)
        return 2
    return importlib.import_module(DOORS[name][0]).main(rest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
