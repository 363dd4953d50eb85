"""State dicts: summaries, comparisons, renamed keys, and loading the part that fits."""

import copy
import math
import re
from collections import OrderedDict

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.modules.utils import consume_prefix_in_state_dict_if_present

from helpers.state_dicts import (
    compare,
    load_matching,
    remap_keys,
    strip_prefix,
    summarize,
)


class Tied(nn.Module):
    """Two names for one tensor, as in a language model's embedding and head."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(5, 3)
        self.head = nn.Linear(3, 5, bias=False)
        self.head.weight = self.embed.weight


def small_net() -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            fc=nn.Linear(4, 3), bn=nn.BatchNorm1d(3), act=nn.ReLU(), out=nn.Linear(3, 2)
        )
    )


def bits(state_dict) -> dict[str, bytes]:
    return {k: v.detach().numpy().tobytes() for k, v in state_dict.items()}


# summarize


def test_a_module_shows_parameters_and_persistent_buffers_in_order():
    net = small_net()
    net.bn.register_buffer("scratch", torch.zeros(7), persistent=False)
    table = summarize(net)
    assert ", ".join(table) == "name, kind, shape, dtype, device, elements, bytes"
    assert list(table.name) == list(net.state_dict())
    rows = table.set_index("name")
    assert list(rows.loc["fc.weight"]) == ["parameter", (3, 4), "float32", "cpu", 12, 48]
    assert list(rows.loc["bn.running_mean"][:2]) == ["buffer", (3,)]
    assert list(rows.loc["bn.num_batches_tracked"]) == (
        ["buffer", (), "int64", "cpu", 1, 8]
    )
    assert "bn.scratch" not in rows.index
    assert table.attrs["total_bytes"] == table.bytes.sum() == 148


def test_a_plain_dict_cannot_tell_parameters_from_buffers():
    assert set(summarize(small_net().state_dict()).kind) == {"tensor"}


def test_tied_weights_are_named_and_counted_once():
    for source in (Tied(), Tied().state_dict()):
        table = summarize(source)
        assert list(table.shares) == ["", "embed.weight"]
        assert list(table.bytes) == [60, 60]
        assert table.attrs["total_bytes"] == 60
        assert "storage_bytes" not in table
    assert list(summarize(Tied()).kind) == ["parameter", "parameter"]


def test_a_slice_shows_the_storage_it_keeps_alive():
    big = torch.zeros(1000)
    table = summarize({"slice": big[:10], "alone": torch.zeros(2)})
    assert list(table.bytes) == [40, 8]
    assert list(table.storage_bytes) == [4000, 8]
    assert "shares" not in table
    assert table.attrs["total_bytes"] == 4008


def test_two_views_of_one_storage_share_it():
    big = torch.zeros(1000)
    table = summarize({"left": big[:500], "right": big[500:]})
    assert list(table.shares) == ["", "left"]
    assert table.attrs["total_bytes"] == 4000


def test_the_meta_device_has_shapes_and_no_false_sharing():
    with torch.device("meta"):
        net = small_net()
    table = summarize(net)
    assert set(table.device) == {"meta"}
    assert "shares" not in table
    assert table.attrs["total_bytes"] == 148
    with torch.device("meta"):
        assert list(summarize(Tied()).shares) == ["", "embed.weight"]


@pytest.mark.parametrize(
    "dtype, size", [(torch.float16, 2), (torch.bool, 1), (torch.complex64, 8)]
)
def test_bytes_are_elements_times_element_size(dtype, size):
    row = summarize({"w": torch.zeros(2, 3, dtype=dtype)}).iloc[0]
    assert (row.elements, row.bytes) == (6, 6 * size)
    assert row["dtype"] == str(dtype).removeprefix("torch.")


def test_a_module_without_state_gives_an_empty_table():
    table = summarize(nn.ReLU())
    assert len(table) == 0 and "bytes" in table
    assert table.attrs["total_bytes"] == 0


# compare


def test_a_copy_is_identical_and_so_is_a_module_with_its_own_state_dict():
    net = small_net()
    for theirs in (copy.deepcopy(net), net.state_dict(), net):
        found = compare(net, theirs)
        assert found.identical is True
        assert repr(found) == "Comparison(9 equal)"
    assert set(found.table().finding) == {"equal"}


def test_the_order_of_keys_does_not_matter():
    state = small_net().state_dict()
    assert compare(state, dict(reversed(state.items()))).identical


def test_every_kind_of_finding_has_its_field_and_its_row():
    ours = {
        "same": torch.ones(2),
        "gone": torch.ones(3),
        "wide": torch.ones(2, 2),
        "half": torch.tensor([1.0, 0.1]),
        "off": torch.tensor([1.0, 5.0]),
    }
    theirs = {
        "same": torch.ones(2),
        "wide": torch.ones(2, 5),
        "half": torch.tensor([1.0, 0.1]).half(),
        "off": torch.tensor([1.5, 3.0]),
        "new": torch.ones(1, dtype=torch.int64),
    }
    found = compare(ours, theirs)
    assert found.identical is False
    assert found.missing == ("gone",)
    assert found.unexpected == ("new",)
    assert found.mismatched_shape == {"wide": ((2, 2), (2, 5))}
    assert found.mismatched_dtype == {"half": ("float32", "float16")}
    assert found.different["off"] == 2.0
    assert found.different["half"] == pytest.approx(2.44e-5, rel=1e-2)
    assert found.not_compared == ()
    assert [tuple(row) for row in found.table().to_numpy()] == [
        ("same", "equal", "float32 (2,)", "float32 (2,)", ""),
        ("gone", "missing", "float32 (3,)", "", ""),
        ("wide", "other shape", "float32 (2, 2)", "float32 (2, 5)", ""),
        (
            "half",
            "other dtype",
            "float32 (2,)",
            "float16 (2,)",
            "largest difference 2.44e-05",
        ),
        ("off", "different", "float32 (2,)", "float32 (2,)", "largest difference 2"),
        ("new", "unexpected", "", "int64 (1,)", ""),
    ]
    assert repr(found) == (
        "Comparison(1 equal, 1 missing, 1 other shape, 1 other dtype, 1 different, "
        "1 unexpected)"
    )


def test_another_dtype_with_the_same_values_is_not_different():
    found = compare({"w": torch.ones(2)}, {"w": torch.ones(2).double()})
    assert found.mismatched_dtype == {"w": ("float32", "float64")}
    assert found.different == {}
    assert not found.identical


def test_nan_equals_the_same_nan_but_not_a_number():
    nan, one = torch.tensor([1.0, math.nan]), torch.tensor([1.0, 2.0])
    assert compare({"w": nan}, {"w": nan.clone()}).identical
    assert compare({"w": nan}, {"w": one}).different == {"w": math.inf}
    assert compare({"w": nan}, {"w": nan.double()}).different == {}


def test_infinity_equals_itself_only():
    inf = torch.tensor([math.inf, 1.0])
    assert compare({"w": inf}, {"w": inf.clone()}).identical
    assert compare({"w": inf}, {"w": inf + torch.tensor([0.0, 0.5])}).different == (
        {"w": 0.5}
    )
    assert compare({"w": inf}, {"w": torch.ones(2)}).different == {"w": math.inf}
    assert compare({"w": inf}, {"w": -inf}).different == {"w": math.inf}


def test_other_bits_of_an_equal_value_are_found_with_difference_zero():
    zero = torch.zeros(3)
    assert compare({"w": zero}, {"w": -zero}).different == {"w": 0.0}
    nan = torch.tensor([0x7FC00000], dtype=torch.int32).view(torch.float32)
    other_nan = torch.tensor([0x7FC00001], dtype=torch.int32).view(torch.float32)
    assert compare({"w": nan}, {"w": other_nan}).different == {"w": 0.0}


def test_integers_are_compared_exactly():
    # As float64, 2**53 and 2**53 + 1 are one number, and 2**53 and 2**53 + 3 are 4 apart.
    large = torch.tensor([2**53])
    assert compare({"n": large}, {"n": large + 1}).different == {"n": 1.0}
    assert compare({"n": large}, {"n": large + 3}).different == {"n": 3.0}
    least, most = torch.tensor([-(2**63)]), torch.tensor([2**63 - 1])
    assert compare({"n": least}, {"n": most}).different == {"n": 2.0**64}


def test_integers_of_two_dtypes_are_compared_exactly_too():
    wide = torch.tensor([2**53 + 1])
    unsigned = wide.to(torch.uint64)
    assert compare({"n": wide}, {"n": unsigned}).different == {}
    assert compare({"n": wide - 1}, {"n": unsigned}).different == {"n": 1.0}
    most = torch.tensor([-1]).view(torch.uint64)  # 2**64 - 1, and not -1
    assert compare({"n": most}, {"n": torch.tensor([-1])}).different == {"n": 2.0**64}
    assert compare({"n": torch.tensor([True])}, {"n": torch.tensor([1])}).different == {}


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**64 - 1))
def test_the_difference_of_two_integers_is_rounded_once(ours, theirs):
    signed = torch.tensor([ours])
    unsigned = torch.tensor([theirs], dtype=torch.uint64)
    found = compare({"n": signed}, {"n": unsigned}).different
    assert found == ({} if ours == theirs else {"n": float(abs(ours - theirs))})


@pytest.mark.parametrize("bit", range(32))
def test_one_flipped_bit_is_never_missed(bit):
    ours = torch.linspace(-1, 1, 9)
    theirs = ours.clone()
    theirs.view(torch.int32)[4 if bit % 2 else 7] ^= torch.tensor(
        2**bit - (2**32 if bit == 31 else 0), dtype=torch.int32
    )
    found = compare({"w": ours}, {"w": theirs})
    assert not found.identical and list(found.different) == ["w"]


@pytest.mark.parametrize(
    "dtype",
    [
        torch.bool,
        torch.int8,
        torch.uint8,
        torch.uint16,
        torch.int64,
        torch.uint64,
        torch.float16,
        torch.bfloat16,
        torch.float8_e4m3fn,
        torch.float64,
        torch.complex64,
    ],
)
def test_every_usual_dtype_is_compared(dtype):
    ours, theirs = torch.zeros(3).to(dtype), torch.tensor([0, 1, 0]).to(dtype)
    assert compare({"w": ours}, {"w": ours.clone()}).identical
    assert compare({"w": ours}, {"w": theirs}).different == {"w": 1.0}


def test_the_difference_of_complex_values_is_a_distance():
    ours, theirs = torch.tensor([0j]), torch.tensor([3 + 4j])
    assert compare({"w": ours}, {"w": theirs}).different == {"w": 5.0}


def test_scalars_empty_tensors_and_strided_views_are_compared():
    state = {
        "scalar": torch.tensor(3),
        "empty": torch.zeros(0, 4),
        "every second": torch.arange(10)[::2],
        "transposed": torch.arange(6).view(2, 3).T,
        "expanded": torch.ones(1).expand(4),
        "conjugated": torch.tensor([1 + 2j]).conj(),
    }
    fresh = {name: value.clone() for name, value in state.items()}
    assert compare(state, fresh).identical
    halves = {"empty": torch.zeros(0, 4).half()}
    assert compare({"empty": state["empty"]}, halves).different == {}


@pytest.mark.parametrize("first, last", [(0.25, 0.5), (0.5, 0.25)])
def test_the_largest_difference_is_taken_over_all_of_a_large_tensor(first, last):
    ours = torch.zeros(2**20 + 3)  # longer than the pieces that are compared
    theirs = ours.clone()
    theirs[0], theirs[-1] = first, last
    assert compare({"w": ours}, {"w": theirs}).different == {"w": 0.5}


def test_parameters_in_a_plain_dict_are_compared_as_values():
    ours, theirs = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.ones(2))
    assert compare({"w": ours}, {"w": theirs}).different == {"w": 1.0}
    assert compare({"w": ours}, {"w": ours.half()}).different == {}


def test_values_on_the_meta_device_are_not_called_identical():
    net = small_net()
    with torch.device("meta"):
        empty = small_net()
    for ours, theirs in ((net, empty), (empty, net), (empty, empty)):
        found = compare(ours, theirs)
        assert found.not_compared == tuple(net.state_dict())
        assert found.identical is False
        assert repr(found) == "Comparison(0 equal, 9 not compared)"
        assert set(found.table().note) == {"no values on the meta device"}


def test_html_shows_only_what_is_worth_a_look():
    ours = {"same": torch.ones(2), "a<b": torch.ones(2)}
    page = compare(ours, {**ours, "a<b": torch.zeros(2)})._repr_html_()
    assert "a&lt;b" in page and "a<b" not in page
    assert "largest difference 1" in page and "same" not in page
    assert compare(ours, ours)._repr_html_() == "<p>Comparison(2 equal)</p>"


def test_a_report_cannot_be_asserted_by_mistake():
    with pytest.raises(TypeError, match="a Comparison is not true or false"):
        assert compare(small_net(), small_net())


# remap_keys and strip_prefix


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


def test_a_prefix_is_plain_text_and_no_pattern():
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


def same_objects(a: dict, b: dict) -> bool:
    return list(a) == list(b) and all(a[name] is b[name] for name in a)


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


# load_matching


def test_what_fits_is_copied_in_place_and_the_rest_is_explained():
    torch.manual_seed(0)
    net, old = small_net(), small_net()
    state = old.state_dict()
    state["out.weight"] = torch.ones(5, 3)
    state["extra"] = torch.ones(1)
    del state["fc.bias"]
    before = {name: value.clone() for name, value in net.state_dict().items()}
    parameters = list(net.parameters())

    report = load_matching(net, state)

    assert report.loaded == tuple(n for n in state if n not in ("out.weight", "extra"))
    assert report.skipped == {
        "out.weight": "float32 (5, 3) in the file, float32 (2, 3) in the model",
        "extra": "not in the model",
    }
    assert report.not_in_file == ("fc.bias",)
    assert (report.converted, report.tied) == ({}, {})
    assert repr(report) == "LoadReport(7 loaded, 2 skipped, 1 not in file)"
    assert all(a is b for a, b in zip(net.parameters(), parameters, strict=True))
    assert all(p.requires_grad and p.is_leaf for p in parameters)
    after = net.state_dict()
    assert compare(
        {n: after[n] for n in report.loaded}, {n: state[n] for n in report.loaded}
    ).identical
    kept = ("out.weight", "fc.bias")
    assert compare({n: after[n] for n in kept}, {n: before[n] for n in kept}).identical


def test_the_table_of_a_load_has_a_row_for_every_name():
    report = load_matching(
        nn.Linear(2, 1), {"weight": torch.ones(1, 2).half(), "x": torch.ones(1)}
    )
    assert [tuple(row) for row in report.table().to_numpy()] == [
        ("weight", "loaded", "float16 to float32"),
        ("x", "skipped", "not in the model"),
        ("bias", "not in file", "keeps its values"),
    ]
    page = report._repr_html_()
    assert page.startswith("<p>LoadReport(1 loaded, 1 skipped, 1 not in file)</p>")
    assert "float16 to float32" in page
    with pytest.raises(TypeError, match="a LoadReport is not true or false"):
        bool(report)


def test_dtypes_are_converted_as_load_state_dict_does_and_reported():
    ours, reference = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    state = {
        "weight": torch.tensor([0.1, 0.2], dtype=torch.float64),
        "num_batches_tracked": torch.tensor(3.7),
    }
    report = load_matching(ours, state)
    reference.load_state_dict(state, strict=False)
    assert compare(ours, reference).identical
    assert report.converted == {
        "weight": ("float64", "float32"),
        "num_batches_tracked": ("float32", "int64"),
    }


def test_nothing_that_fits_is_reported_as_zero():
    report = load_matching(nn.Linear(2, 1), {"module.weight": torch.ones(1, 2)})
    assert repr(report) == "LoadReport(0 loaded, 1 skipped, 2 not in file)"


@pytest.mark.parametrize("name", ["embed.weight", "head.weight"])
def test_one_name_of_a_tied_weight_fills_both_and_keeps_the_tie(name):
    model = Tied()
    other = ({"embed.weight", "head.weight"} - {name}).pop()
    report = load_matching(model, {name: torch.ones(5, 3)})
    assert report.loaded == (name,)
    assert report.tied == {other: name}
    assert report.not_in_file == ()
    assert model.head.weight is model.embed.weight
    assert bool((model.head.weight == 1).all())
    assert repr(report) == "LoadReport(1 loaded, 1 tied)"


def test_both_names_of_a_tied_weight_load_when_they_agree():
    model, other = Tied(), Tied()
    report = load_matching(model, other.state_dict())
    assert report.loaded == ("embed.weight", "head.weight")
    assert compare(model, other).identical
    assert model.head.weight is model.embed.weight


def test_when_they_disagree_the_first_in_the_file_wins_and_the_other_is_reported():
    model = Tied()
    report = load_matching(
        model, {"embed.weight": torch.ones(5, 3), "head.weight": torch.zeros(5, 3)}
    )
    assert report.loaded == ("embed.weight",)
    assert report.skipped == {
        "head.weight": "same tensor as embed.weight, other values in the file"
    }
    assert bool((model.embed.weight == 1).all())


def test_an_untied_model_takes_both_values_of_a_tied_file():
    model = Tied()
    model.head.weight = nn.Parameter(torch.zeros(5, 3))
    assert load_matching(model, Tied().state_dict()).loaded == (
        "embed.weight",
        "head.weight",
    )
    assert model.head.weight is not model.embed.weight


def test_layers_can_be_swapped_within_one_model():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    first, second = (copy.deepcopy(layer.state_dict()) for layer in net)
    swap = [(r"^0", "x"), (r"^1", "0"), (r"^x", "1")]
    load_matching(net, remap_keys(net.state_dict(), swap))
    assert compare(net[0], second).identical and compare(net[1], first).identical


def test_meta_tensors_are_skipped_and_not_called_loaded():
    with torch.device("meta"):
        empty = nn.Linear(2, 1)
    full = nn.Linear(2, 1)
    before = bits(full.state_dict())
    into_empty = load_matching(empty, full.state_dict())
    assert set(into_empty.skipped.values()) == (
        {"the tensor in the model is on the meta device"}
    )
    from_empty = load_matching(full, empty.state_dict())
    assert set(from_empty.skipped.values()) == (
        {"the tensor in the file is on the meta device"}
    )
    assert bits(full.state_dict()) == before


def test_a_state_dict_that_is_a_copy_is_not_called_loaded():
    net = nn.Linear(2, 1)
    net.register_state_dict_post_hook(
        lambda module, state, prefix, local: state.update(bias=state["bias"].clone())
    )
    report = load_matching(net, {"weight": torch.ones(1, 2), "bias": torch.ones(1)})
    assert report.loaded == ("weight",)
    assert report.skipped == {"bias": "the model's state_dict() returns a copy of it"}


def test_a_tensor_that_cannot_be_written_leaves_the_whole_model_as_it_was():
    net = small_net()
    net.out.bias = nn.Parameter(torch.zeros(1).expand(2))  # two names for one number
    before = bits(net.state_dict())
    with pytest.raises(RuntimeError, match="single memory location") as caught:
        load_matching(net, small_net().state_dict())
    assert bits(net.state_dict()) == before
    assert caught.value.__notes__ == (
        ["load_matching stopped at out.bias; the model is as it was"]
    )


def test_ctrl_c_right_after_a_copy_leaves_the_whole_model_as_it_was(monkeypatch):
    net, other = small_net(), small_net()
    before = bits(net.state_dict())
    real_copy, calls = torch.Tensor.copy_, []

    def copy_then_interrupt(target, value):
        real_copy(target, value)
        calls.append(target)
        if len(calls) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(torch.Tensor, "copy_", copy_then_interrupt)
    with pytest.raises(KeyboardInterrupt):
        load_matching(net, {k: v + 1 for k, v in other.state_dict().items()})
    assert len(calls) == 6  # three copies, and three undone
    assert bits(net.state_dict()) == before


def test_overlapping_views_are_undone_in_the_right_order(monkeypatch):
    net = nn.Module()
    net.register_buffer("whole", torch.arange(4.0))
    net.register_buffer("part", net.whole[:2])
    net.register_buffer("last", torch.zeros(1).expand(2))  # cannot be written
    state = {"whole": torch.ones(4), "part": torch.zeros(2), "last": torch.ones(2)}
    with pytest.raises(RuntimeError, match="single memory location"):
        load_matching(net, state)
    assert net.whole.tolist() == [0, 1, 2, 3]


def test_only_a_module_can_be_loaded_into():
    state = small_net().state_dict()
    with pytest.raises(TypeError, match="model is of type OrderedDict; expected a torch"):
        load_matching(state, small_net())


# what all of them refuse, and that none of them changes its input

READERS = {
    "summarize": lambda source: summarize(source),
    "compare, ours": lambda source: compare(source, small_net()),
    "compare, theirs": lambda source: compare(small_net(), source),
    "remap_keys": lambda source: remap_keys(source, [("$", "_x")]),
    "strip_prefix": lambda source: strip_prefix(source, "fc."),
    "load_matching": lambda source: load_matching(small_net(), source),
}
every_reader = pytest.mark.parametrize("read", READERS.values(), ids=READERS.keys())


@every_reader
def test_a_whole_checkpoint_is_refused_with_the_entry_to_pass(read):
    net = small_net()
    optimizer = torch.optim.Adam(net.parameters())
    checkpoint = {
        "epoch": 3,
        "model": net.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    with pytest.raises(TypeError) as caught:
        read(checkpoint)
    assert str(caught.value).endswith(
        "['epoch'] is of type int; expected a tensor. "
        "This looks like a whole checkpoint: pass checkpoint['model']"
    )


@every_reader
def test_a_path_is_refused_with_the_call_that_reads_it(read):
    with pytest.raises(TypeError) as caught:
        read("model.pt")
    assert str(caught.value).endswith(
        " is of type str; expected a module or a state dict. "
        "Read a file first: torch.load(path, weights_only=True)"
    )


@every_reader
@pytest.mark.parametrize(
    "value, says",
    [
        (torch.eye(2).to_sparse(), "is sparse or quantized; expected dense tensors"),
        (3, "is of type int; expected a tensor. Pass a dict that holds nothing else"),
        ({}, "is of type dict; expected a tensor. Pass a dict that holds nothing else"),
        (
            nn.Linear(1, 1),
            "is of type Linear; expected a tensor. This looks like a whole checkpoint: "
            "pass checkpoint['x']",
        ),
    ],
)
def test_what_is_no_dense_tensor_is_named(read, value, says):
    with pytest.raises(TypeError) as caught:
        read({"fc.weight": torch.ones(1), "x": value})
    assert f"['x'] {says}" in str(caught.value)


@pytest.mark.filterwarnings("ignore")  # making one is deprecated, meeting one is not
def test_a_quantized_tensor_is_refused_before_its_bits_are_read():
    quantized = torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)
    with pytest.raises(TypeError, match=r"theirs\['w'\] is sparse or quantized"):
        compare({"w": quantized.dequantize()}, {"w": quantized})


def test_two_candidates_are_both_offered():
    state = small_net().state_dict()
    with pytest.raises(TypeError, match=r"pass checkpoint\['model'\] or checkpoint\['e"):
        summarize({"model": state, "ema": state, "epoch": 3})


def test_keys_must_be_names():
    with pytest.raises(TypeError, match="has the key 0; expected names as strings"):
        summarize({0: torch.ones(1)})


def test_a_lazy_layer_is_named_with_its_cure():
    with pytest.raises(ValueError) as caught:
        summarize(nn.LazyLinear(3))
    assert str(caught.value) == (
        "model_or_state_dict['weight'] has no shape yet: run one batch through the model"
    )


@every_reader
def test_nothing_changes_its_input(read):
    state = small_net().state_dict()
    objects, values = dict(state), bits(state)
    metadata = copy.deepcopy(state._metadata)
    read(state)
    assert same_objects(state, objects)
    assert bits(state) == values
    assert state._metadata == metadata


def test_compare_changes_no_module_and_builds_no_graph():
    ours, theirs = Tied(), Tied()
    before = bits(ours.state_dict()), bits(theirs.state_dict())
    compare(ours, theirs)
    assert (bits(ours.state_dict()), bits(theirs.state_dict())) == before
    assert ours.head.weight is ours.embed.weight
    assert ours.head.weight.grad is None


def test_reports_are_frozen():
    with pytest.raises(AttributeError):
        compare(small_net(), small_net()).missing = ()
