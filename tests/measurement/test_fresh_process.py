"""A fresh process: what it knows, what it gives back, and how it fails."""

import os
import sys
import threading
import time

import pytest

from helpers.measurement.fresh_process import Outcome, in_fresh_process


def test_each_function_is_called_in_order_in_one_process():
    number = 3
    outcomes = in_fresh_process(
        {"first": lambda: [number, os.getpid()], "second": lambda: os.getpid()}
    )
    assert list(outcomes) == ["first", "second"]
    assert outcomes["first"].value == [3, outcomes["second"].value]
    assert outcomes["second"].value != os.getpid()


def test_an_error_is_told_by_type_and_text_and_does_not_stop_the_others():
    outcomes = in_fresh_process({"bad": lambda: {}["key"], "good": lambda: 1})
    assert outcomes["bad"] == Outcome(error="KeyError", message="'key'")
    assert str(outcomes["bad"]) == "KeyError: 'key'"
    assert str(outcomes["good"]) == "1"


def test_only_the_first_line_of_a_long_message_is_shown():
    assert str(Outcome(error="ValueError", message="first\nsecond")) == "ValueError: first"
    assert str(Outcome(error="EOFError")) == "EOFError"


def test_a_module_of_this_process_alone_is_not_there(tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text("answer = 42\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert __import__("only_here").answer == 42
    there = in_fresh_process({"import": lambda: __import__("only_here").answer})["import"]
    assert str(there) == "ModuleNotFoundError: No module named 'only_here'"


def test_the_helpers_do_not_stand_in_the_way_of_modules_with_their_names():
    names = ("drawing", "helpers.classroom.charts.drawing")
    plain, inside = in_fresh_process(
        {name: lambda name=name: bool(__import__(name)) for name in names}
    ).values()
    assert plain.error == "ModuleNotFoundError"
    assert inside.value is True


def test_a_blocked_module_cannot_be_imported_not_even_by_what_a_function_refers_to():
    import colorsys

    [outcome] = in_fresh_process(
        {"uses it": lambda: colorsys.rgb_to_hsv(0, 0, 0)}, blocked=["colorsys"]
    ).values()
    assert outcome.error == "ModuleNotFoundError"
    assert "colorsys" in outcome.message


def test_printing_and_warnings_do_not_mix_with_the_answers():
    def noisy():
        print("to stdout")
        os.write(1, b"to the file descriptor")
        print("to stderr", file=sys.stderr)
        return "quiet"

    assert in_fresh_process({"noisy": noisy})["noisy"].value == "quiet"


def test_a_value_that_json_cannot_hold_is_an_error_of_its_function():
    [outcome] = in_fresh_process({"object": object}).values()
    assert str(outcome) == "TypeError: Object of type object is not JSON serializable"


def test_a_result_instead_of_a_function_is_refused():
    with pytest.raises(TypeError, match="'two' is of type int: pass the function itself"):
        in_fresh_process({"two": 2})


def test_a_function_without_a_label_is_refused():
    with pytest.raises(TypeError, match="functions is of type function: pass a dict, lab"):
        in_fresh_process(lambda: 2)


def test_a_text_in_the_place_of_a_list_would_block_nothing():
    with pytest.raises(TypeError) as caught:
        in_fresh_process({"two": lambda: 2}, blocked="torch")
    assert str(caught.value) == "blocked is 'torch': pass a list of names, ['torch']."


def test_what_cannot_be_sent_is_named():
    lock = threading.Lock()
    with pytest.raises(TypeError, match=r"'lock' cannot be sent to a process: .* paths"):
        in_fresh_process({"lock": lambda: lock.locked()})


def test_a_process_that_dies_says_how():
    with pytest.raises(RuntimeError, match="ended early, with status 7"):
        in_fresh_process({"dies": lambda: os._exit(7)})


def test_a_process_that_hangs_is_stopped():
    with pytest.raises(RuntimeError, match=r"stopped after 0\.2 s; give it a longer"):
        in_fresh_process({"hangs": lambda: time.sleep(60)}, timeout=0.2)
