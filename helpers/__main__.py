"""One door: ``python -m helpers lab``, ``doctor`` or ``handouts``, each with ``--help``."""

import importlib
import sys

# Each is imported only when it is asked for: doctor and lab must run without torch.
DOORS = {
    "lab": ("helpers.classroom.setup.lab", "run", "open the course in JupyterLab"),
    "doctor": ("helpers.classroom.setup.doctor", "main", "what is here, what is missing"),
    "handouts": ("helpers.classroom.handouts.__main__", "main", "what a teacher hands out"),
}


def main(argv: list[str]) -> int | str | None:
    """Open one door.

    Args:
        argv: the door's name, and what goes on to it.

    Returns:
        What ``sys.exit`` takes: None or 0 if all went well.
    """
    name, *rest = argv or ["--help"]
    if name in ("-h", "--help"):
        print("python -m helpers DOOR\n")
        print(*(f"  {key:9} {what}" for key, (_, _, what) in DOORS.items()), sep="\n")
        return 0
    if name not in DOORS:
        return f"python -m helpers: there is no {name!r}; there are {', '.join(DOORS)}"
    module, function, _ = DOORS[name]
    return getattr(importlib.import_module(module), function)(rest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
