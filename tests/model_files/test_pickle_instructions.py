"""Values from the bytes behind an instruction."""

import pickle
import warnings

import pytest

from helpers.model_files.following import follow
from helpers.model_files.pickle_instructions import INSTRUCTIONS, MOST_TEXT, TABLE, Made


@pytest.mark.parametrize(
    ("pickled", "value"),
    [
        (b"M\xff\xff.", 65535),
        (b"J\xff\xff\xff\xff.", -1),
        (b"I01\n.", True),
        (b"I00\n.", False),
        (b"I-12\n.", -12),
        (b"L-12L\n.", -12),
        (b"\x8a\x02\xff\xff.", -1),
        (b"\x8a\x00.", 0),
    ],
)
def test_numbers(pickled, value):
    found, known = follow(pickled).value, pickle.loads(pickled)
    assert found == known == value and type(found) is type(known)


def test_a_number_that_nobody_wants_to_see():
    assert isinstance(follow(pickle.dumps(2**200)).value, Made)


def test_text_that_was_cut_in_a_character():
    found = follow(pickle.dumps("a" + "ä" * MOST_TEXT)).value
    assert set(found) == {"a", "ä"} and len(found) == MOST_TEXT // 2


def test_escapes_are_those_of_pickle():
    for text in (r"a\x41\101\n\\\'", r"\q\7", "os"):
        pickled = b"S'" + text.encode() + b"'\n."
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            known = pickle.loads(pickled, encoding="latin-1")
        assert follow(pickled).value == known


def test_each_instruction_is_in_the_table():
    assert len(TABLE) - TABLE.count(None) == len(INSTRUCTIONS)
