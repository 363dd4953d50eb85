"""The machine that follows pickles: the same values as pickle's own, and nothing called."""

import ast
import inspect
import pickle
import pickletools

import pytest
import torch._weights_only_unpickler as torch_reader

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
    assert found.problem == "it has more than 5 instructions"
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
