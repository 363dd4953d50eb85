"""The key-mapping workbench without a browser: rules, findings, suggestions, the call."""

import re

import pytest
import torch
from torch import nn

from helpers.classroom.charts import bars
from helpers.classroom.charts.drawing import WIDTH
from helpers.classroom.data.networks import DigitsNet, SimpleNet
from helpers.classroom.exercises.notebook_05 import old_digits
from helpers.classroom.explorers.key_mapping import (
    HEADINGS,
    SHOW,
    SIGNS,
    draw,
    key_mapping,
)
from helpers.classroom.explorers.key_rules import FINDINGS, map_keys, read_rules, shapes_of
from helpers.classroom.explorers.key_suggestions import suggest
from helpers.classroom.panel import Choice, Panel
from helpers.state_dicts import remap_keys


def state(**shapes):
    return {name.replace("_", "."): torch.zeros(shape) for name, shape in shapes.items()}


OLD = state(module_fc1_weight=(4, 3), module_fc1_bias=4, module_fc2_weight=(2, 4))
NEW = state(hidden_weight=(4, 3), hidden_bias=5, output_weight=(2, 4), output_bias=2)
RULES = "^module\\. ->\n^fc1\\. -> hidden.\n"


def findings(mapped):
    return [(row.old, row.finding, row.name) for row in mapped.rows]


def mapped(text, old=OLD, new=NEW):
    rules, faults = read_rules(text)
    assert faults == []
    return map_keys(shapes_of(old, "old"), shapes_of(new, "new"), rules)


# Rules as text


def test_a_rule_a_line_with_comments_and_empty_lines_between():
    text = "# wrappers\n\n  ^module\\. ->  \n^fc(\\d) -> layer\\1\na->b->c"
    assert read_rules(text) == (
        [("^module\\.", ""), ("^fc(\\d)", "layer\\1"), ("a", "b->c")],
        [],
    )


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("^module", "Line 2: '^module' is not a rule; expected old -> new."),
        ("-> new", "Line 2: '-> new' is not a rule; expected old -> new."),
        (
            r"(\.a -> b",
            r"Line 2: '(\.a -> b' cannot be read: missing ), unterminated subpattern",
        ),
        (r"a -> \1", r"Line 2: 'a -> \1' cannot be read: invalid group reference 1"),
        (r"a -> \g<x>", r"Line 2: 'a -> \g<x>' cannot be read: unknown group name"),
        (r"a -> \q", r"Line 2: 'a -> \q' cannot be read: bad escape"),
        (
            "a{9999999999} -> b",
            "Line 2: 'a{9999999999} -> b' cannot be read: the repetition number is",
        ),
    ],
)
def test_a_line_that_is_no_rule_is_told_and_the_others_still_count(line, says):
    rules, faults = read_rules(f"a -> b\n{line}\nc -> d")
    assert rules == [("a", "b"), ("c", "d")]
    assert len(faults) == 1 and faults[0].startswith(says)


# What becomes of the keys


def test_every_finding_has_its_key():
    assert findings(mapped(RULES)) == [
        ("module.fc1.weight", "match", "hidden.weight"),
        ("module.fc1.bias", "other shape", "hidden.bias"),
        ("module.fc2.weight", "left over", "fc2.weight"),
        ("", "missing", "output.weight"),
        ("", "missing", "output.bias"),
    ]
    row = mapped(RULES).rows[1]
    assert (row.old_shape, row.new_shape) == ((4,), (5,))
    assert mapped(RULES).counts == {
        "match": 1,
        "other shape": 1,
        "collision": 0,
        "left over": 1,
        "missing": 2,
    }
    assert list(mapped(RULES).counts) == list(FINDINGS)


def test_two_keys_of_one_name_collide_whether_the_model_has_it_or_not():
    both = mapped("^.*weight$ -> hidden.weight")
    assert [row.finding for row in both.rows[:3]] == ["collision", "left over", "collision"]
    assert "hidden.weight" not in [r.name for r in both.rows if r.finding == "missing"]
    assert "would both become 'hidden.weight'" in both.refusal
    neither = mapped("^.*weight$ -> nowhere")
    assert [row.finding for row in neither.rows].count("collision") == 2


def test_the_words_give_counts_and_first_names():
    assert mapped(RULES).text == (
        "Not complete: 1 match; 1 other shape (module.fc1.bias); 1 left over "
        "(module.fc2.weight); 2 missing (output.weight, output.bias)."
    )
    assert mapped("", NEW).text == "Complete: 4 match."
    many = state(**{f"a{k}": 1 for k in range(6)})
    assert "6 left over (a0, a1, a2, ...)" in mapped("", many).text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("^modul$ ->", "rule 1, '^modul$' -> '', matches none of the 3 keys"),
        ("weight -> bias", "would both become 'module.fc1.bias'"),
        ("module ->", "a name that no module can have"),
    ],
)
def test_what_remap_keys_would_refuse_is_said_with_its_own_words(text, says):
    assert says in mapped(text).refusal
    assert mapped(text).call == ""
    with pytest.raises(ValueError) as caught:
        remap_keys(OLD, read_rules(text)[0])
    assert str(caught.value) == mapped(text).refusal


@pytest.mark.parametrize(
    "text",
    [
        "",
        "^module\\. ->",
        RULES,
        'fc(\\d) -> "\\1',
        "fc(?P<n>\\d) -> l\\g<n>",
        "[.]fc1 -> 'x'",
        "fc1 -> \\\\",
    ],
)
def test_the_call_when_executed_gives_the_names_in_the_table(text):
    one = mapped(text)
    renamed = eval(one.call, {"remap_keys": remap_keys, "state_dict": OLD})
    assert list(renamed) == [row.name for row in one.rows if row.old]
    assert [*map(id, renamed.values())] == [*map(id, OLD.values())]


def test_the_call_reads_as_a_formatter_leaves_it():
    assert mapped("^module\\. ->").call == 'remap_keys(state_dict, [(r"^module\\.", "")])'
    assert mapped(RULES).call == (
        "remap_keys(\n    state_dict,\n    [\n"
        '        (r"^module\\.", ""),\n        (r"^fc1\\.", "hidden."),\n    ],\n)'
    )


# Suggestions


def lines(text, old, new):
    one = mapped(text, old, new)
    return [s.line for s in suggest(one, shapes_of(old, "old"), shapes_of(new, "new"))]


def completed(old, new, most=12):
    """Take the first suggestion again and again; return the rules."""
    text = ""
    while found := lines(text, old, new):
        text += f"{found[0]}\n"
        assert text.count("\n") < most
    return text


def test_the_first_suggestion_again_and_again_maps_an_old_digits_network():
    text = completed(old_digits(), DigitsNet().state_dict())
    assert text == "^module\\. ->\n^features\\. -> stem.\n^classifier\\. -> head.\n"
    assert mapped(text, old_digits(), DigitsNet()).text == "Complete: 56 match."


class Blocks(nn.Module):
    """Blocks of a transformer under names of one's choice: 12 tensors each."""

    def __init__(self, count, blocks, attention, feed, out):
        super().__init__()
        layers = []
        for _ in range(count):
            layer = nn.Module()
            setattr(layer, attention, nn.Linear(4, 12))
            setattr(layer, feed, nn.Linear(4, 8))
            setattr(layer, out, nn.Linear(8, 4))
            layers.append(layer)
        setattr(self, blocks, nn.ModuleList(layers))


def test_a_name_that_repeats_in_every_block_becomes_one_rule():
    old = nn.DataParallel(Blocks(5, "blocks", "qkv", "fc1", "fc2")).state_dict()
    new = Blocks(5, "layers", "in_proj", "up", "down").state_dict()
    text = completed(old, new)
    assert text.splitlines()[:2] == ["^module\\. ->", "^blocks\\. -> layers."]
    assert len(text.splitlines()) == 5
    assert mapped(text, old, new).text == "Complete: 30 match."


def test_a_prefix_that_is_missing_is_suggested():
    old = SimpleNet().state_dict()
    new = {f"net.{name}": tensor for name, tensor in old.items()}
    assert lines("", old, new)[0] == "^ -> net."
    assert mapped("^ -> net.", old, new).counts["match"] == 4


def test_no_suggestion_makes_two_keys_one_or_pairs_other_shapes():
    old = state(a_weight=(2, 2), b_weight=(2, 2))
    new = state(c_weight=(2, 2), d_weight=(3, 3))
    assert lines("", old, new) == ["^a\\. -> c."]
    assert lines("^a\\. -> c.", old, new) == []
    assert lines("", old, old) == []
    # Taking m. off would bring the names nearer, and make it a.weight, which is there.
    old = state(m_a_weight=(2, 2), a_weight=(2, 2))
    new = state(a_weight=(2, 2), b_weight=(2, 2))
    assert lines("", old, new) == ["^m\\.a\\. -> b."]


def test_a_suggestion_says_what_it_would_do():
    old = nn.DataParallel(Blocks(5, "blocks", "qkv", "fc1", "fc2")).state_dict()
    new = Blocks(5, "layers", "in_proj", "up", "down").state_dict()
    reasons = []
    for rules in ("^module\\. ->", "^module\\. ->\n^blocks\\. -> layers."):
        one = mapped(rules, old, new)
        [first, *_] = suggest(one, shapes_of(old, "old"), shapes_of(new, "new"))
        reasons.append(first.reason)
    assert reasons == ["30 come nearer", "10 more match"]


# The workbench in Python


def findings_shown(bench):
    """The labels of the table's second column, without their signs."""
    return [label[0][2:] for _, label, _ in bench.panel.frame["table"][1:]]


def show(bench, what):
    bench.panel.values = {**bench.panel.values, "show": what}


def test_each_change_of_the_rules_changes_all_that_is_shown():
    bench = key_mapping(OLD, NEW)
    assert bench.call == "remap_keys(state_dict, [])"
    bench.rules = RULES
    frame = bench.panel.frame
    assert frame["text"] == bench.text == mapped(RULES).text
    assert "≠ 1 other shape" in frame["svg"]
    assert findings_shown(bench) == [row.finding for row in mapped(RULES).rows]
    space = "\N{NO-BREAK SPACE}"
    assert frame["table"][0] == list(HEADINGS)
    assert frame["table"][1] == [
        f"module.fc1.weight (4,{space}3)",
        ("= match", SIGNS["match"][1]),
        f"hidden.weight (4,{space}3)",
    ]
    assert frame["table"][2][::2] == ["module.fc1.bias (4,)", "hidden.bias (5,)"]
    assert frame["code"] == bench.call == mapped(RULES).call
    assert bench.mapped == mapped(RULES)
    assert repr(bench).startswith("KeyMapping(rules: ^module\\. ->; ^fc1\\. -> hidden.; ):")


def test_only_what_is_open_hides_the_matches():
    bench = key_mapping(OLD, NEW, RULES)
    show(bench, SHOW[1])
    assert findings_shown(bench) == ["other shape", "left over", "missing", "missing"]
    svg = bench.panel.frame["svg"]
    assert "What is open" in svg and "= 1 match" in svg
    show(bench, SHOW[0])
    assert "match" in findings_shown(bench)


@pytest.mark.parametrize("everything", [True, False])
def test_the_bar_has_a_piece_for_each_finding_as_wide_as_its_share(everything):
    svg = draw(mapped(RULES), "words", everything=everything).svg
    widths = [float(w) for w in re.findall(r'y="34" width="([\d.]+)" height="16"', svg)]
    counts = [1 if everything else 0, 1, 0, 1, 2]
    whole = WIDTH - 28
    assert widths == pytest.approx([whole * c / sum(counts) for c in counts], abs=0.06)


def test_a_half_typed_rule_is_told_beside_the_field_and_nothing_is_raised():
    bench = key_mapping(OLD, NEW)
    for k in range(len(RULES) + 1):
        bench.rules = RULES[:k]
    assert "faults" not in bench.panel.frame or not bench.panel.frame["faults"]["rules"]
    bench.rules = "^module\\. ->\n(fc"
    fault = "Line 2: '(fc' is not a rule; expected old -> new."
    assert bench.panel.frame["faults"] == {"rules": fault}
    assert bench.text.startswith(f"{fault} Not complete")
    assert bench.panel.frame["text"].startswith("Not complete")
    assert bench.call == bench.panel.frame.get("code", "") == ""
    bench.rules = r"^no\. ->"
    assert bench.text.startswith(r"remap_keys refuses: rule 1, '^no\.' -> ''")


def test_a_suggestions_button_adds_its_rule_below_the_others():
    bench = key_mapping(old_digits(), DigitsNet(), "# mine\n")
    for expected in ("^module\\. ->", "^features\\. -> stem.", "^classifier\\. -> head."):
        first = bench.panel.buttons[0]
        assert first.startswith(f"Add {expected} (")
        bench.panel.press(first)
        assert bench.rules.endswith(f"\n{expected}")
    assert bench.mapped.text == "Complete: 56 match."
    assert bench.panel.buttons == []
    renamed = eval(bench.call, {"remap_keys": remap_keys, "state_dict": old_digits()})
    DigitsNet().load_state_dict(renamed)


def test_a_press_of_a_suggestion_that_has_gone_still_adds_what_it_says():
    bench = key_mapping(old_digits(), DigitsNet())
    seen = bench.panel.buttons[0]
    # The rules that were typed meanwhile arrive first, and bring other suggestions.
    typed = {"rules": "^module\\. ->", "show": SHOW[0]}
    bench.panel.set_state({"values": typed})
    assert seen not in bench.panel.buttons
    bench.panel._handle_custom_msg({"pressed": seen, "values": typed}, [])
    assert bench.rules == "^module\\. ->\n^module\\. ->"


def test_names_are_text_and_not_markup():
    bench = key_mapping({"<b>x</b>": torch.zeros(1)}, NEW)
    assert bench.panel.frame["table"][1][0] == "<b>x</b> (1,)"
    data, _ = bench._repr_mimebundle_()
    assert "&lt;b&gt;x" in data["text/html"] and "<b>x" not in data["text/html"]
    assert data["text/plain"] == repr(bench)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("old.pt", NEW, "old is of type str; expected a module or a state dict"),
        (OLD, [1], "new is of type list; expected a module or a state dict"),
        ({"state_dict": OLD}, NEW, "pass checkpoint['state_dict']"),
    ],
)
def test_what_has_no_keys_is_refused(old, new, says):
    with pytest.raises(TypeError, match="expected") as caught:
        key_mapping(old, new)
    assert says in str(caught.value).replace('"', "'")


def test_a_panel_draws_again_when_asked():
    seen = ["one"]

    def draw(size):
        return bars("Again", ["letters"], {"": [1]}, text=seen[-1])

    panel = Panel("Again", [Choice("size", "Size", ("small", "big"), "small")], draw)
    seen.append("two")
    assert panel.frame["text"] == panel.chart.text == "one"
    panel.redraw()
    assert panel.frame["text"] == panel.chart.text == "two"
