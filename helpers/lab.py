"""A door: ``python -m helpers.lab`` is ``python -m helpers lab``."""

import sys

from helpers.classroom.setup.lab import run

if __name__ == "__main__":
    sys.exit(run())
