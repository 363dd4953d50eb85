"""Run the benchmarks that are named, or all of them."""

import argparse
import sys

from tests.benchmarks import notebooks, slider, workbench
from tests.browser import BrowserMissing

BENCHMARKS = {
    "notebooks": notebooks.main,
    "slider": slider.main,
    "workbench": workbench.main,
}


def main() -> None:
    """Read the names from the command line and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("names", nargs="*", help=f"any of: {', '.join(BENCHMARKS)}")
    names = parser.parse_args().names or list(BENCHMARKS)
    if unknown := set(names) - set(BENCHMARKS):
        parser.error(
            f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}"
        )
    for name in names:
        try:
            BENCHMARKS[name]()
        except BrowserMissing as missing:
            sys.exit(f"{name}: {missing}")


if __name__ == "__main__":
    main()
