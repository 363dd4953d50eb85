"""The machine that follows pickles: the same values as pickle's own, and nothing called."""

import ast
import inspect
import io
import pickle
import pickletools
import random
import struct
import time
import tracemalloc

import numpy as np
import pytest
import torch._weights_only_unpickler as torch_reader

from helpers.model_files.budgets import TOO_MUCH, Budget
from helpers.model_files.following import follow
from helpers.model_files.pickle_instructions import INSTRUCTIONS, TORCH_READS, Made
from tests.model_files.torch_samples import Runs

VALUES = [
    *(None, True, False, 0, 1, 255, 256, -1, 65536, 2**31, -(2**40), 2**100, 1.5, -0.25),
    *("", "a", "ä\n\x93.", "x" * 300, b"\x80\x02", b"y" * 300, (), (1,), (1, 2), (1, 2, 3)),
    *((1, 2, 3, 4), [], [1], list(range(1100)), [[["a"]], ("b", [2])]),
]  # fmt: skip


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_are_those_of_pickle(protocol):
    for value in VALUES:
        pickled = pickle.dumps(value, protocol)
        found = follow(pickled)
        assert (found.value, found.problem, found.end) == (value, "", len(pickled))
        assert set(found.names) <= {"_codecs.encode", "builtins.bytes"}, (
            "only bytes need a name"
        )


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_mappings_keep_keys_and_values_in_turn(protocol):
    found = follow(pickle.dumps({"a": 1, "b": {"c": (2,)}}, protocol)).value
    assert (found.name, found.items[:3]) == ("dict", ["a", 1, "b"])
    assert found.items[3].items == ["c", (2,)]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_call_is_a_stand_in(protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = follow(pickle.dumps(Runs(), protocol))
    assert found.names == {f"{Runs().call[0].__module__}.system": False}
    assert found.value.args == ("touch EXECUTED",)
    assert list(tmp_path.iterdir()) == []


def test_every_instruction_of_pickle_is_known():
    names = {opcode.name for opcode in pickletools.opcodes}
    assert names == INSTRUCTIONS.keys()


def test_what_torch_reads_is_what_its_reader_imports_from_pickle():
    tree = ast.parse(inspect.getsource(torch_reader))
    imported = {
        alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module == "pickle"
        for alias in node.names
    }
    assert set(TORCH_READS.split()) == {name for name in imported if name.isupper()}


def test_pickles_inside_and_how_deep():
    inner = pickle.dumps(Runs())
    assert list(follow(pickle.dumps([inner])).names.values()) == [True]
    assert follow(pickle.dumps([b"\xff" + inner])).names == {}, "no pickle at its start"
    assert list(follow(pickle.dumps([pickle.dumps(1) + inner])).names.values()) == [True]
    for text in (pickle.dumps(Runs(), 0).decode(), inner.decode("latin-1")):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            assert True in follow(pickle.dumps(text, protocol)).names.values()
    text = "A sentence.\nAnd another one, which ends.\x93"
    assert follow(pickle.dumps([text, text.encode()])).names == {}


def test_steps_and_problems():
    found = follow(b"\x80\x02" + b"}" * 10 + b".", most=5)
    assert (found.problem, found.steps) == (TOO_MUCH, 5)
    assert follow(b"\x80\x02]").problem == "it breaks off at byte 3"
    assert follow(b"\x80\x02\xff.").problem == "it breaks off at byte 2"
    assert follow(b"").problem == "it breaks off at byte 0"


def test_places_in_the_memo_that_would_take_hours_are_refused():
    assert follow(b"]p123456789\n0g123456789\n.").value == []
    assert follow(b"]p" + b"1" * 30 + b"\n.").problem == "it breaks off at byte 1"


def test_who_changes_a_function_or_class_is_named():
    changed = follow(b"\x80\x02ctorch\nSize\n}b.")
    assert changed.names == {"torch.Size": False, "(a change of torch.Size)": False}
    made = follow(b"\x80\x02ctorch\nSize\n)R}b.")
    assert made.names == {"torch.Size": False}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"__builtin__\neval", "builtins.eval"),
        (b"commands\ngetoutput", "subprocess.getoutput"),
        (b"__builtin__\nreduce", "functools.reduce"),
        (b"copy_reg\n_reconstructor", "copyreg._reconstructor"),
    ],
)
def test_names_of_python_2(old, new):
    assert follow(b"c" + old + b"\n.").names == {new: False}


def test_a_name_that_is_computed_has_no_name():
    found = follow(b"\x80\x04]\x8c\x06system\x93.")
    assert found.names == {"(a computed name)": False}
    assert isinstance(found.value, Made)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_file_is_read_in_windows_and_followed_as_its_bytes_are(protocol):
    values = [list(range(70_000)), "x" * 300_000, b"\\\n" * 90_000, ["ä" * 50] * 3000, 1]
    data = b"junk" + pickle.dumps(values, protocol) + b"more"
    known, found = follow(data, 4), follow(io.BytesIO(data), 4)
    assert (known.problem, known.end) == ("", len(data) - 4)
    assert (found.value, found.end, found.names) == (known.value, known.end, known.names)
    cut = follow(io.BytesIO(data[:200_000]), 4)
    assert cut.problem.startswith("it breaks off at byte")


def test_a_file_that_shrinks_while_it_is_read_breaks_off():
    class Shrinks(io.BytesIO):
        def read(self, size=-1):
            self.truncate(200_000)
            return super().read(size)

    found = follow(Shrinks(pickle.dumps(list(range(200_000)))))
    assert found.problem.startswith("it breaks off at byte ")


def test_lines_that_do_not_end_are_looked_for_once():
    """Each text could be the beginning of a line that is as long as all that follows."""
    for text in (b"U\5c\x93AAA0", b"U\5S\x93AAA0"):
        started = time.process_time()
        follow(b"\x80\2" + text * 100_000 + b"N.")
        assert time.process_time() - started < 2


@pytest.mark.parametrize("made", [b"}", b"]", b"(", b")\x85", b"G" + b"\x40" * 8, b"N\x85"])
def test_what_a_pickle_makes_fits_into_the_memory(made):
    budget = Budget(260_000)
    budget.more = 0
    tracemalloc.start()
    found = follow(b"\x80\2(" + made * 250_000 + b"l.", budget=budget)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.problem == TOO_MUCH and peak < 10 << 20


@pytest.mark.parametrize("made", [b"}", b"r\xff\xff\xff\x0f", b"G" + b"\x40" * 8])
def test_what_is_no_denser_than_models_may_take_more(made):
    """The more bytes it has; but never more in all than 200,000 tensors take."""
    many = b"\x80\2(N" + made * (1_500_000 // len(made)) + b"l."
    tracemalloc.start()
    found = follow(many)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 48_000_000 + 20 * len(many)
    assert bool(found.problem) == (made == b"}")
    budget = Budget()
    budget.more = 0
    apart = b"".join(b"r" + struct.pack("<I", 2 * place) for place in range(1, 600_000))
    assert follow(b"N" + apart + b".", budget=budget).problem == TOO_MUCH
    budget = Budget()
    budget.room, budget.more = 0, 100
    assert follow(many, budget=budget).problem == TOO_MUCH and budget.more == 0


def memo_program(draw: random.Random) -> bytes:
    """Return a pickle that keeps lists in places of all kinds, and shows what is there."""
    used, lines = [], [b"("]
    for _ in range(draw.randrange(1, 12)):
        lines.append(b"]I%d\na" % len(lines))  # a list with a number, to be told
        place = draw.choice([len(used), draw.randrange(4), draw.randrange(6), 300])
        form = draw.choice([b"p%d\n" % place, b"r" + struct.pack("<I", place), b"\x94"])
        lines.append(form)
        used.append(place)
    for place in draw.choices([*used, *range(7)], k=2):
        lines.append(draw.choice([b"g%d\n" % place, b"j" + struct.pack("<I", place)]))
        lines.append(b"h%c" % place if place < 256 else b"")
    return b"".join([*lines, b"l."])


def test_places_are_kept_as_pickle_keeps_them():
    """Whoever is shown another object than pickle takes can be lied to."""
    draw, agreed = random.Random(0), 0
    for _ in range(4000):
        data = memo_program(draw)
        try:
            known = pickle.loads(data)
        except (KeyError, pickle.UnpicklingError):
            assert follow(data).problem
            continue
        agreed += 1
        assert follow(data).value == known
    assert 1000 < agreed < 3500
    assert follow(b"(ios\nsystem\n.").names == follow(b"ios\nsystem\n.").names
    for place in (b"-1", b"+1", b" 1", b"1_0", b"0x1", b"1" * 13, b"1\0x"):
        data = b"Np1\np10\n0g%s\n." % place
        assert bool(follow(data).problem) == (place in (b"-1", b"0x1", b"1" * 13))


def test_long_texts_do_not_add_up():
    pickled = b"\x80\3](" + (b"B\x60\xea\0\0" + bytes(60_000)) * 300 + b"e."
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    assert len(follow(pickled).value) == 300
    assert tracemalloc.get_traced_memory()[1] - before < 2 << 20
    tracemalloc.stop()


def test_raw_numbers_are_no_pickles_and_a_pickle_among_numbers_is_one():
    draw = np.random.default_rng(0)
    for count in range(3000):
        raw = draw.integers(0, 256, 1000, dtype=np.uint8).tobytes()
        for some in (raw, b"(K\0\x82\1." + raw, b"]K\1\x93." + raw, b"V\n\x93\n." + raw):
            assert follow(pickle.dumps(some, 2 + count % 3)).names.keys() <= {
                "_codecs.encode"
            }
    evil = b"\x80\2]\x8c\x06system\x93)R."
    assert follow(pickle.dumps(evil + raw)).names == {"(a computed name)": True}


@pytest.mark.parametrize("padding", [2_000, 100_000])
def test_code_far_inside_a_text_is_found_or_too_much(padding):
    evil = b"(" * padding + b"cos\nsystem\n(S'x'\ntR."
    for value in (evil, evil.decode()):
        for protocol in (0, 2, 4):
            found = follow(pickle.dumps([value], protocol))
            assert found.names.get("os.system") or found.problem == TOO_MUCH
