"""Run the benchmarks that are named, or all of them."""

import argparse
import sys

from tests.benchmarks import kernels, notebooks, slider, trade_off
from tests.browser import BrowserMissing

BENCHMARKS = {
    "notebooks": notebooks.main,
    "slider": slider.main,
    "kernels": kernels.main,
    "trade_off": trade_off.main,
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
