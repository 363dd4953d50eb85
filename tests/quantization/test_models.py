"""Groups, observers, whole models, packed bytes, SQNR, sensitivity, the Pareto front."""

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from helpers.classroom.data.networks import DigitsNet
from helpers.quantization import (
    GRANULARITIES,
    OBSERVERS,
    Scheme,
    calibrate,
    choose_qparams,
    dequantize,
    fake_quantize,
    fold_batch_norm,
    layer_sensitivity,
    packed_bytes,
    pareto_front,
    quantizable_layers,
    quantize,
    quantize_model,
    sqnr_db,
    worst_channel,
)
from helpers.training import accuracy

# Groups


def test_a_group_is_quantized_as_if_it_stood_alone():
    weight = torch.randn(3, 10, generator=torch.Generator().manual_seed(0))
    scheme = Scheme(bits=4, granularity="group", group_size=4)
    rounded = fake_quantize(weight, scheme)
    for channel in range(3):
        for start in (0, 4, 8):  # the last group is short: two values
            alone = fake_quantize(weight[channel, start : start + 4], Scheme(bits=4))
            assert torch.equal(rounded[channel, start : start + 4], alone)


def test_scales_of_groups_broadcast_and_are_equal_within_a_group():
    weight = torch.randn(2, 3, 2, 2)
    scale = choose_qparams(weight, Scheme(granularity="group", group_size=5)).scale
    assert scale.shape == weight.shape
    for row in scale.flatten(1):
        assert [len(set(part.tolist())) for part in row.split(5)] == [1, 1, 1]


def test_a_group_as_long_as_the_channel_is_the_channel():
    weight = torch.randn(4, 7)
    by_group = fake_quantize(weight, Scheme(bits=3, granularity="group", group_size=7))
    assert torch.equal(
        by_group, fake_quantize(weight, Scheme(bits=3, granularity="channel"))
    )


# Observers


def test_percentile_by_hand():
    values = torch.arange(101.0)  # the 90th percentile is 90
    scheme = Scheme(bits=8, observer="percentile", percentile=90)
    assert choose_qparams(values, scheme).scale.item() == pytest.approx(90 / 127)
    assert fake_quantize(values, scheme).max().item() == pytest.approx(90)
    one_sided = Scheme(bits=8, symmetric=False, observer="percentile", percentile=90)
    qparams = choose_qparams(values - 50, one_sided)
    assert qparams.scale.item() == pytest.approx(80 / 255)
    assert dequantize(qparams.zero_point, qparams).item() == 0


def test_the_hundredth_percentile_is_min_max():
    values = torch.randn(50)
    every = Scheme(bits=4, observer="percentile", percentile=100)
    assert torch.equal(fake_quantize(values, every), fake_quantize(values, Scheme(bits=4)))


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("percentile", [50, 73.21, 99, 99.9, 100])
@pytest.mark.parametrize("count", [1, 2, 50, 10_001])
def test_a_percentile_is_what_torch_quantile_finds(count, percentile, symmetric):
    values = torch.randn(count, generator=torch.Generator().manual_seed(count))
    scheme = Scheme(8, symmetric, observer="percentile", percentile=percentile)
    scale = choose_qparams(values, scheme).scale.item()
    if symmetric:
        reach = torch.quantile(values.abs(), percentile / 100) / 127
    else:
        low = torch.quantile(values, 1 - percentile / 100).clamp(max=0)
        reach = (torch.quantile(values, percentile / 100).clamp(min=0) - low) / 255
    assert scale == pytest.approx(reach.item() or 1.0, rel=1e-4)


def test_a_percentile_of_more_values_than_torch_quantile_takes():
    values = torch.zeros(2**24 + 2)
    values[::2] = 1
    with pytest.raises(RuntimeError, match="too large"):
        torch.quantile(values, 0.75)
    scheme = Scheme(bits=2, observer="percentile", percentile=75)
    assert choose_qparams(values, scheme).scale == 1


@given(st.integers(2, 8), st.booleans(), st.sampled_from(GRANULARITIES), st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_least_squares_is_never_worse_than_min_max(bits, symmetric, granularity, seed):
    weight = torch.randn(3, 40, generator=torch.Generator().manual_seed(seed)) ** 3
    both = [
        fake_quantize(weight, Scheme(bits, symmetric, granularity, observer=observer))
        for observer in ("minmax", "mse")
    ]
    minmax, mse = ((weight - rounded).square().sum() for rounded in both)
    assert mse <= minmax * (1 + 1e-6)


@given(
    st.builds(
        Scheme,
        bits=st.integers(2, 8),
        symmetric=st.booleans(),
        granularity=st.sampled_from(GRANULARITIES),
        group_size=st.integers(2, 9),
        observer=st.sampled_from(OBSERVERS),
        percentile=st.sampled_from([50, 90, 99.9, 100]),
    ),
    st.integers(0, 99),
)
@settings(deadline=None, max_examples=60)
def test_any_scheme_keeps_zero_and_shape_and_repeats_itself(scheme, seed):
    weight = torch.randn(4, 3, 3, generator=torch.Generator().manual_seed(seed))
    weight[0] = 0
    qparams = choose_qparams(weight, scheme)
    once = dequantize(quantize(weight, qparams), qparams)
    assert once.shape == weight.shape and torch.equal(once[0], weight[0])
    assert torch.equal(dequantize(quantize(once, qparams), qparams), once)


@pytest.mark.parametrize(
    "setting, says",
    [
        (
            {"granularity": "row"},
            "granularity is 'row'; expected one of 'tensor', 'channel', 'group'",
        ),
        (
            {"observer": "max"},
            "observer is 'max'; expected one of 'minmax', 'percentile', 'mse'",
        ),
        ({"group_size": 1}, "group_size is 1; expected a whole number of 2 or more"),
        ({"group_size": 2.0}, "group_size is 2.0; expected a whole number of 2 or more"),
        ({"percentile": 49}, "percentile is 49; expected a number from 50 to 100"),
        ({"percentile": "high"}, "percentile is 'high'; expected a number from 50 to 100"),
    ],
)
def test_a_scheme_names_what_it_allows(setting, says):
    with pytest.raises(ValueError) as caught:
        Scheme(**setting)
    assert str(caught.value) == says


# Whole models


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


def test_calibration_leaves_no_hook_also_where_the_model_fails():
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    assert list(calibrate(model, Scheme(), torch.ones(5, 4))) == ["0", "1"]
    broken = nn.Sequential(nn.Linear(4, 3), nn.Linear(4, 2))  # 3 values do not fit into 4
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        calibrate(broken, Scheme(), torch.ones(5, 4))
    modules = [*model.modules(), *broken.modules()]
    assert [m for m in modules if m._forward_hooks or m._forward_pre_hooks] == []


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


# Bytes


def test_packed_bytes_by_hand():
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Linear(5, 7, bias=False))
    conv, linear, bias = 54, 35, 3
    assert packed_bytes(net, None) == 4 * (conv + linear + bias)
    # 27 and 18 bytes of weights (17.5 rounded up), a scale each, the bias.
    assert packed_bytes(net, Scheme(bits=4)) == 27 + 18 + 2 * 4 + 4 * bias
    per_channel = Scheme(bits=4, granularity="channel")
    assert packed_bytes(net, per_channel) == 27 + 18 + (3 + 7) * 4 + 4 * bias
    # 18 weights a channel make 3 groups of 8; 5 make one short group.
    groups = Scheme(bits=4, granularity="group", group_size=8)
    assert packed_bytes(net, groups) == 27 + 18 + (3 * 3 + 7) * 4 + 4 * bias
    asymmetric = Scheme(bits=4, symmetric=False)
    assert packed_bytes(net, asymmetric) == 27 + 18 + 2 * (4 + 1) + 4 * bias
    kept = packed_bytes(net, Scheme(bits=4), keep_float=["2"])
    assert kept == 27 + 4 + 4 * bias + 4 * linear


def test_folded_norms_are_not_counted():
    net = nn.Sequential(nn.Conv2d(1, 4, 1, bias=False), nn.BatchNorm2d(4))
    assert packed_bytes(net, None) == 4 * (4 + 4)  # the weights, and the bias it gains


# Decibels


def test_sqnr_by_hand():
    reference = torch.tensor([3.0, 4.0])
    assert sqnr_db(reference, reference) == math.inf
    assert sqnr_db(reference, torch.tensor([3.0, 4.5])) == pytest.approx(20)
    assert sqnr_db(torch.zeros(2), torch.ones(2)) == -math.inf
    assert sqnr_db(reference, torch.tensor([3.0, math.inf])) == -math.inf
    assert math.isnan(sqnr_db(reference, torch.tensor([3.0, math.nan])))
    with pytest.raises(ValueError) as caught:
        sqnr_db(reference, torch.ones(2, 1))
    assert str(caught.value) == (
        "reference has shape (2,), approximation (2, 1); expected the same"
    )


def test_six_decibels_a_bit():
    x = torch.rand(100_000, generator=torch.Generator().manual_seed(0)) * 2 - 1
    at = {bits: sqnr_db(x, fake_quantize(x, Scheme(bits=bits))) for bits in (6, 7, 8, 9)}
    gains = [at[bits + 1] - at[bits] for bits in (6, 7, 8)]
    assert gains == pytest.approx([6.02] * 3, abs=0.2)


def test_the_worst_channel_is_the_one_that_was_damaged():
    weight = torch.randn(5, 8)
    damaged = weight.clone()
    damaged[3] += 0.5
    channel, decibels = worst_channel(weight, damaged)
    assert channel == 3 and decibels == pytest.approx(sqnr_db(weight[3], damaged[3]))


# Sensitivity and the front


def test_sensitivity_quantizes_one_layer_at_a_time(model, digits):
    images, labels = digits.test_images[:200], digits.test_labels[:200]
    table = layer_sensitivity(model, Scheme(3), images, labels)
    assert list(table.columns) == ["layer", "parameters", "accuracy", "sqnr_db"]
    assert table["accuracy"].is_monotonic_increasing
    assert set(table["layer"]) == set(quantizable_layers(fold_batch_norm(model)))
    others = [name for name in table["layer"] if name != "blocks.1.0"]
    alone = quantize_model(model, Scheme(3), keep_float=others)
    row = table.set_index("layer").loc["blocks.1.0"]
    assert row["accuracy"] == accuracy(alone, images, labels)
    assert row["parameters"] == 48 * 9


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=30))
def test_the_front_is_what_nobody_beats(points):
    def beaten(point):
        return any(
            other[0] <= point[0] and other[1] >= point[1] and other != point
            for other in points
        )

    assert pareto_front(points) == sorted({point for point in points if not beaten(point)})


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
