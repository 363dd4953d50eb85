"""The table of words: each kind has a sentence, and no sentence is dangerous advice."""

import re

import pytest

from helpers.model_files.wording import MAGIC, MEMBERS, RECORDS, WORDS


@pytest.mark.parametrize("kind", WORDS)
def test_each_kind_has_words_and_a_next_step(kind):
    is_, next_step = WORDS[kind]
    assert re.match(r"(an? |compressed|empty|nothing|of )", is_), "it follows 'is'"
    assert len(next_step) > 10 and not next_step.endswith(".")
    assert "False" not in next_step.replace("allow_pickle=False", "")


def test_each_mark_leads_to_a_kind_in_the_table():
    marks = [line[2] for line in MAGIC] + [line[0] for line in (*RECORDS, *MEMBERS)]
    assert set(marks) <= set(WORDS)
    assert {len(line) for line in MAGIC if "{}" in WORDS[line[2]][0]} == {4}
    starts = [(start, magic) for start, magic, *_ in MAGIC]
    for start, magic in starts:
        hidden = [m for s, m in starts if s == start and m != magic and magic.startswith(m)]
        assert hidden == [], "an earlier line would take it"
