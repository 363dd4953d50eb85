"""What every function refuses, and that none of them changes its input."""

import copy

import pytest
import torch
from torch import nn

from helpers.state_dicts import compare, load_matching, remap_keys, strip_prefix, summarize
from tests.state_dicts import Tied, bits, same_objects, samples, small_net

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
        (3, "is of type int; expected a tensor. Pass a dict that holds nothing else"),
        ({}, "is of type dict; expected a tensor. Pass a dict that holds nothing else"),
        (
            nn.Linear(1, 1),
            "is of type Linear; expected a tensor. This looks like a whole checkpoint: "
            "pass checkpoint['x']",
        ),
    ],
)
def test_what_is_no_tensor_is_named(read, value, says):
    with pytest.raises(TypeError) as caught:
        read({"fc.weight": torch.ones(1), "x": value})
    assert f"['x'] {says}" in str(caught.value)


@pytest.mark.filterwarnings("ignore")  # beta features
@pytest.mark.parametrize("kind", [*samples.MODELS, *samples.KINDS])
def test_every_state_dict_that_torch_makes_is_read_by_all(kind):
    net, other = samples.model(kind), samples.model(kind, seed=1).state_dict()
    if kind == "qint8":  # whose scale is no tensor
        values = torch.rand(2, 4)
        other["1.entry"] = torch.quantize_per_tensor(values, 0.7, 1, torch.qint8)
    assert list(summarize(net).name) == list(summarize(other).name) == list(other)
    assert list(remap_keys(other, [("$", "_x")])) == [name + "_x" for name in other]
    found = compare(net, other)
    assert (found.missing, found.unexpected) == ((), ())
    assert not found.identical
    report = load_matching(net, other)
    assert {*report.loaded, *report.skipped} == {*other}
    if kind in samples.KINDS:
        cannot_be_written = ("expanded", "inference", "quint4x2", "uint4")
        assert ("1.entry" in report.loaded) == (kind not in cannot_be_written)
    loaded = compare(net, other).table().set_index("name").finding
    assert set(loaded[list(report.loaded)]) <= {"equal"}


@every_reader
def test_extra_state_is_told_from_a_checkpoint_by_its_name(read):
    state = {f"fc.{name}": value for name, value in samples.Extra().state_dict().items()}
    assert not hasattr(state, "_metadata") and "fc._extra_state" in state
    read(state)
    state["fc.epoch"] = 3
    with pytest.raises(
        TypeError, match=r"\['fc.epoch'\] is of type int; expected a tensor"
    ):
        read(state)


@every_reader
def test_the_advice_names_a_state_dict_with_extra_state_too(read):
    with pytest.raises(TypeError, match=r"whole checkpoint: pass checkpoint\['net'\]$"):
        read({"epoch": 3, "net": dict(samples.Extra().state_dict()), "loss": [0.5]})


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
