"""The live panel, Python's half: frames, keys, values, and the forms nbval compares."""

import json
import re
from threading import Thread

import pytest
import torch
import traitlets

from helpers.classroom.charts import Asked, Chart, Item, covered
from helpers.classroom.explorers import file_size, format_chooser, number_line, weight_row
from helpers.classroom.panel import (
    MOST_FRAMES,
    SCRIPTS,
    Check,
    Choice,
    Guess,
    Menu,
    Panel,
    Range,
    Sliders,
    Stops,
    Text,
    Ticks,
    script,
)
from tests import ROOT

EXPLORERS = {
    "format_chooser": format_chooser.format_chooser,
    "file_size": file_size.file_size,
    "number_line": number_line.number_line,
    "weight_row": lambda: weight_row.weight_row(torch.linspace(-1, 1, 24)),
}
each_explorer = pytest.mark.parametrize("build", EXPLORERS.values(), ids=EXPLORERS)
VIEW = "application/vnd.jupyter.widget-view+json"


def say(**values) -> Chart:
    """A picture that shows nothing but its values."""
    return Chart(f"<svg>{values}</svg>", f"shows {values}", (("more", "README.md"),))


def controls():
    return [
        Range("bits", "Bits", 2, 8, 4, step=2),
        Choice("mode", "Mode", ("per tensor", 'a "channel" é'), "per tensor"),
        Check("symmetric", "Symmetric", True),
    ]


# Frames


def whole(panel, frame):
    """The picture of a frame that was drawn ahead, put together from its lines."""
    return "\n".join(panel.lines[int(k)] for k in frame["svg"].split())


@each_explorer
def test_every_combination_has_its_frame_range_edges_included(build):
    panel = build()
    combinations = [[]]
    for control in panel.controls:
        offered = {
            "range": lambda c=control: range(c["low"], c["high"] + 1, c["step"]),
            "choice": lambda c=control: c["options"],
            "menu": lambda c=control: c["options"],
            "stops": lambda c=control: c["options"],
            "check": lambda: (False, True),
        }[control["kind"]]()
        combinations = [[*some, value] for some in combinations for value in offered]
    assert len(panel.frames) == len(combinations)
    for values in combinations:
        key = json.dumps(values, separators=(",", ":"))
        frame = panel.frames[key]
        assert whole(panel, frame).startswith("<svg ") and frame["text"]


@each_explorer
def test_each_frame_is_what_the_panel_shows_for_its_values(build):
    panel = build()
    names = [control["name"] for control in panel.controls]
    for key, frame in panel.frames.items():
        panel.values = dict(zip(names, json.loads(key), strict=True))
        shown = re.sub(r'role="img" aria-label="[^"]*"', "", panel.chart.svg)
        assert (shown, panel.chart.text) == (whole(panel, frame), frame["text"])
        assert [list(link) for link in panel.chart.links] == frame.get("links", [])
    pictures = {frame["svg"] for frame in panel.frames.values()}
    assert len(pictures) == len(panel.frames)


def test_keys_are_what_javascripts_json_stringify_writes():
    ahead = [
        Range("bits", "Bits", -2, 0, 0, step=2),
        Choice("mode", "Mode", ("per tensor", 'a "b" \\ é\n'), "per tensor"),
        Check("symmetric", "Symmetric"),
    ]
    assert list(Panel("t", ahead, say, ahead=True).frames) == [
        '[-2,"per tensor",false]',
        '[-2,"per tensor",true]',
        r'[-2,"a \"b\" \\ é\n",false]',
        r'[-2,"a \"b\" \\ é\n",true]',
        '[0,"per tensor",false]',
        '[0,"per tensor",true]',
        r'[0,"a \"b\" \\ é\n",false]',
        r'[0,"a \"b\" \\ é\n",true]',
    ]


def test_frames_hold_all_that_the_browser_needs_and_survive_the_wire():
    panel = Panel("Title", controls(), say, ahead=True)
    names = ("title", "controls", "lines", "frames", "values")
    state = {name: getattr(panel, name) for name in names}
    assert json.loads(json.dumps(state)) == state
    frame = panel.frames['[2,"per tensor",true]']
    assert {**frame, "svg": whole(panel, frame)} == {
        "svg": "<svg>{'bits': 2, 'mode': 'per tensor', 'symmetric': True}</svg>",
        "text": "shows {'bits': 2, 'mode': 'per tensor', 'symmetric': True}",
        "links": [["more", "README.md"]],
    }
    assert [control["kind"] for control in panel.controls] == ["range", "choice", "check"]
    assert panel.controls[0]["options"] == [2, 4, 6, 8]
    assert [control["label"] for control in panel.controls] == ["Bits", "Mode", "Symmetric"]


def test_ahead_draws_each_once_and_never_again():
    drawn = []

    def draw(bits):
        drawn.append(bits)
        return say(bits=bits)

    panel = Panel("t", [Range("bits", "Bits", 2, 8, 4)], draw, ahead=True)
    for bits in (8, 2, 8):
        panel.values = {"bits": bits}
        repr(panel)
    assert drawn == [2, 3, 4, 5, 6, 7, 8]
    assert panel.frame == {}, "the browser has all; nothing need be sent"


def test_too_many_pictures_are_refused_before_the_first_is_drawn():
    def draw(n):
        raise AssertionError("drawn")

    Panel("t", [Range("n", "N", 1, MOST_FRAMES, 1)], say, ahead=True)
    with pytest.raises(ValueError) as caught:
        Panel("t", [Range("n", "N", 0, MOST_FRAMES, 1)], draw, ahead=True)
    assert str(caught.value) == (
        f"{MOST_FRAMES + 1} pictures are too many to hold in the browser (at most "
        f"{MOST_FRAMES}); "
        "leave out ahead=True"
    )


def test_without_ahead_python_draws_at_each_move_and_only_then():
    drawn = []

    def draw(**values):
        drawn.append(values["bits"])
        return say(**values)

    panel = Panel("t", controls(), draw)
    assert panel.frames == {} and drawn == [4]
    assert panel.frame["key"] == '[4,"per tensor",true]'
    for bits in (6, 8):
        panel.values = {**panel.values, "bits": bits}
        assert panel.frame["key"] == json.dumps([bits, "per tensor", True]).replace(
            ", ", ","
        )
        assert panel.frame["text"] == panel.chart.text == f"shows {panel.values}"
        assert panel.frame["svg"] == panel.chart.svg
    repr(panel)
    assert drawn == [4, 6, 8]


# Values


def test_values_from_the_browser_arrive_in_the_order_of_the_controls():
    panel = Panel("t", controls(), say)
    panel.set_state({"values": {"symmetric": False, "mode": "per tensor", "bits": 8}})
    assert list(panel.values.items()) == [
        ("bits", 8),
        ("mode", "per tensor"),
        ("symmetric", False),
    ]
    assert panel.frame["key"] == '[8,"per tensor",false]'


@pytest.mark.parametrize(
    "change, says",
    [
        ({"bits": 3}, "bits is 3; expected 2 to 8 in steps of 2"),
        ({"bits": 10}, "bits is 10; expected 2 to 8 in steps of 2"),
        ({"bits": 4.0}, "bits is 4.0; expected 2 to 8 in steps of 2"),
        ({"bits": "4"}, "bits is '4'; expected 2 to 8 in steps of 2"),
        ({"symmetric": 1}, "symmetric is 1; expected one of False, True"),
        ({"symmetric": None}, "symmetric is None; expected one of False, True"),
        (
            {"mode": "per row"},
            "mode is 'per row'; expected one of 'per tensor', 'a \"channel\" é'",
        ),
        ({"colour": 1}, "there is no control 'colour'"),
    ],
)
def test_a_value_that_no_control_offers_is_refused_and_nothing_moves(change, says):
    panel = Panel("t", controls(), say)
    before = panel.values, panel.frame
    with pytest.raises(ValueError) as caught:
        panel.values = {**panel.values, **change}
    assert str(caught.value) == says
    assert (panel.values, panel.frame) == before


def test_every_control_needs_its_value():
    panel = Panel("t", controls(), say)
    with pytest.raises(ValueError) as caught:
        panel.values = {"bits": 4, "mode": "per tensor"}
    assert str(caught.value) == "there is no value for the control 'symmetric'"
    with pytest.raises(traitlets.TraitError):
        panel.values = [4, "per tensor", True]


def test_true_is_not_the_number_1():
    # In Python True == 1, but the browser would ask for the frame "[1]", not "[true]".
    panel = Panel("t", [Range("n", "N", 0, 3, 2)], say, ahead=True)
    with pytest.raises(ValueError) as caught:
        panel.values = {"n": True}
    assert str(caught.value) == "n is True; expected 0 to 3 in steps of 1"
    with pytest.raises(ValueError, match="n is False; expected 0 to 1 in steps of 1"):
        Range("n", "N", 0, 1, False)


@pytest.mark.parametrize(
    "build, says",
    [
        (lambda: Range("n", "N", 0, 6, 3, step=2), "n is 3; expected 0 to 6 in steps of 2"),
        (lambda: Range("n", "N", 0, 2, 9), "n is 9; expected 0 to 2 in steps of 1"),
        (lambda: Choice("c", "C", ("a", "b"), "d"), "c is 'd'; expected one of 'a', 'b'"),
        (
            lambda: Range("n", "N", 5, 2, 3),
            "n runs 5 to 2 in steps of 1; expected low below high, and a step of at least "
            "1 that leads from one to the other",
        ),
        (
            lambda: Range("n", "N", 2, 2, 2),
            "n runs 2 to 2 in steps of 1; expected low below high, and a step of at least "
            "1 that leads from one to the other",
        ),
        (
            lambda: Range("n", "N", 0, 3, 2, step=2),
            "n runs 0 to 3 in steps of 2; expected low below high, and a step of at least "
            "1 that leads from one to the other",
        ),
        (
            lambda: Range("n", "N", 0.0, 1.0, 0.0),
            "n has low, high, step (0.0, 1.0, 1); expected integers",
        ),
        (
            lambda: Choice("c", "C", ("x", "x"), "x"),
            "c has the options ('x', 'x'); expected two or more, each once",
        ),
        (lambda: Check("b", "B", 1), "b is 1; expected one of False, True"),
        (
            lambda: Panel("t", [Check("b", "B", 1)], say),
            "b is 1; expected one of False, True",
        ),
        (
            lambda: Panel("t", [Check("b", "B"), Check("b", "C")], say),
            "two controls share a name: b, b",
        ),
    ],
)
def test_a_control_starts_on_a_value_that_it_offers(build, says):
    with pytest.raises(ValueError) as caught:
        build()
    assert str(caught.value) == says


# The forms for nbval and for readers without a kernel


@each_explorer
def test_text_and_picture_are_the_same_each_time_and_name_no_memory_address(build):
    first, second = build(), build()
    for panel in (first, second):
        data, _ = panel._repr_mimebundle_()
        assert data["text/plain"] == repr(first)
        assert data["image/svg+xml"] == first.chart.svg
        assert VIEW in data, "the live view"
        stable = data["text/plain"] + data["image/svg+xml"]
        assert not re.search(r"\b0x[0-9a-f]{5,}|object at|IPY_MODEL", stable)
    assert first.model_id != second.model_id


def test_the_words_name_the_panel_its_values_and_what_it_shows():
    panel = Panel("Try it", controls(), lambda **values: Chart("<svg/>", "One sentence."))
    assert repr(panel) == (
        "Panel(Try it: bits=4, mode='per tensor', symmetric=True): One sentence."
    )
    panel.values = {**panel.values, "bits": 2}
    assert repr(panel).startswith("Panel(Try it: bits=2, ")


def test_the_forms_follow_the_values():
    for ahead in (True, False):
        panel = Panel("t", controls(), say, ahead=ahead)
        before, _ = panel._repr_mimebundle_()
        panel.values = {**panel.values, "bits": 8}
        after, _ = panel._repr_mimebundle_()
        assert (
            "'bits': 4" in before["text/plain"] and "'bits': 4" in before["image/svg+xml"]
        )
        assert "'bits': 8" in after["text/plain"] and "'bits': 8" in after["image/svg+xml"]


def test_another_formula_behind_a_panel_changes_what_nbval_compares(monkeypatch):
    row = torch.linspace(-1, 1, 24)
    right = weight_row.weight_row(row)

    def round_down(tensor, qparams):
        scaled = torch.floor(tensor / qparams.scale) + qparams.zero_point
        return scaled.clamp(qparams.qmin, qparams.qmax).to(torch.int32)

    monkeypatch.setattr(weight_row, "quantize", round_down)
    wrong = weight_row.weight_row(row)
    assert repr(wrong) != repr(right)
    assert wrong.chart.svg != right.chart.svg


def test_a_range_of_a_thousand_values_says_so_in_few_words():
    with pytest.raises(ValueError) as caught:
        Range("n", "N", 0, 1000, 5000)
    assert str(caught.value) == "n is 5000; expected 0 to 1000 in steps of 1"


def test_a_draw_that_raises_is_told_in_the_panel_and_the_next_move_works():
    def draw(bits):
        if bits == 3:
            raise ValueError("three is not drawn")
        return say(bits=bits)

    panel = Panel("t", [Range("bits", "Bits", 2, 4, 2)], draw)
    with pytest.raises(ValueError) as caught:
        panel.values = {"bits": 3}
    assert caught.value.__notes__ == ["while drawing the panel for {'bits': 3}"]
    said = "No picture for this setting. ValueError: three is not drawn"
    assert panel.frame == {"key": "[3]", "text": said, "svg": ""}
    panel.values = {"bits": 4}
    assert panel.frame["key"] == "[4]" and panel.frame["svg"]


def test_a_draw_that_returns_no_chart_is_named():
    with pytest.raises(TypeError, match="draw returned a str; expected a Chart"):
        Panel("t", [Check("b", "B")], lambda b: "a picture", ahead=True)


def test_pictures_drawn_ahead_share_their_lines():
    panel = number_line.number_line()
    frames = panel.frames.values()
    assert len(frames) > 500
    used = sum(len(panel.lines[int(k)]) for frame in frames for k in frame["svg"].split())
    assert sum(map(len, panel.lines)) < used / 20
    assert len(json.dumps([panel.lines, panel.frames])) < 600_000
    # So they do their questions: one for bits, range and symmetry, whatever the value.
    asked = {frame["guess"] for frame in frames}
    assert len(asked) == 4 * 3 * 2
    assert all("lowest level" in json.loads(panel.lines[k])["question"] for k in asked)


def test_a_menu_offers_and_refuses_as_a_choice_does():
    menu = Menu("layer", "Layer", ("stem", "head"), "stem")
    assert menu.kind == "menu"
    panel = Panel("t", [menu], say)
    assert panel.controls[0]["kind"] == "menu"
    with pytest.raises(ValueError, match="layer is 'tail'; expected one of 'stem', 'head'"):
        panel.values = {"layer": "tail"}


# Uneven stops and lists of boxes


def test_stops_offer_their_numbers_and_no_other():
    panel = Panel("t", [Stops("bits", "Bits", (2, 8, 32), 8)], say, ahead=True)
    assert panel.controls[0]["options"] == [2, 8, 32]
    assert list(panel.frames) == ["[2]", "[8]", "[32]"]
    with pytest.raises(ValueError) as caught:
        panel.values = {"bits": 16}
    assert str(caught.value) == "bits is 16; expected one of 2, 8, 32"


def test_ticks_hold_the_ticked_names_in_the_order_of_the_list():
    panel = Panel("t", [Ticks("keep", "Keep", ("stem", "head"))], say)
    assert panel.controls[0]["options"] == ["stem", "head"]
    assert panel.frame["key"] == "[[]]"
    # The browser sends a list; draw gets a tuple, which can be a key of a dict.
    panel.set_state({"values": {"keep": ["stem", "head"]}})
    assert panel.values == {"keep": ("stem", "head")}
    assert panel.frame["key"] == '[["stem","head"]]'
    assert panel.chart.text == "shows {'keep': ('stem', 'head')}"


def test_the_sets_that_ticks_make_are_not_listed_for_the_browser(monkeypatch):
    # Of the names of 30 layers there are a billion.
    monkeypatch.setattr(Ticks, "options", property(lambda self: pytest.fail("listed")))
    names = tuple(map(str, range(30)))
    panel = Panel("Layers", [Ticks("kept", "Keep", names)], say)
    assert panel.controls[0]["options"] == list(names)


def test_every_set_of_ticks_can_be_drawn_ahead():
    panel = Panel("t", [Ticks("keep", "Keep", ("a", "b", "c"))], say, ahead=True)
    assert len(panel.frames) == 8
    panel.values = {"keep": ["a", "c"]}
    assert panel.chart.text == "shows {'keep': ('a', 'c')}"
    assert panel.frames['[["a","c"]]']["text"] == panel.chart.text


@pytest.mark.parametrize("value", [("head", "stem"), ("stem", "stem"), ("tail",), "stem"])
def test_ticks_refuse_what_the_boxes_cannot_say(value):
    panel = Panel("t", [Ticks("keep", "Keep", ("stem", "head"))], say)
    with pytest.raises(ValueError) as caught:
        panel.values = {"keep": value}
    assert str(caught.value) == (
        f"keep is {value!r}; expected some of 'stem', 'head', in this order"
    )
    assert panel.values == {"keep": ()}


@pytest.mark.parametrize(
    "build, says",
    [
        (
            lambda: Stops("n", "N", (2, 8, 4), 2),
            "n has the stops (2, 8, 4); expected two or more, rising",
        ),
        (
            lambda: Stops("n", "N", (2,), 2),
            "n has the stops (2,); expected two or more, rising",
        ),
        (lambda: Stops("n", "N", (2, 4), 3), "n is 3; expected one of 2, 4"),
        (
            lambda: Ticks("n", "N", ("a", "a")),
            "n has the names ('a', 'a'); expected one or more, each once",
        ),
        (
            lambda: Ticks("n", "N", ()),
            "n has the names (); expected one or more, each once",
        ),
    ],
)
def test_stops_and_ticks_that_make_no_sense_are_refused(build, says):
    with pytest.raises(ValueError) as caught:
        build()
    assert str(caught.value) == says


def own_bits(**other):
    given = {"name": "own", "label": "Bits", "each": "Bits of", "names": ("a", "b")}
    given |= {"stops": (0, 2, 32), "texts": ("as above", "2", "float"), "value": (0, 0)}
    return Sliders(**given | other)


def test_sliders_by_name_hold_a_number_for_each():
    panel = Panel("t", [own_bits()], say)
    [spec] = panel.controls
    assert (spec["options"], spec["stops"]) == (["a", "b"], (0, 2, 32))
    assert spec["each"] == "Bits of" and spec["texts"] == ("as above", "2", "float")
    # The browser sends a list; draw gets a tuple, which can be a key of a dict.
    panel.set_state({"values": {"own": [0, 32]}})
    assert panel.values == {"own": (0, 32)}
    assert panel.frame["key"] == "[[0,32]]"


@pytest.mark.parametrize("value", [(0,), (0, 0, 0), (0, 3), (0, True), (0, 2.0), "ab", 0])
def test_sliders_by_name_refuse_where_they_cannot_stand(value):
    panel = Panel("t", [own_bits()], say)
    with pytest.raises(ValueError) as caught:
        panel.values = {"own": value}
    assert (
        str(caught.value) == f"own is {value!r}; expected 2 numbers, each one of 0, 2, 32"
    )
    assert panel.values == {"own": (0, 0)}


@pytest.mark.parametrize(
    "wrong, says",
    [
        (
            {"names": ("a", "a")},
            "own has the names ('a', 'a'); expected one or more, each ",
        ),
        ({"names": (), "value": ()}, "own has the names (); expected one or more, each on"),
        ({"stops": (0, 2)}, "own has the stops (0, 2) and the texts ('as above', '2', 'f"),
        ({"stops": (0, 2, 2)}, "own has the stops (0, 2, 2) and the texts ('as above',"),
        ({"value": (0, 3)}, "own is (0, 3); expected 2 numbers, each one of 0, 2, 32"),
    ],
)
def test_sliders_by_name_that_make_no_sense_are_refused(wrong, says):
    with pytest.raises(ValueError) as caught:
        own_bits(**wrong)
    assert str(caught.value).startswith(says)


def test_sliders_by_name_are_not_drawn_ahead():
    with pytest.raises(ValueError, match="too many ways; leave out ahead=True"):
        Panel("t", [own_bits()], say, ahead=True)


# Buttons, tables, code


def counting_panel():
    """A panel whose button counts what the slider stood on, and its list of those."""
    pressed = []

    def draw(n):
        rows = (("n",), *((str(k),) for k in pressed))
        return Chart("<svg/>", f"{n}, pressed {pressed}", table=rows, code=f"n = {n}")

    def press():
        pressed.append(panel.values["n"])

    panel = Panel("t", [Range("n", "N", 0, 9, 4)], draw, buttons={"Count": press})
    return panel, pressed


def test_a_button_calls_its_function_and_the_picture_is_drawn_anew():
    panel, pressed = counting_panel()
    assert panel.buttons == ["Count"]
    panel.press("Count")
    assert pressed == [4]
    assert panel.frame["text"] == panel.chart.text == "4, pressed [4]"
    assert panel.frame["table"] == [["n"], ["4"]] and panel.frame["code"] == "n = 4"


def test_a_press_in_the_browser_brings_the_values_that_the_learner_saw():
    panel, pressed = counting_panel()
    # The slider's own message is still on its way while the kernel is busy.
    panel._handle_custom_msg({"pressed": "Count", "values": {"n": 7}}, [])
    assert pressed == [7] and panel.values == {"n": 7}


def test_a_press_sends_no_values_back_but_those_that_its_button_sets(monkeypatch):
    panel = None

    def go():
        if reset:
            panel.values = {"n": 1}

    panel = Panel("t", [Range("n", "N", 0, 9, 4)], say, buttons={"Go": go})
    sent = []
    monkeypatch.setattr(panel, "send_state", lambda key=None: sent.append(key))
    for reset, expected in ((False, []), (True, ["values"])):
        sent.clear()
        panel._handle_custom_msg({"pressed": "Go", "values": {"n": 7 + reset}}, [])
        assert [key for key in sent if key == "values"] == expected
        assert panel.values == {"n": 1 if reset else 7}


def test_a_button_that_is_not_there_is_named():
    panel, _ = counting_panel()
    with pytest.raises(ValueError) as caught:
        panel.press("Stop")
    assert str(caught.value) == "there is no button 'Stop'; there are: 'Count'"


def test_buttons_and_pictures_drawn_ahead_exclude_each_other():
    with pytest.raises(ValueError, match="a button changes pictures; leave out ahead=True"):
        Panel("t", [Check("b", "B")], say, ahead=True, buttons={"Go": lambda: None})


def test_redraw_shows_what_has_changed_outside_the_controls():
    shown = ["first"]
    panel = Panel("t", [Check("b", "B")], lambda b: Chart("<svg/>", shown[0]))
    shown[0] = "second"
    panel.redraw()
    assert panel.frame["text"] == panel.chart.text == "second"


def test_buttons_are_disabled_and_progress_shown_from_python():
    panel, _ = counting_panel()
    assert panel.disabled == [] and panel.progress is None
    panel.disabled = ["Count"]
    panel.progress = {"done": 3, "of": 8, "says": "3 of 8 layers"}
    state = panel.get_state(["disabled", "progress"])
    assert state == {"disabled": ["Count"], "progress": panel.progress}
    panel.progress = None


def test_buttons_may_change_and_a_late_press_of_an_old_one_counts():
    panel, pressed = counting_panel()
    panel.offer({"Stop": lambda: pressed.append("stop"), "Count": panel._buttons["Count"]})
    assert panel.buttons == ["Stop", "Count"]
    panel.offer({})
    assert panel.buttons == []
    panel.press("Stop")
    assert pressed == ["stop"] and panel.frame["text"] == "4, pressed ['stop']"


def test_answers_in_words_and_labels_in_a_table_reach_the_browser():
    item = Item("<says>", "means", "code()", ("Read on", "notebooks/a.ipynb"))
    table = (("Key", "Finding"), ("a.b", ("= match", "#123456")))
    panel = Panel(
        "t", [Check("b", "B")], lambda b: Chart("", "x", table=table, items=(item,))
    )
    assert panel.frame["items"] == [
        {
            "says": "<says>",
            "meaning": "means",
            "code": "code()",
            "link": ("Read on", "notebooks/a.ipynb"),
        }
    ]
    assert panel.frame["table"] == [["Key", "Finding"], ["a.b", ("= match", "#123456")]]
    json.dumps(panel.get_state(["frame"]))


def test_a_message_waits_while_a_thread_changes_the_panel():
    panel = Panel("t", [Check("b", "B")], say)
    data = {"method": "update", "state": {"values": {"b": True}}}
    message = {"content": {"data": data}, "buffers": []}
    thread = Thread(target=panel._handle_msg, args=[message])
    with panel.lock:
        thread.start()
        thread.join(0.2)
        assert panel.values == {"b": False}
    thread.join(20)
    assert panel.values == {"b": True}


# Whether Python answers


@pytest.fixture
def heard(monkeypatch):
    """What panels send to the browser, beside their state."""
    messages = []
    monkeypatch.setattr(Panel, "send", lambda panel, message: messages.append(message))
    return messages


def test_whoever_asks_whether_python_is_there_gets_an_answer(heard):
    panel, pressed = counting_panel()
    panel._handle_custom_msg({"asks": "1"}, [])
    assert heard == [{"answered": "1"}] and pressed == []


def test_a_press_is_answered_after_its_picture_even_where_that_is_the_same(heard):
    shown = []
    panel = Panel("t", [Check("b", "B")], say, buttons={"Go": lambda: None})
    panel.observe(lambda change: shown.append(list(heard)), "frame")
    panel._handle_custom_msg({"asks": "1", "pressed": "Go", "values": {"b": True}}, [])
    panel._handle_custom_msg({"asks": "2", "pressed": "Go", "values": {"b": True}}, [])
    assert shown == [[]], "the frame goes first"
    assert heard == [{"answered": "1"}, {"answered": "2"}]


def test_a_press_that_raises_is_answered_with_the_error(heard):
    panel = Panel("t", [Check("b", "B")], say, buttons={"Go": lambda: {}["key"]})
    with pytest.raises(KeyError):
        panel._receive({"asks": "1", "pressed": "Go", "values": {"b": True}})
    assert heard == [{"answered": "1", "failed": "KeyError: 'key'"}]


# Text


def test_a_text_takes_anything_up_to_its_length_and_is_sent_with_a_press(heard):
    seen = []
    fields = [Text("rules", "Rules", "a -> b", lines=3, most=12), Check("b", "B")]

    def draw(rules, b):
        faults = {"rules": "no arrow"} if "->" not in rules else {}
        return Chart("<svg/>", f"{len(rules)} letters", faults=faults)

    panel = Panel("t", fields, draw, buttons={"Go": lambda: seen.append(panel.values)})
    spec = panel.controls[0]
    assert (spec["kind"], spec["lines"], spec["most"]) == ("text", 3, 12)
    assert "faults" not in panel.frame
    for rules in ("", "é\n\u2028\x07 ->", "x" * 12):
        panel.set_state({"values": {"rules": rules, "b": False}})
        assert panel.values["rules"] == rules
        assert json.loads(panel.frame["key"]) == [rules, False]
        assert panel.frame.get("faults", {}) == (
            {} if "->" in rules else {"rules": "no arrow"}
        )
    panel._handle_custom_msg({"pressed": "Go", "values": {"rules": "new", "b": True}}, [])
    assert seen == [{"rules": "new", "b": True}]


@pytest.mark.parametrize("value", ["x" * 13, 3, None, ["x"]])
def test_a_text_that_is_none_or_too_long_is_refused(value):
    panel = Panel("t", [Text("rules", "Rules", most=12)], say)
    with pytest.raises(ValueError, match="rules is not a text of at most 12 characters"):
        panel.values = {"rules": value}
    assert panel.values == {"rules": ""}
    with pytest.raises(ValueError, match="not a text of at most 12"):
        Text("rules", "Rules", value, most=12)


def test_texts_cannot_be_drawn_ahead():
    with pytest.raises(ValueError, match="a text has no end of values; leave out ahead"):
        Panel("t", [Text("rules", "Rules")], say, ahead=True)


# Guess first, then see


def asking(n):
    places = {"along": "x", "values": (0, 9), "places": (50, 550), "across": (10, 90)}
    asked = Asked(f"How much is {n} times 2?", 2 * n, f"{n} is doubled.", **places)
    svg = "\n".join(["<svg>", *covered([f"<text>{2 * n}</text>"]), "</svg>"])
    return Chart(svg, f"{n} doubled is {2 * n}.", guess=asked, brief=f"{2 * n}")


@pytest.mark.parametrize("ahead", [True, False])
def test_the_browser_learns_what_is_asked_and_paper_shows_the_answer(ahead):
    guess = Guess(Range("guess", "My guess", 0, 90, 25, decimals=1), "{} apples")
    panel = Panel("t", [Range("n", "N", 0, 9, 4)], asking, ahead=ahead, guess=guess)
    assert panel.guess["write"] == "{} apples" and panel.guessed == {}
    assert panel.guess["slider"]["options"] == list(range(91))
    frame = panel.frames["[4]"] if ahead else panel.frame or panel._send_frame()
    frame = frame or panel.frame
    asked = json.loads(panel.lines[frame["guess"]]) if ahead else frame["guess"]
    assert asked["question"] == "How much is 4 times 2?"
    assert (asked["truth"], asked["before"]) == (8, "4 is doubled.")
    assert frame["brief"] == "8"
    data, _ = panel._repr_mimebundle_()
    assert "4 doubled is 8." in data["text/plain"] and ">8<" in data["image/svg+xml"]
    json.dumps(panel.get_state(["guess", "guessed", "frame", "frames"]))


def test_what_is_covered_is_marked_only_where_something_is_asked():
    assert covered(["a", "b"]) == ['<g class="covered">', "a", "b", "</g>"]
    assert covered(["a", "b"], False) == ["a", "b"]
    assert covered([]) == []


@pytest.mark.parametrize("write", ["apples", "{} of {}"])
def test_a_guess_is_written_with_its_number_once(write):
    with pytest.raises(ValueError, match=r"expected one \{\} in it"):
        Guess(Range("guess", "My guess", 0, 9, 4), write)


def test_a_panel_without_a_guess_asks_nothing():
    panel = Panel("t", [Range("n", "N", 0, 9, 4)], say)
    assert panel.guess is None


def test_node_tests_the_files_that_python_joins():
    text = (ROOT / "tests" / "javascript" / "load.mjs").read_text()
    listed = re.search(r"FILES = \[([^]]*)\]", text)[1]
    assert tuple(re.findall(r'"(.+?)"', listed)) == SCRIPTS
    assert all(line in script() for line in ("// The controls of", "export default"))
