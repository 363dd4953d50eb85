"""Run the benchmarks that are named, or all of them."""

import argparse
import importlib
import sys
from pathlib import Path

from tests.browser import BrowserMissing

NAMES = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))


def main() -> None:
    """Read the names from the command line and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("names", nargs="*", help=f"any of: {', '.join(NAMES)}")
    names = parser.parse_args().names or NAMES
    if unknown := set(names) - set(NAMES):
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(NAMES)}")
    for name in names:
        try:
            importlib.import_module(f"tests.benchmarks.{name}").main()
        except BrowserMissing as missing:
            sys.exit(f"{name}: {missing}")


if __name__ == "__main__":
    main()
