"""Whole models: which layers are rounded, what is left alone, what is refused."""

import copy
import warnings

import pytest
import torch
from torch import nn

from helpers.classroom.data.networks import DigitsNet
from helpers.quantization import (
    Scheme,
    choose_qparams,
    dequantize,
    fake_quantize,
    fold_batch_norm,
    packed_bytes,
    quantizable_layers,
    quantize,
    quantize_model,
)
from helpers.quantization.layers import layer_weights
from helpers.training import accuracy


def test_the_original_is_not_touched(model, digits):
    before = copy.deepcopy(model.state_dict())
    quantize_model(model, Scheme(3), Scheme(4, symmetric=False), digits.train_images[:8])
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())
    assert not model.blocks[0][0]._forward_pre_hooks


def test_nothing_asked_for_is_the_folded_model(model, digits):
    images = digits.test_images[:16]
    assert torch.equal(quantize_model(model)(images), fold_batch_norm(model)(images))


def test_each_layer_has_the_fake_quantized_weights_and_its_own_bias(model):
    scheme = Scheme(bits=3, granularity="channel")
    folded, quantized = fold_batch_norm(model), quantize_model(model, scheme)
    kept = quantize_model(model, scheme, keep_float=["head"])
    for name, layer in quantizable_layers(folded).items():
        found = quantizable_layers(quantized)[name]
        assert torch.equal(found.weight, fake_quantize(layer.weight, scheme))
        assert torch.equal(found.bias, layer.bias)
    assert torch.equal(kept.head.weight, folded.head.weight)
    assert torch.equal(kept.stem[0].weight, quantized.stem[0].weight)


def test_activations_are_rounded_on_the_way_into_each_layer(model, digits):
    scheme, images = Scheme(bits=4, symmetric=False), digits.test_images[:5]
    quantized = quantize_model(model, activations=scheme, calibration=digits.train_images)
    seen = {}
    for name in ("stem.0", "head"):
        layer = quantizable_layers(quantized)[name]
        layer.register_forward_pre_hook(
            lambda _, inputs, name=name: seen.__setitem__(name, inputs[0])
        )
    with torch.no_grad():
        quantized(images)
    qparams = choose_qparams(digits.train_images, scheme)
    assert torch.equal(seen["stem.0"], dequantize(quantize(images, qparams), qparams))
    assert len(seen["head"].unique()) <= 16


def test_the_shipped_model_shows_what_the_course_says(model, digits):
    def right(scheme):
        quantized = quantize_model(model, scheme)
        return 100 * accuracy(quantized, digits.test_images, digits.test_labels)

    exact = right(None)
    assert exact - right(Scheme(bits=8)) <= 0.5
    assert exact - right(Scheme(bits=3)) >= 10
    assert right(Scheme(bits=3, granularity="channel")) - right(Scheme(bits=3)) >= 10


@pytest.mark.parametrize(
    "settings, says",
    [
        (
            {"weights": Scheme(), "keep_float": ["tail"]},
            "keep_float names 'tail', which is not a layer; there are hidden, output",
        ),
        (
            {"activations": Scheme()},
            "activations need calibration: pass inputs, such as 64 images",
        ),
        (
            {
                "activations": Scheme(granularity="channel"),
                "calibration": torch.ones(2, 10),
            },
            "activations are quantized per tensor; got granularity='channel'",
        ),
        (
            {"weights": Scheme(), "keep_float": "output"},
            "keep_float is 'output'; expected a tuple of names: ('output',)",
        ),
        (
            {"activations": Scheme(), "calibration": torch.full((2, 10), torch.nan)},
            "input of hidden: the tensor holds NaN, infinity or a value beyond 1e38; "
            "repair or clip it before quantizing",
        ),
        (
            {"activations": Scheme(), "calibration": {}},
            "calibration never reached hidden, so its input has no range; name it in "
            "keep_float",
        ),
    ],
)
def test_a_model_that_cannot_be_quantized_that_way(settings, says):
    from helpers.classroom.data.networks import SimpleNet

    with pytest.raises(ValueError) as caught:
        quantize_model(SimpleNet(), **settings)
    assert str(caught.value) == says


def test_an_error_names_the_layer_whose_weights_are_broken():
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
    with torch.no_grad():
        net[1].weight[0, 0] = torch.inf
    with pytest.raises(ValueError, match=r"^weights of 1: the tensor holds NaN, infinity"):
        quantize_model(net, Scheme())
    assert quantize_model(net, Scheme(), keep_float=["1"])[1].weight[0, 0] == torch.inf


class Uneven(nn.Module):
    """Runs one layer twice and another never."""

    def __init__(self):
        super().__init__()
        self.often, self.never = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x):
        return self.often(100 * self.often(x))


def test_activations_need_each_layer_to_run_once():
    with pytest.raises(ValueError, match="often runs more than once, and one range cannot"):
        quantize_model(Uneven(), activations=Scheme(), calibration=torch.ones(2, 3))
    net = Uneven()
    net.often = nn.Identity()
    with pytest.raises(ValueError, match="calibration never reached never, so its input"):
        quantize_model(net, activations=Scheme(), calibration=torch.ones(2, 3))
    quantize_model(net, None, Scheme(), torch.ones(2, 3), keep_float=["never"])


def test_an_untrained_model_can_be_quantized_too():
    quantized = quantize_model(
        DigitsNet(width=3), Scheme(2, granularity="group", group_size=2)
    )
    assert quantized(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (
            lambda: quantize_model("m", Scheme()),
            "model is of type str; expected a torch.nn",
        ),
        (lambda: packed_bytes("m", Scheme()), "model is of type str; expected a torch.nn"),
        (
            lambda: quantize_model(DigitsNet(), 8),
            "scheme is of type int; expected one such",
        ),
        (lambda: packed_bytes(DigitsNet(), 8), "scheme is of type int; expected one such"),
        (lambda: fake_quantize([1.0], Scheme()), "tensor is of type list; expected torch."),
    ],
)
def test_what_is_no_model_scheme_or_tensor_is_refused_by_name(call, expected):
    with pytest.raises(TypeError) as caught:
        call()
    assert str(caught.value).startswith(expected)


KINDS = {
    "conv1d": (nn.Conv1d(4, 6, 3), torch.rand(5, 4, 9), 6),
    "conv3d": (nn.Conv3d(2, 6, 2), torch.rand(5, 2, 3, 3, 3), 6),
    "transposed": (nn.ConvTranspose2d(4, 6, 3, groups=2), torch.rand(5, 4, 5, 5), 6),
    "embedding": (nn.Embedding(7, 16), torch.arange(7), 7),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_layer_has_few_levels_in_each_output_channel(kind):
    layer, inputs, channels = KINDS[kind]
    small = quantize_model(nn.Sequential(layer), Scheme(bits=2, granularity="channel"))
    (found,) = layer_weights(small)
    rows = found.to_channels(found.parameter)
    assert len(rows) == channels
    assert max(len(row.unique()) for row in rows) <= 3
    assert len(rows.unique()) > channels  # each with a scale of its own
    assert small(inputs).shape == layer(inputs).shape
    assert not torch.equal(small(inputs), layer(inputs))


def test_the_inputs_of_each_kind_are_rounded_but_those_of_an_embedding():
    model = nn.Sequential(nn.Embedding(7, 16), nn.Conv1d(3, 6, 3), nn.ReLU())
    tokens = torch.randint(0, 7, (5, 3))
    small = quantize_model(model, None, Scheme(4, symmetric=False), tokens)
    assert not small[0]._forward_pre_hooks
    assert len(small[1]._forward_pre_hooks) == 1


def attention(tied=False):
    torch.manual_seed(2)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    return nn.Sequential(layer, nn.Linear(8, 3)).eval()


def test_all_the_weights_of_an_attention_are_rounded_and_are_those_it_uses():
    model, inputs = attention(), torch.rand(2, 5, 8)
    small = quantize_model(model, Scheme(bits=2))
    inside = small[0].self_attn
    for weight in (inside.in_proj_weight, inside.out_proj.weight, small[1].weight):
        assert len(weight.unique()) <= 3
    with torch.no_grad():
        hand = copy.deepcopy(model)
        for layer, name in [
            (hand[0].self_attn, "in_proj_weight"),
            (hand[0].self_attn.out_proj, "weight"),
            (hand[0].linear1, "weight"),
            (hand[0].linear2, "weight"),
            (hand[1], "weight"),
        ]:
            weight = getattr(layer, name)
            weight.copy_(fake_quantize(weight, Scheme(bits=2)))
        assert torch.equal(small(inputs), hand(inputs))


def test_the_inputs_of_an_attention_cannot_be_rounded_and_it_says_so():
    model, inputs = attention(), torch.rand(2, 5, 8)
    with pytest.raises(ValueError) as caught:
        quantize_model(model, Scheme(), Scheme(), inputs)
    assert str(caught.value) == (
        "0.self_attn multiplies inside a function of PyTorch, where its inputs cannot be "
        "rounded; name '0.self_attn' and '0.self_attn.out_proj' in keep_float"
    )
    kept = ("0.self_attn", "0.self_attn.out_proj")
    small = quantize_model(model, Scheme(), Scheme(), inputs, keep_float=kept)
    assert small(inputs).shape == (2, 5, 3)


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(3, 4), nn.Linear(2, 4)

    def forward(self, a, b, scale=1.0):
        return (self.left(a) + self.right(input=b)) * scale


def test_calibration_takes_several_inputs_by_place_and_by_name():
    model, a, b = TwoInputs(), torch.rand(6, 3), torch.rand(6, 2)
    by_keyword = "right is called with keywords, and its input is not seen; name it in"
    with pytest.raises(ValueError, match=by_keyword):
        quantize_model(model, None, Scheme(), (a, b))
    model.right.forward = model.right.forward  # what libraries do: a forward of its own
    for inputs in ((a, b), {"a": a, "b": b, "scale": 2.0}):
        small = quantize_model(model, None, Scheme(), inputs)
        assert len(small.left._forward_pre_hooks) == 1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_a_model_keeps_its_dtype(dtype):
    model = nn.Sequential(nn.Linear(16, 8)).to(dtype)
    small = quantize_model(model, Scheme(bits=2))
    assert small[0].weight.dtype == dtype
    assert len(small[0].weight.unique()) <= 3
    assert packed_bytes(model, None) == (16 * 8 + 8) * dtype.itemsize
    assert packed_bytes(model, Scheme(2)) == 16 * 8 * 2 // 8 + 4 + 8 * dtype.itemsize


def test_a_model_of_which_much_stays_in_float_says_so():
    model = nn.Sequential(nn.LSTM(16, 16), nn.Linear(64, 64))
    says = (
        r"^8,192 of the 24,576 bytes of weights stay in float: .* coverage\(model\) names"
    )
    with pytest.warns(UserWarning, match=says):
        quantize_model(model, Scheme())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quantize_model(model, Scheme(), keep_float=("1",))  # asked for
        quantize_model(nn.Sequential(nn.Linear(2, 1), nn.PReLU(9)), Scheme())
        quantize_model(nn.Sequential(nn.LSTM(16, 16), nn.Linear(100, 100)), Scheme())


def test_a_mapping_gives_each_layer_its_own_scheme(model, digits):
    weights = {"stem.0": Scheme(8), "head": Scheme(3, granularity="channel")}
    activations = Scheme(8, symmetric=False)
    folded = fold_batch_norm(model)
    mixed = quantize_model(model, weights, activations, digits.train_images[:8])
    for name, layer in quantizable_layers(folded).items():
        found = quantizable_layers(mixed)[name]
        scheme = weights.get(name)
        expected = layer.weight if scheme is None else fake_quantize(layer.weight, scheme)
        assert torch.equal(found.weight, expected) and found._forward_pre_hooks
    assert packed_bytes(model, weights) == (
        packed_bytes(model, None)
        - (4 * folded.stem[0].weight.numel() - folded.stem[0].weight.numel() - 4)
        - (4 * folded.head.weight.numel() - folded.head.weight.numel() * 3 / 8 - 4 * 10)
    )
    kept = quantize_model(model, weights, keep_float=["head"])
    assert torch.equal(kept.head.weight, folded.head.weight)
    assert packed_bytes(model, {}) == packed_bytes(model, None)


def test_a_mapping_counts_and_treats_a_tied_weight_once():
    tied = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 9, bias=False))
    tied[1].weight = tied[0].weight
    expected = fake_quantize(tied[0].weight, Scheme(3))
    for weights in ({"1": Scheme(3)}, {"0": Scheme(3), "1": Scheme(3)}):
        small = quantize_model(tied, weights)
        assert small[0].weight is small[1].weight
        assert torch.equal(small[0].weight, expected)
        assert packed_bytes(tied, weights) == packed_bytes(tied, Scheme(3))
    with pytest.raises(ValueError, match=r"^0 and 1 share one weight; give them the same"):
        quantize_model(tied, {"0": Scheme(3), "1": Scheme(4)})
    left = quantize_model(tied, {"0": Scheme(3)}, keep_float=["1"])
    assert torch.equal(left[0].weight, tied[0].weight)


def test_what_a_mapping_names_is_treated_or_refused_and_nothing_else():
    computed = nn.utils.parametrizations.weight_norm(nn.Linear(4, 3))
    net = nn.Sequential(nn.Linear(4, 4), computed)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what stays in float was asked for
        small = quantize_model(net, {"0": Scheme(2)})
    assert len(small[0].weight.unique()) <= 3
    with pytest.raises(ValueError, match=r"^1 computes its weight at each run"):
        quantize_model(net, {"1": Scheme(2)})
    with pytest.raises(
        ValueError, match=r"^weights names '2', which is not a layer; there are 0, 1$"
    ):
        packed_bytes(net, {"2": Scheme(2)})
    with pytest.raises(TypeError, match=r"^scheme is of type int; expected one such as"):
        quantize_model(net, {"0": 2})


def test_other_arguments_of_a_layer_stay(model):
    class Up(nn.Module):
        def __init__(self):
            super().__init__()
            self.down = nn.Conv2d(1, 4, 3, stride=2, padding=1)
            self.up = nn.ConvTranspose2d(4, 1, 3, stride=2, padding=1)

        def forward(self, x):
            return self.up(self.down(x), x.shape[2:])

    images = torch.rand(2, 1, 8, 8)
    assert quantize_model(Up(), None, Scheme(), images)(images).shape == images.shape


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("scheme", [Scheme(8, False), Scheme(16), Scheme(8, format="e4m3")])
def test_inputs_of_16_bits_are_rounded_in_float32(dtype, scheme):
    layer, x = nn.Linear(40, 5, bias=False).to(dtype), torch.randn(30, 40).to(dtype)
    found = quantize_model(nn.Sequential(layer), None, scheme, x)(x)
    assert torch.equal(found, layer(fake_quantize(x, scheme).to(dtype)))


def test_the_input_of_a_layer_that_is_kept_is_not_looked_at():
    class Keywords(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x):
            return self.last(self.first(input=x))

    x = torch.rand(5, 4)
    with pytest.raises(ValueError, match="name it in keep_float"):
        quantize_model(Keywords(), None, Scheme(), x)
    assert quantize_model(Keywords(), None, Scheme(), x, ["first"])(x).shape == (5, 2)


def test_a_level_beyond_the_models_own_dtype_is_refused():
    net = nn.Sequential(nn.Linear(4, 4)).half()
    nn.init.constant_(net[0].weight, -65504)
    with pytest.raises(ValueError, match=r"^weights of 0: a level is beyond torch.float16"):
        quantize_model(net, Scheme(2, scale_dtype="bfloat16"))
