"""The doctor's table: as text, and in a notebook."""

from helpers.classroom.setup.doctor import Finding, Report

ROWS = Report(
    [
        Finding("Python", "3.12.1"),
        Finding("torch", "not installed, needs <3", "problem", "pip install torch"),
        Finding("CPU", "neither AVX2 nor NEON", "warning"),
    ]
)


def test_the_plain_table_is_aligned_with_each_cure_below_its_finding():
    assert repr(ROWS) == "\n".join(
        [
            "OK       Python  3.12.1",
            "problem  torch   not installed, needs <3",
            "                 pip install torch",
            "warning  CPU     neither AVX2 nor NEON",
            "Not ready (problems: 1, warnings: 1).",
        ]
    )


def test_the_table_in_a_notebook_has_the_same_words_escaped():
    shown = ROWS._repr_html_()
    assert shown.count("<tr>") == 4
    assert "not installed, needs &lt;3" in shown and "needs <3" not in shown
    for word in ("OK", "problem", "warning", "pip install torch", ROWS.summary):
        assert word in shown
