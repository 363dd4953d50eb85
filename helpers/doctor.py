"""A door: ``python -m helpers.doctor`` is ``python -m helpers doctor``."""

import sys

from helpers.classroom.setup.doctor import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
