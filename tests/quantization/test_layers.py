"""Which weights are quantized: each once, and only those that are what they seem."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from helpers.quantization import (
    Scheme,
    fake_quantize,
    packed_bytes,
    quantizable_layers,
    quantize_model,
)
from helpers.quantization.layers import LayerWeight, layer_weights


class OwnForward(nn.Linear):
    def forward(self, x):
        return x @ (self.weight - self.weight.mean()).T


class Tied(nn.Module):
    """An embedding and a head with one weight, as in most language models."""

    def __init__(self):
        super().__init__()
        self.emb, self.hidden = nn.Embedding(40, 8), nn.Linear(8, 8)
        self.head = nn.Linear(8, 40, bias=False)
        self.head.weight = self.emb.weight

    def forward(self, x):
        return self.head(torch.relu(self.hidden(self.emb(x))))


def test_the_kinds_that_are_quantized_and_those_that_are_not():
    kinds = nn.ModuleDict(
        {
            "linear": nn.Linear(2, 2),
            "conv": nn.Conv1d(2, 2, 1),
            "back": nn.ConvTranspose3d(2, 2, 1),
            "emb": nn.Embedding(3, 2),
            "attn": nn.MultiheadAttention(4, 2),
            "lstm": nn.LSTM(2, 2),
            "own": OwnForward(2, 2),
            "norm": nn.LayerNorm(2),
        }
    )
    found = ["linear", "conv", "back", "emb", "attn", "attn.out_proj"]
    assert list(quantizable_layers(kinds)) == found
    kinds["linear"].forward = lambda x: x  # as libraries do that move layers about
    assert list(quantizable_layers(kinds)) == found[1:]
    names = [weight.name for weight in layer_weights(kinds)]
    assert names[2:] == ["emb.weight", "attn.in_proj_weight", "attn.out_proj.weight"]
    apart = nn.MultiheadAttention(4, 2, kdim=3, vdim=2)
    assert [weight.name for weight in layer_weights(apart)][:3] == [
        "q_proj_weight",
        "k_proj_weight",
        "v_proj_weight",
    ]


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_transposed_convolution_has_its_channels_on_axis_0(groups):
    layer = nn.ConvTranspose2d(4, 8, 3, groups=groups)
    weight = LayerWeight(("a",), layer, "weight")
    channels = weight.to_channels(layer.weight)
    assert channels.shape == (8, 4 // groups, 3, 3)
    assert torch.equal(weight.from_channels(channels), layer.weight)
    # Only channel 5 of the output sees the fifth row.
    with torch.no_grad():
        only = torch.zeros_like(channels)
        only[5] = channels[5]
        layer.weight.copy_(weight.from_channels(only))
        layer.bias.zero_()
        out = layer(torch.rand(1, 4, 5, 5)).abs().sum(dim=(0, 2, 3))
    assert out.nonzero().flatten().tolist() == [5]


@pytest.mark.parametrize("scheme", [Scheme(bits=4), Scheme(bits=4, granularity="channel")])
def test_a_tied_weight_is_rounded_once_and_counted_once(scheme):
    model = Tied()
    small = quantize_model(model, scheme)
    assert small.head.weight is small.emb.weight
    assert not torch.equal(small.emb.weight, model.emb.weight)
    floats = 4 * (40 * 8 + 8 * 8 + 8)
    assert packed_bytes(model, None) == floats
    scales = 2 if scheme.granularity == "tensor" else 40 + 8
    assert packed_bytes(model, scheme) == 40 * 8 // 2 + 8 * 8 // 2 + 4 * scales + 4 * 8
    for name in ("emb", "head"):
        kept = quantize_model(model, scheme, keep_float=(name,))
        assert torch.equal(kept.head.weight, model.head.weight)
        assert packed_bytes(model, scheme, (name,)) > packed_bytes(model, scheme)


def test_two_parameters_on_one_memory_are_one_weight():
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    model[1].weight = nn.Parameter(model[0].weight.detach())
    assert [weight.layers for weight in layer_weights(model)] == [("0", "1")]
    assert packed_bytes(model, None) == 64


def normed(layer):
    return parametrizations.weight_norm(layer)


def pruned(layer):
    return prune.l1_unstructured(layer, "weight", amount=0.5)


def lazy(layer):
    return nn.LazyLinear(3)


def renormed(layer):
    return nn.Embedding(3, 4, max_norm=1.0)


def integers(layer):
    layer.weight = nn.Parameter(layer.weight.to(torch.int8), requires_grad=False)
    return layer


def assigned(layer):
    weight = layer.weight
    del layer.weight
    layer.weight = weight * 2
    return layer


FIRST = "so values written to it would be lost; "
REFUSED = {
    normed: f"1 computes its weight at each run, {FIRST}call torch.nn.utils.parametrize."
    "remove_parametrizations(model.get_submodule('1'), 'weight') first",
    parametrizations.spectral_norm: f"1 computes its weight at each run, {FIRST}call "
    "torch.nn.utils.parametrize.remove_parametrizations(model.get_submodule('1'), "
    "'weight') first",
    nn.utils.weight_norm: f"1 computes its weight at each run, {FIRST}call torch.nn.utils."
    "remove_weight_norm(model.get_submodule('1'), 'weight') first",
    nn.utils.spectral_norm: f"1 computes its weight at each run, {FIRST}call torch.nn."
    "utils.remove_spectral_norm(model.get_submodule('1'), 'weight') first",
    pruned: f"1 computes its weight at each run, {FIRST}call torch.nn.utils.prune.remove"
    "(model.get_submodule('1'), 'weight') first",
    assigned: f"1 computes its weight at each run, {FIRST}make weight a Parameter of the "
    "layer first",
    lazy: "1 is lazy and has no weight yet; run the model once first",
    renormed: "1 rewrites its rows at each run (max_norm); run the model over all of them, "
    "and set max_norm to None first",
    integers: "1.weight is a Parameter of int8, not a plain float tensor; quantize the "
    "model that it was made from, or name '1' in keep_float",
}


@pytest.mark.filterwarnings("ignore")  # the old ways to norm weights
@pytest.mark.parametrize("change", REFUSED, ids=lambda change: change.__name__)
def test_a_weight_that_is_not_what_it_seems_is_refused_with_the_cure(change):
    model = nn.Sequential(nn.Linear(4, 4), change(nn.Linear(4, 3)))
    for refused in (quantize_model, packed_bytes):
        with pytest.raises(ValueError) as caught:
            refused(model, Scheme(bits=2))
        said = str(caught.value).removeprefix("the model cannot be copied: ")
        assert said == REFUSED[change]
    assert [w.name for w in layer_weights(model, keep_float=("1",))] == ["0.weight"]


def test_a_model_without_values_says_so():
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(ValueError, match=r"0.weight is on the meta device, without"):
        quantize_model(model, Scheme())


@pytest.mark.filterwarnings("ignore")
def test_the_cure_helps():
    torch.manual_seed(0)
    model = nn.Sequential(parametrizations.weight_norm(nn.Linear(16, 10)))
    torch.nn.utils.parametrize.remove_parametrizations(model.get_submodule("0"), "weight")
    assert len(quantize_model(model, Scheme(bits=2))[0].weight.unique()) <= 3


def test_a_weight_that_is_a_part_of_another_is_rounded_by_itself():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    model[1].weight = nn.Parameter(model[0].weight.detach()[1:3])
    small = quantize_model(model, Scheme(bits=3))
    for layer, own in zip(small, model, strict=True):
        assert torch.equal(layer.weight, fake_quantize(own.weight, Scheme(bits=3)))


def test_a_weight_whose_channels_lie_along_two_axes_is_refused():
    model = nn.Sequential(nn.Conv2d(2, 2, 3), nn.ConvTranspose2d(2, 2, 3))
    model[1].weight = model[0].weight
    with pytest.raises(ValueError, match=r"^0 and 1 share one weight, whose output"):
        quantize_model(model, Scheme())
