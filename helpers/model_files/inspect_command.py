"""``python -m helpers inspect FILE``: what is this file? Nothing in it is run.

Save, Load, Ship 0.2.0: helpers/model_files/inspect_command.py · repairs: CHANGELOG.md
"""

import argparse
import sys

from helpers.model_files.file_findings import DAMAGED, UNSAFE
from helpers.model_files.inspecting import inspect_file


def main(argv: list[str] | None = None) -> int:
    """Print the report of a file.

    Returns:
        0; 1 for a file that is unsafe or damaged; 2 for one that cannot be opened.

    >>> main([__file__, "--json"])  # doctest: +ELLIPSIS
    {...
    0
    """
    parser = argparse.ArgumentParser(
        "python -m helpers inspect", description=__doc__.split("\n")[0]
    )
    parser.add_argument("file", help="a model file, or a folder that is one")
    parser.add_argument("--verify", action="store_true", help="read and check every byte")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    arguments = parser.parse_args(argv)
    try:
        report = inspect_file(arguments.file, verify=arguments.verify)
    except OSError as error:
        print(f"python -m helpers inspect: {error}", file=sys.stderr)
        return 2
    text = report.to_json() if arguments.json else str(report)
    known = sys.stdout.encoding or "utf-8"  # a terminal may not have every letter
    print(text.encode(known, "backslashreplace").decode(known))
    is_bad = report.safety == UNSAFE or DAMAGED in (report.structure, report.bytes_checked)
    return int(is_bad)
