"""What fits is copied in place, the rest is explained, an error changes nothing."""

import copy

import pytest
import torch
from torch import nn

from helpers.state_dicts import compare, load_matching, remap_keys
from tests.state_dicts import Tied, bits, samples, small_net
from tests.state_dicts.loops import Holder


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
        "head.weight": "same tensor as embed.weight, different values in the file"
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


def test_a_tensor_that_cannot_be_written_leaves_the_whole_model_as_it_was(monkeypatch):
    net = small_net()
    before = bits(net.state_dict())
    real_copy = torch.Tensor.copy_

    def refuses(target, value):
        if target.shape == (2,):
            raise RuntimeError("read-only")
        return real_copy(target, value)

    monkeypatch.setattr(torch.Tensor, "copy_", refuses)
    with pytest.raises(RuntimeError, match="read-only") as caught:
        load_matching(net, {k: v + 1 for k, v in small_net().state_dict().items()})
    assert bits(net.state_dict()) == before
    assert caught.value.__notes__ == (
        ["load_matching stopped at out.bias; the model is unchanged"]
    )


def inference_mode_zeros():
    with torch.inference_mode():
        return torch.zeros(2)


SKIPPED = {
    "expanded": (
        torch.zeros(1).expand(2),
        torch.ones(2),
        "made by expand(), several elements in one place: .clone() it first",
    ),
    "inference": (
        inference_mode_zeros(),
        torch.ones(2),
        "made in torch.inference_mode(), so not to be written to: .clone() it first",
    ),
    "other kind": (
        torch.zeros(2),
        torch.ones(2).to_sparse(),
        "sparse COO float32 (2,) in the file, float32 (2,) in the model",
    ),
    "other number of elements": (
        torch.eye(2).to_sparse_csr(),
        torch.ones(2, 2).to_sparse_csr(),
        "torch cannot write it: torch.copy_: only sparse compressed tensors with the same "
        "number of specified elements are supported.",
    ),
    "packed": (
        samples.entry("uint4"),
        samples.entry("uint4", 1),
        "torch cannot write it: \"copy_kernel\" not implemented for 'UInt4'",
    ),
    "no tensor": (torch.zeros(2), None, " in the file, float32 (2,) in the model"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", SKIPPED)
def test_what_torch_cannot_write_is_skipped_with_the_reason(case):
    target, value, why = SKIPPED[case]
    net = nn.Linear(1, 1)
    net.register_buffer("entry_packed_params", target)
    before = samples.photograph(net)
    state = nn.Linear(1, 1).state_dict()
    state["entry_packed_params"] = value
    report = load_matching(net, state)
    assert report.skipped == {"entry_packed_params": why}
    assert report.loaded == ("weight", "bias")
    after = samples.photograph(net)
    assert after["entry_packed_params"] == before["entry_packed_params"]
    assert after["bits of entry_packed_params"] == before["bits of entry_packed_params"]


def test_extra_state_is_loaded_and_packed_parameters_are_left_to_torch():
    net, other = (
        nn.ModuleDict({"a": samples.Extra()}),
        nn.ModuleDict({"a": samples.Extra()}),
    )
    other["a"].factor, other["a"].history = 7.0, [torch.ones(2)]
    report = load_matching(net, other.state_dict())
    assert "a._extra_state" in report.loaded
    assert net["a"].factor == 7.0 and net["a"].history[0].tolist() == [1, 1]
    packed = samples.model("packed parameters")
    report = load_matching(packed, samples.model("packed parameters", 1).state_dict())
    assert report.skipped["0._packed_params._packed_params"] == (
        "only load_state_dict can load it"
    )


def test_extra_state_that_is_a_tensor_is_given_to_the_module():
    net, other = Holder(torch.zeros(2)), Holder(torch.ones(3))
    assert "_extra_state" in load_matching(net, other.state_dict()).loaded
    assert net.value.tolist() == [1, 1, 1]
    assert "_extra_state" in load_matching(net, Holder(5).state_dict()).loaded
    assert net.value == 5


def test_extra_state_that_fails_undoes_the_tensors(monkeypatch):
    net, other = samples.Extra(), samples.Extra()
    other.history = [torch.ones(2), torch.ones(2)]  # one too many: fails half-way
    before = samples.photograph(net)
    with pytest.raises(ValueError, match="zip") as caught:
        load_matching(net, other.state_dict())
    assert caught.value.__notes__ == (
        ["load_matching stopped at _extra_state; the model is unchanged"]
    )
    assert samples.photograph(net) == before


def test_ctrl_c_right_after_a_copy_leaves_the_whole_model_as_it_was(monkeypatch):
    net, other = small_net(), small_net()
    before = bits(net.state_dict())
    own = set(map(id, net.state_dict(keep_vars=True).values()))
    real_copy, written, undone = torch.Tensor.copy_, [], []

    def copy_then_interrupt(target, value):
        real_copy(target, value)
        if id(target) in own:
            written.append(target)
            if len(written) == 3:
                raise KeyboardInterrupt
        elif len(written) == 3:
            undone.append(target)

    monkeypatch.setattr(torch.Tensor, "copy_", copy_then_interrupt)
    with pytest.raises(KeyboardInterrupt):
        load_matching(net, {k: v + 1 for k, v in other.state_dict().items()})
    assert len(written) == len(undone) == 3
    assert bits(net.state_dict()) == before


def test_overlapping_views_are_undone_in_the_right_order(monkeypatch):
    net = nn.Module()
    net.register_buffer("whole", torch.arange(4.0))
    net.register_buffer("part", net.whole[:2])
    state = {"whole": torch.ones(4), "part": torch.zeros(2)}
    real_copy = torch.Tensor.copy_

    def copy_then_fail(target, value):
        real_copy(target, value)
        if target.shape == (2,):
            raise RuntimeError

    monkeypatch.setattr(torch.Tensor, "copy_", copy_then_fail)
    with pytest.raises(RuntimeError):
        load_matching(net, state)
    assert net.whole.tolist() == [0, 1, 2, 3]


def test_only_a_module_can_be_loaded_into():
    state = small_net().state_dict()
    with pytest.raises(TypeError, match="model is of type OrderedDict; expected a torch"):
        load_matching(state, small_net())
