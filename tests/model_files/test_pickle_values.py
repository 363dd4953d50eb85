"""Values from the bytes behind an instruction."""

import pickle
import warnings

from helpers.model_files.pickle_values import LENGTHS, MOST_TEXT, PUSHES, Made, count


def test_numbers():
    assert count(b"\xff\xff") == 65535
    assert PUSHES["BININT"](b"\xff\xff\xff\xff") == -1
    assert PUSHES["INT"](b"01\n") is True and PUSHES["INT"](b"-12\n") == -12
    assert PUSHES["LONG"](b"-12L\n") == -12
    assert isinstance(PUSHES["LONG4"](b"\x7f" * 17), Made), "nobody wants to see it"


def test_text_that_was_cut_in_a_character():
    whole = ("ä" * MOST_TEXT).encode()
    assert set(PUSHES["BINUNICODE"](whole[: MOST_TEXT - 1] + b"\xc3")) == {"ä"}


def test_fresh_containers_are_not_shared():
    assert PUSHES["EMPTY_LIST"](b"") is not PUSHES["EMPTY_LIST"](b"")
    assert LENGTHS == {-2: 1, -3: 4, -4: 4, -5: 8}


def test_escapes_are_those_of_pickle():
    for text in (r"a\x41\101\n\\\'", r"\q\7", "os"):
        raw = b"'" + text.encode() + b"'\n"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            known = pickle.loads(b"S" + raw + b".", encoding="latin-1")
        assert PUSHES["STRING"](raw) == known
