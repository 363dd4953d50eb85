"""Renamed keys: rules, prefixes, the modules' versions."""

import copy
import re
from collections import OrderedDict

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.modules.utils import consume_prefix_in_state_dict_if_present

from helpers.state_dicts import remap_keys, strip_prefix
from tests.state_dicts import same_objects, small_net


def test_each_rule_sees_the_result_of_the_one_before():
    state = {"module.fc1.weight": torch.ones(1), "module.fc2.weight": torch.ones(2)}
    renamed = remap_keys(state, [(r"^module\.", ""), (r"^fc(\d)", r"layer\1")])
    assert list(renamed) == ["layer1.weight", "layer2.weight"]
    assert type(renamed) is dict


def test_two_names_can_be_swapped_through_a_third():
    state = {"a.w": torch.ones(1), "b.w": torch.ones(2)}
    renamed = remap_keys(state, [("^a", "x"), ("^b", "a"), ("^x", "b")])
    assert renamed["b.w"] is state["a.w"] and renamed["a.w"] is state["b.w"]


def test_no_rules_give_a_copy_of_the_dict():
    state = {"w": torch.ones(1)}
    renamed = remap_keys(state, [])
    assert renamed == state and renamed is not state


def test_a_collision_names_both_old_keys_and_the_new_one():
    state = {"fc1.weight": torch.ones(1), "fc2.weight": torch.ones(1)}
    with pytest.raises(
        ValueError, match=r"'fc1.weight' and 'fc2.weight' would both become 'fc.weight'"
    ):
        remap_keys(state, [(r"fc\d", "fc")])
    with pytest.raises(ValueError, match=r"'module.a' and 'a' would both become 'a'"):
        strip_prefix({"module.a": torch.ones(1), "a": torch.ones(1)}, "module.")


def test_a_rule_that_matches_nothing_is_named_with_a_few_keys():
    with pytest.raises(ValueError) as caught:
        remap_keys(small_net().state_dict(), [("^fc", "first"), (r"^fc\.", "second.")])
    assert str(caught.value) == (
        r"rule 2, '^fc\\.' -> 'second.', matches none of the 9 keys: "
        "'first.weight', 'first.bias', 'bn.weight', ..."
    )


def test_an_odd_name_that_no_rule_touches_may_stay():
    state = {"a..b": torch.ones(1), "fc.weight": torch.ones(1)}
    assert list(remap_keys(state, [("^fc", "head")])) == ["a..b", "head.weight"]


def test_a_rule_that_matches_and_changes_nothing_is_fine():
    state = {"fc.weight": torch.ones(1)}
    assert list(remap_keys(state, [("weight", "weight")])) == ["fc.weight"]


@pytest.mark.parametrize(
    "rule, says",
    [
        (("(", "x"), "is not valid: missing ), unterminated subpattern"),
        (("fc", r"\1"), "is not valid: invalid group reference 1"),
        (("fc", r"\g<name>"), "is not valid: unknown group name"),
        (("fc", r"\q"), "is not valid: bad escape"),
        (("c{9999999999}", ""), "is not valid: the repetition number is too large"),
    ],
)
def test_an_invalid_pattern_or_replacement_is_named(rule, says):
    with pytest.raises(ValueError) as caught:
        remap_keys({"fc.weight": torch.ones(1)}, [rule])
    assert str(caught.value).startswith(f"rule 1, {rule[0]!r} -> {rule[1]!r}, {says}")


@pytest.mark.parametrize("rule", ["ab", ("a",), ("a", "b", "c"), ("a", 1), (b"a", "b")])
def test_a_malformed_rule_says_what_a_rule_is(rule):
    with pytest.raises(ValueError) as caught:
        remap_keys({"a": torch.ones(1)}, [("a", "a"), rule])
    assert str(caught.value) == (
        f"rule 2 is {rule!r}; expected a pair of strings, (regular expression, replacement)"
    )


@pytest.mark.parametrize("rules", [None, "ab", {"a": "b"}])
def test_rules_must_be_a_list(rules):
    with pytest.raises(ValueError, match="expected a list of pairs of strings"):
        remap_keys({"a": torch.ones(1)}, rules)


def test_one_bare_pair_is_not_taken_for_a_list_of_rules():
    with pytest.raises(ValueError, match="rule 1 is 'fc'; expected a pair"):
        remap_keys({"fc": torch.ones(1)}, ("fc", "layer"))


def test_a_forgotten_dot_is_caught():
    with pytest.raises(ValueError) as caught:
        strip_prefix({"module.fc": torch.ones(1)}, "module")
    assert str(caught.value) == (
        "'module.fc' would become '.fc', a name that no module can have: "
        "one of the parts between its dots is empty"
    )
    with pytest.raises(ValueError, match="'fc' would become ''"):
        remap_keys({"fc": torch.ones(1)}, [("fc", "")])


def test_keys_without_the_prefix_stay_and_the_prefix_goes_once():
    state = {"module.module.a": torch.ones(1), "b": torch.ones(1)}
    assert list(strip_prefix(state, "module.")) == ["module.a", "b"]


def test_a_prefix_that_nothing_has_is_an_error():
    with pytest.raises(ValueError) as caught:
        strip_prefix({"fc.weight": torch.ones(1)}, "module.")
    assert str(caught.value) == "prefix 'module.' matches none of the 1 keys: 'fc.weight'"
    for prefix in ("", None):
        with pytest.raises(ValueError, match=r"expected a string such as 'module\.'"):
            strip_prefix({"fc.weight": torch.ones(1)}, prefix)


def test_a_prefix_is_plain_text_and_not_a_pattern():
    with pytest.raises(ValueError, match="matches none"):
        strip_prefix({"modules.a": torch.ones(1)}, "module..")


def test_metadata_is_stripped_as_torch_does():
    state = nn.DataParallel(small_net()).state_dict()
    stripped = strip_prefix(state, "module.")
    expected = copy.deepcopy(state)
    consume_prefix_in_state_dict_if_present(expected, "module.")
    assert list(stripped) == list(expected)
    assert dict(stripped._metadata) == dict(expected._metadata)
    assert stripped._metadata["bn"] == {"version": 2}


def test_metadata_follows_renamed_layers():
    state = small_net().state_dict()
    renamed = remap_keys(state, [("^bn", "norm"), ("^", "model.")])
    assert isinstance(renamed, OrderedDict)
    assert renamed._metadata["model.norm"] == {"version": 2}
    assert set(renamed._metadata) == {
        *("model", "model.fc", "model.norm", "model.act", "model.out")
    }
    assert remap_keys(renamed, [("^model.", "")])._metadata.keys() == {
        *("", "fc", "norm", "act", "out")
    }


def test_loading_what_was_renamed_does_not_reach_back_into_the_input():
    state = small_net().state_dict()
    before = copy.deepcopy(state._metadata)
    renamed = strip_prefix(remap_keys(state, [("^", "m.")]), "m.")
    small_net().load_state_dict(renamed, assign=True)
    assert state._metadata == before


names = st.from_regex(r"[a-z][a-z0-9_]{0,4}(\.[a-z0-9_]{1,4}){0,3}", fullmatch=True)
state_dicts = st.lists(names, min_size=1, max_size=8, unique=True).map(
    lambda keys: {key: torch.tensor(number) for number, key in enumerate(keys)}
)


@given(state_dicts, names)
def test_strip_prefix_undoes_adding_a_prefix(state, prefix):
    before = dict(state)
    prefixed = remap_keys(state, [("^", f"{prefix}.")])
    assert list(prefixed) == [f"{prefix}.{name}" for name in state]
    assert same_objects(strip_prefix(prefixed, f"{prefix}."), state)
    assert same_objects(state, before)


@given(state_dicts, names)
def test_remap_keeps_every_tensor_and_its_order(state, suffix):
    renamed = remap_keys(state, [("$", f".{suffix}")])
    assert list(renamed) == [f"{name}.{suffix}" for name in state]
    assert all(a is b for a, b in zip(renamed.values(), state.values(), strict=True))


@given(state_dicts, st.sampled_from([("a", "b"), (r"\d+", "0"), (r"\.", "_")]))
def test_remap_renames_as_re_sub_does_or_refuses(state, rule):
    expected = [re.sub(*rule, name) for name in state]
    matched = any(re.search(rule[0], name) for name in state)
    if matched and len(set(expected)) == len(expected):
        renamed = remap_keys(state, [rule])
        assert same_objects(renamed, dict(zip(expected, state.values(), strict=True)))
    else:
        with pytest.raises(ValueError, match=r"matches none|would both become"):
            remap_keys(state, [rule])
