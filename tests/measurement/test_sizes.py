"""How large a file is, and how bytes are written; imports without torch."""

import subprocess
import sys
from pathlib import Path

import numpy
import pytest

from helpers import measurement
from helpers.measurement import format_bytes, size_on_disk

# ---- Imports


def test_the_module_imports_with_the_standard_library_alone():
    code = """
import sys
for name in ("torch", "numpy", "pandas", "psutil", "cloudpickle", "sklearn"):
    sys.modules[name] = None  # importing it now raises ImportError
from helpers.measurement import cpu_features, format_bytes
print(format_bytes(1000), "AVX2" in cpu_features())
"""
    root = Path(measurement.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("1.00 kB True\n", "")


# ---- Sizes


def test_the_size_of_a_file_and_of_a_folder(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "a.bin").write_bytes(b"x" * 1500)
    (tmp_path / "inner" / "b.bin").write_bytes(b"x" * 500)
    assert size_on_disk(tmp_path / "a.bin") == 1500
    assert size_on_disk(str(tmp_path)) == 2000


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.pt: there is no such file"):
        size_on_disk(tmp_path / "gone.pt")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (9_994, "9.99 kB"),
        (9_995, "10.0 kB"),
        (99_950, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1.00 MB"),
        (64 << 20, "67.1 MB"),
        (24e9, "24.0 GB"),
        (9e15, "9000 TB"),
        (-1234, "-1.23 kB"),
        (numpy.float64(1234), "1.23 kB"),
        (numpy.int64(123_456), "123 kB"),
    ],
)
def test_bytes_are_written_with_three_digits_and_decimal_units(count, text):
    assert format_bytes(count) == text
