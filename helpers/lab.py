"""A door: ``python -m helpers.lab`` is ``python -m helpers lab``."""

import sys

from helpers.classroom.setup.lab import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
