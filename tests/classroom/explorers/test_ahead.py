"""What is computed ahead: for which values, when it ends, and that it changes nothing."""

import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest
import torch
from IPython.core.events import EventManager, available_events

from helpers.classroom.explorers import trade_off as module
from helpers.classroom.explorers.ahead import Ahead, neighbours
from helpers.classroom.explorers.trade_off import PIN, SHOW, trade_off
from helpers.classroom.panel import Check, Choice, Menu, Range, Sliders, Stops, Ticks
from helpers.quantization import Evaluator
from tests.quantization.settings import SETTINGS

STOPS = Stops("bits", "Bits", (2, 3, 8), 3)
SLIDERS = Sliders("x", "X", "Of", ("a", "b"), (0, 2, 3), ("all", "2", "3"), (0, 0))
NAMES = ("a", "b", "c")
CONTROLS = [STOPS, Choice("way", "Way", NAMES, "a"), Ticks("kept", "Kept", NAMES)]
START = {"bits": 3, "way": "a", "kept": ()}
LONG = 3600.0  # seconds: a pause that no test lives to see the end of


@pytest.fixture
def loud(monkeypatch):
    """What a thread would have printed into the notebook."""
    said = []
    monkeypatch.setattr(threading, "excepthook", said.append)
    return said


def finish():
    """Wait until nothing is computed ahead any more."""
    for thread in threading.enumerate():
        if thread.name == "ahead":
            thread.join()


@pytest.fixture(autouse=True)
def nothing_is_left():
    """Panels of other tests may still be at work."""
    finish()


def is_idle():
    return all(thread.name != "ahead" for thread in threading.enumerate())


# Which values


@pytest.mark.parametrize(
    "control, value, expected",
    [
        (STOPS, 2, [3]),
        (STOPS, 3, [2, 8]),
        (STOPS, 8, [3]),
        (Range("x", "X", 0, 10, 5, step=5), 0, [5]),
        (Range("x", "X", 0, 10, 5, step=5), 5, [0, 10]),
        (Range("x", "X", 0, 10, 5, step=5), 10, [5]),
        (Choice("x", "X", NAMES, "a"), "b", ["a", "c"]),
        (Menu("x", "X", NAMES, "a"), "a", ["b", "c"]),
        (Check("x", "X"), True, [False]),
        (SLIDERS, (0, 0), [(2, 0), (0, 2)]),
        (SLIDERS, (2, 3), [(0, 3), (3, 3), (2, 2)]),
        (Ticks("x", "X", NAMES), (), [("a",), ("b",), ("c",)]),
        (Ticks("x", "X", NAMES), ("a", "c"), [("c",), ("a", "b", "c"), ("a",)]),
    ],
    ids=str,
)
def test_neighbours_are_what_one_move_can_lead_to(control, value, expected):
    assert neighbours(control, value) == expected
    for found in expected:
        control.accept(found)


def test_only_the_control_that_moved_last_counts():
    asked = []
    ahead = Ahead(CONTROLS, lambda **values: asked.append(values), pause=0)
    ahead.begin(START)  # nothing has moved yet
    assert is_idle()
    ahead.begin({**START, "bits": 8})
    finish()
    assert asked == [START]
    asked.clear()
    ahead.begin({**START, "bits": 8, "kept": ("b",)})
    finish()
    kept = [("a", "b"), (), ("b", "c")]
    assert asked == [{**START, "bits": 8, "kept": some} for some in kept]
    asked.clear()
    ahead.begin({**START, "bits": 8, "kept": ("b",)})  # a button was pressed
    finish()
    assert [values["kept"] for values in asked] == kept


def test_of_many_sliders_the_one_that_moved_goes_on():
    assert neighbours(SLIDERS, (2, 3), (0, 3)) == [(0, 3), (3, 3)]
    assert neighbours(SLIDERS, (2, 3), (2, 2)) == [(2, 2)]
    asked = []
    ahead = Ahead([SLIDERS, STOPS], lambda x, bits: asked.append(x), pause=0)
    ahead.begin({"x": (0, 2), "bits": 3})
    finish()
    assert asked == [(0, 0), (0, 3)]
    ahead.begin({"x": (0, 2), "bits": 3})  # a button was pressed
    finish()
    assert asked == 2 * [(0, 0), (0, 3)]


# When it ends


def endless(started):
    """Work that only the next call of torch can end."""

    def work(**values):
        started.append(values)
        began.set()
        while True:
            torch.ones(1).add(1)

    began = threading.Event()
    return work, began


def test_a_move_cancels_what_is_under_way_and_what_would_follow(loud):
    started = []
    work, began = endless(started)
    ahead = Ahead(CONTROLS, work, pause=0)
    ahead.begin({**START, "way": "b"})
    assert began.wait(60)
    ahead.stop()
    assert is_idle() and loud == []
    assert [values["way"] for values in started] == ["a"]  # and never "c"


def test_a_key_held_down_begins_nothing():
    asked = []
    ahead = Ahead(CONTROLS, lambda **values: asked.append(values), pause=LONG)
    for bits in (2, 3, 8):
        ahead.begin({**START, "bits": bits})
    ahead.stop()
    assert is_idle() and asked == []


def test_what_fails_says_nothing_and_the_others_go_on(loud, capfd):
    asked = []

    def work(way, **rest):
        asked.append(way)
        raise ValueError(f"no way {way}")

    Ahead(CONTROLS, work, pause=0).begin({**START, "way": "b"})
    finish()
    assert asked == ["a", "c"] and loud == []
    assert capfd.readouterr() == ("", "")


def test_a_process_that_ends_does_not_wait():
    code = """
import threading, torch
from helpers.classroom.explorers.ahead import Ahead
from helpers.classroom.panel import Check
began = threading.Event()
def work(on):
    began.set()
    while True:
        torch.ones(1).add(1)
Ahead([Check("on", "On")], work, pause=0).begin({"on": True})
began.wait()
"""
    # An endless thread would hold it back forever.
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


# In the explorer


def test_what_is_found_ahead_is_the_same_to_the_bit(evaluator, model, digits):
    other = Evaluator(model, digits.test_images, digits.test_labels, digits.train_images)
    names = tuple(SETTINGS)
    controls = [Choice("name", "Name", names, names[0])]
    ahead = Ahead(controls, lambda name: other(SETTINGS[name]), pause=0)
    for name in names[1:3]:  # the neighbours of two are all
        ahead.begin({"name": name})
        finish()
    assert {*SETTINGS.values()} <= {*other._found}
    for setting in SETTINGS.values():
        assert other._found[setting] == evaluator(setting)


@pytest.fixture
def panel():
    made = trade_off()
    made.press(SHOW)
    yield made
    made.close()


def state_of(panel):
    return panel._draw.__self__


def settings(panel, name, *values):
    choices = {k: v for k, v in panel.values.items() if k != "guess"}
    return {state_of(panel).setting(**{**choices, name: value}) for value in values}


def test_a_move_has_its_neighbours_evaluated_and_only_these(panel):
    finish()
    found = state_of(panel).evaluator._found
    before = {*found}
    panel.values = {**panel.values, "weight_bits": 5}
    finish()
    assert {*found} - before == settings(panel, "weight_bits", 4, 5, 6)
    before = {*found}
    panel.values = {**panel.values, "granularity": "channel"}
    finish()
    assert {*found} - before == settings(panel, "granularity", "channel", "group")


def test_what_was_found_ahead_is_neither_seen_nor_pinned_nor_evaluated_again(panel):
    panel.values = {**panel.values, "weight_bits": 5}
    finish()
    state = state_of(panel)
    seen = [some.setting for some in state.trail.seen]
    assert seen == [*seen[:2], *settings(panel, "weight_bits", 5)]
    state.evaluator._evaluate = None  # whoever calls it fails
    panel.values = {**panel.values, "weight_bits": 6}
    assert "Weights: 6 bits" in panel.frame["text"]


def test_the_next_cell_finds_nothing_at_work(monkeypatch):
    events = EventManager(None, available_events)
    shell = SimpleNamespace(events=events)
    monkeypatch.setattr(module, "get_ipython", lambda: shell)
    panel = trade_off()
    state_of(panel).ahead._work, began = endless([])
    panel.values = {**panel.values, "weight_bits": 6}
    assert began.wait(60) and not is_idle()
    events.trigger("pre_run_cell", None)
    assert is_idle()
    panel.close()


def test_a_move_is_answered_before_the_neighbours_go_on(panel, loud):
    evaluator, order, began = state_of(panel).evaluator, [], threading.Event()
    evaluate, alone = evaluator._evaluate, []

    def slowly(setting):
        thread = threading.current_thread().name
        order.append((thread, setting.weights.bits))
        if thread != "ahead":
            alone.append(is_idle())
            return evaluate(setting)
        began.set()
        while True:
            torch.ones(1).add(1)

    evaluator._evaluate = slowly
    panel.values = {**panel.values, "weight_bits": 6}
    assert began.wait(60)
    panel.values = {**panel.values, "weight_bits": 8}
    assert "Weights: 8 bits" in panel.frame["text"]
    main = threading.current_thread().name
    assert order[:3] == [(main, 6), ("ahead", 5), (main, 8)]
    assert alone == [True, True]
    for button in (SHOW, PIN):
        panel.press(button)
    panel.close()
    assert is_idle() and loud == []
