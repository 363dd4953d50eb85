"""Ask one scanner about files; runs in the scanners' own environment.

`python ask.py SCANNER FILE...` prints, as JSON, its verdict on each file and the names that
it counts as dangerous, as pairs of a module and a name or "*".
"""

import contextlib
import json
import logging
import sys
import zipfile
from pathlib import Path

DANGEROUS, UNKNOWN, CLEAN = "dangerous", "unknown", "clean"
ERROR, NOT_READ = "error", "not read"


def _pairs(names):
    return [
        (module, name)
        for module, some in names.items()
        for name in ([some] if isinstance(some, str) else sorted(some))
    ]


def picklescan():
    from picklescan import scanner

    def judge(path):
        scan = scanner.scan_directory_path if path.is_dir() else scanner.scan_file_path
        found = scan(str(path))
        if found.issues_count:
            return DANGEROUS
        if found.scan_err:
            return ERROR
        if not found.scanned_files:
            return NOT_READ
        return UNKNOWN if found.suspicious_count else CLEAN

    return judge, _pairs(scanner._unsafe_globals)


def fickling():
    import fickling
    from fickling.analysis import Severity, UnsafeImportsML
    from fickling.fickle import UNSAFE_IMPORTS

    def judge(path):
        if path.is_dir():
            return NOT_READ
        if zipfile.is_zipfile(path):
            found = list(fickling.scan_zip_archive(str(path), graceful=True).values())
        else:
            found = [fickling.scan_file(str(path), graceful=True)]
        severities = [result.severity for each in found for result in each.results]
        # It says LIKELY_UNSAFE of each name that is not Python's own, torch's included.
        if any(severity > Severity.LIKELY_UNSAFE for severity in severities):
            return DANGEROUS
        if any(each.errors for each in found):
            return ERROR
        if not severities:
            return NOT_READ
        safe = all(severity <= Severity.LIKELY_SAFE for severity in severities)
        return CLEAN if safe else UNKNOWN

    modules = dict.fromkeys([*sorted(UNSAFE_IMPORTS), *UnsafeImportsML.UNSAFE_MODULES], "*")
    return judge, _pairs(modules) + _pairs(UnsafeImportsML.UNSAFE_IMPORTS)


def modelscan():
    from modelscan.modelscan import ModelScan
    from modelscan.settings import DEFAULT_SETTINGS

    def judge(path):
        found = ModelScan().scan(path)
        if found["summary"]["total_issues"]:
            return DANGEROUS
        if found["errors"]:
            return ERROR
        return CLEAN if found["summary"]["scanned"]["total_scanned"] else NOT_READ

    levels = DEFAULT_SETTINGS["unsafe_globals"].values()
    return judge, [pair for level in levels for pair in _pairs(level)]


def _verdict(judge, path):
    try:
        return judge(path)
    except Exception as error:  # the file is an attack, on scanners as well
        print(f"{path}: {error!r}", file=sys.stderr)
        return ERROR


def main(scanner, *paths):
    logging.disable(logging.CRITICAL)
    with contextlib.redirect_stdout(sys.stderr):
        judge, names = {f.__name__: f for f in (picklescan, fickling, modelscan)}[scanner]()
        verdicts = [_verdict(judge, Path(path)) for path in paths]
    print(json.dumps({"verdicts": verdicts, "names": names}))


if __name__ == "__main__":
    main(*sys.argv[1:])
