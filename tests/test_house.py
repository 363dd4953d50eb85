"""The house: each module has its own name, its tests, and a length for one sitting."""

from collections import Counter

from tests import ROOT
from tests.make_origin_lines import LIBRARY

HELPERS = ROOT / "helpers"
FILES = sorted(HELPERS.rglob("*.py"))
# Names that say the same everywhere; and doors, which are called like their room.
SHARED = {"__init__", "__main__"}
DOORS = {HELPERS / "doctor.py", HELPERS / "lab.py"}
MOST_LINES = 250
# Tables of data are looked up, not read.
TABLES = {"classroom/clinic/entries.py": "the messages that the clinic knows, one by one"}


def test_no_two_modules_or_packages_share_a_name():
    packages = [file.parent for file in FILES if file.name == "__init__.py"]
    names = Counter(path.stem for path in {*FILES, *packages} - DOORS)
    assert {name for name, count in names.items() if count > 1} - SHARED == set()


def test_each_module_can_be_read_in_one_sitting():
    lines = {
        file.relative_to(HELPERS).as_posix(): len(file.read_text("utf-8").splitlines())
        for file in FILES
    }
    assert lines.keys() >= TABLES.keys()
    long = {name for name, count in lines.items() if count > MOST_LINES}
    assert long == TABLES.keys(), {name: lines[name] for name in long}


def test_the_tests_of_a_library_module_are_found_by_its_name():
    missing = {}
    for file in LIBRARY:
        place = file.relative_to(HELPERS)
        tests = ROOT / "tests" / place.with_name(f"test_{place.name}")
        if place.name != "__init__.py" and not tests.exists():
            missing[place.as_posix()] = tests.relative_to(ROOT).as_posix()
    assert missing == {}
