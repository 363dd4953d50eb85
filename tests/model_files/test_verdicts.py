"""Plain values."""

from pathlib import Path

from helpers.model_files.verdicts import NOT_CHECKED, UNKNOWN, Findings, TensorEntry


def test_nothing_is_promised_before_a_reader_has_looked():
    found = Findings(Path("a.pt"))
    assert (found.safety, found.structure, found.bytes_checked) == (
        UNKNOWN,
        NOT_CHECKED,
        NOT_CHECKED,
    )
    assert found.entries == [] and found.entries is not Findings(Path("b")).entries
    assert TensorEntry("a", (1,), "int8", 1) == TensorEntry("a", (1,), "int8", 1)
