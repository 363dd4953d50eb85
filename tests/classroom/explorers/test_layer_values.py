"""A layer's weights and inputs: how they are spread, and where a setting clips them."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from helpers.classroom.explorers.layer_values import (
    BINS,
    ROWS,
    LayerValues,
    Spread,
    Watched,
    _clipped,
    scheme_of,
)
from helpers.classroom.explorers.layer_values_drawing import (
    _clip_words,
    layer_parts,
    layer_words,
)
from helpers.quantization import (
    GRANULARITIES,
    OBSERVERS,
    QParams,
    Scheme,
    Setting,
    calibrate,
    choose_qparams,
)
from helpers.quantization.inputs import rows
from tests.quantization.own_models import cases

CASES = cases()
WHERE = ("0", "2")


@pytest.fixture(scope="module")
def table():
    case = CASES["a table, classes"]
    watched = Watched(*case[:3], case.calibration, case.metric)
    return watched, LayerValues(watched, case.calibration), case


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("observer", OBSERVERS)
def test_the_lines_are_the_outermost_levels(table, symmetric, granularity, observer):
    _, values, case = table
    scheme = Scheme(3, symmetric, granularity, observer=observer)
    for layer in WHERE:
        weight = case.model.get_submodule(layer).weight.detach()
        levels = choose_qparams(weight, scheme).levels
        found = values.weights(layer, Setting(scheme))
        assert found.clip == (levels.min().item(), levels.max().item())
        assert (found.low, found.high) == (weight.min().item(), weight.max().item())
        assert len(found.counts) == BINS and sum(found.counts) == weight.numel()
        half = (levels[..., 1] - levels[..., 0]) * 0.50001
        outside = (weight < levels[..., 0] - half) | (weight > levels[..., -1] + half)
        assert found.clipped == outside.double().mean().item()


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_of_minmax_nothing_is_said_to_be_clipped(table, symmetric, granularity):
    _, values, case = table
    for bits in range(2, 17):
        # On all rows whose inputs are looked at.
        both = Scheme(bits, symmetric, granularity), Scheme(bits, symmetric)
        setting = Setting(*both, calibration=len(case.calibration))
        for layer in WHERE:
            words = layer_words(values.look(layer, setting), "rows")
            assert words.count(", none clipped") == 2, (bits, words)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("observer", ["percentile", "mse", "entropy"])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_what_is_clipped_is_what_the_clamp_changes(table, symmetric, observer, bits):
    _, values, case = table
    scheme = Scheme(bits, symmetric, "channel", observer=observer)
    for layer in WHERE:
        weight = case.model.get_submodule(layer).weight.detach()
        scale, zero, qmin, qmax, _ = choose_qparams(weight, scheme)
        free = torch.round(weight / scale) + zero
        changed = ((free < qmin) | (free > qmax)).double().mean().item()
        assert values.weights(layer, Setting(scheme)).clipped == changed
        assert changed or bits < 8 or observer != "percentile"


def test_exactly_half_a_step_beyond_is_rounded_not_clipped():
    model, inputs = nn.Sequential(nn.Linear(3, 2)), torch.randn(40, 3)
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[-1.0, 0.0, 1.0], [0.5, 0.0, -0.5]]))
    labels = torch.randint(0, 2, (40,))
    values = LayerValues(Watched(model, inputs, labels), inputs)
    for scheme in (Scheme(2, symmetric=False), Scheme(3, signed_range="full")):
        found = values.weights("0", Setting(scheme))
        assert max(map(abs, found.clip)) != 1 and found.clipped == 0
    for bits in range(2, 17):
        for end in torch.rand(50, generator=torch.Generator().manual_seed(bits)):
            both = torch.stack([-end, end])
            qparams = choose_qparams(both, Scheme(bits, symmetric=False))
            found = _clipped(Spread((1.0,), 0.0, 1.0, 2, 0.0), [both], [qparams])
            assert found.clipped == 0, (bits, end)


@pytest.mark.parametrize("form, last, half", [("e2m1", 6, 1), ("e4m3", 448, 16)])
def test_floats_are_clipped_beyond_half_of_their_last_step(form, last, half):
    bits = 4 if form == "e2m1" else 8
    codes = QParams(torch.tensor(0.5), torch.tensor(0), 0, 2**bits - 1, form)
    near, far = (last + half) / 2, (last + half) / 2 * 1.001
    some = torch.tensor([0.0, near, -near, far, -far])
    found = _clipped(Spread((1.0,), 0.0, 1.0, 5, 0.0), [some], [codes])
    assert found.clipped == 2 / 5 and found.clip == (-last / 2, last / 2)
    table = torch.linspace(-1, 1, 64)[None]
    for name in ("e2m1", "e4m3", "e5m2", "nf4"):
        scheme = Scheme(4 if name in ("e2m1", "nf4") else 8, format=name)
        qparams = choose_qparams(table, scheme)
        none = _clipped(Spread((1.0,), 0.0, 1.0, 64, 0.0), [table], [qparams])
        assert none.clipped == 0 and none.clip == pytest.approx((-1, 1))


def test_a_share_that_would_round_to_nothing_is_not_called_nothing():
    found = Spread((1.0,), 0.0, 1.0, 9, 0.0, (-1.0, 1.0))
    for share, words in ((0.0, "none"), (1e-5, "<0.1%"), (0.0006, "0.1%"), (0.5, "50.0%")):
        said = _clip_words(replace(found, clipped=share))
        assert said == f"levels -1 to 1, {words} clipped"


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("count", [16, 32])
def test_the_lines_of_the_inputs_are_the_calibrated_range(table, symmetric, count):
    _, values, case = table
    scheme = Scheme(4, symmetric, observer="percentile")
    setting = Setting(None, scheme, count)
    ranges = calibrate(case.model, scheme, case.calibration[:count])
    for layer in WHERE:
        found, levels = values.inputs(layer, setting), ranges[layer].levels
        assert found.clip == (levels.min().item(), levels.max().item())
        kept = replace(setting, keep_float=(layer,))
        assert values.inputs(layer, kept).clip is None
        assert values.inputs(layer, Setting(Scheme(2))).clip is None


def test_of_the_inputs_the_zeros_are_counted_apart(table):
    _, values, case = table
    found = values.inputs("2", Setting())
    with torch.no_grad():
        reached = case.model[:2](case.calibration).flatten()
    assert 0.2 < found.zeros == (reached == 0).float().mean().item()
    assert sum(found.counts) == (reached != 0).sum() == found.size
    assert found.high == reached.max().item()


def test_a_layer_has_the_scheme_that_the_setting_gives_it(table):
    _, values, _ = table
    three, eight = Scheme(3), Scheme(8)
    setting = Setting({"0": three, "2": eight}, keep_float=("2",))
    assert (scheme_of(setting, "0"), scheme_of(setting, "2")) == (three, None)
    assert scheme_of(Setting({"0": three}), "2") is None
    assert scheme_of(Setting(eight), "2") == eight
    assert values.weights("2", setting).clip is None
    assert values.weights("0", setting) == values.weights("0", Setting(three))


def test_the_model_runs_once_and_on_few_rows():
    seen = []

    class Counts(nn.Linear):
        pass

    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    model[0].register_forward_hook(lambda layer, inputs, output: seen.append(len(output)))
    inputs = torch.randn(500, 4)
    watched = Watched(model, inputs, torch.randint(0, 3, (500,)), inputs)
    values = LayerValues(watched, inputs)
    seen.clear()
    for _ in range(3):
        assert values.inputs("1", Setting()).size == 4 * ROWS
        values.weights("1", Setting(Scheme(2)))
    assert seen == [ROWS] and values.look("1", Setting()).rows == ROWS


def test_of_a_layer_that_runs_twice_the_first_inputs_are_shown():
    layer, inputs = nn.Linear(4, 4), torch.randn(40, 4)
    model = nn.Sequential(layer, nn.Sigmoid(), layer)
    watched = Watched(model, inputs, torch.randint(0, 4, (40,)))
    found = LayerValues(watched, inputs).inputs("0", Setting())
    assert (found.low, found.high) == (inputs.min().item(), inputs.max().item())


def test_where_inputs_cannot_be_seen_it_is_said():
    tokens = CASES["tokens, recurrent"]
    values = LayerValues(Watched(*tokens[:3], None, tokens.metric), tokens.inputs)
    assert values.inputs("embed", Setting()) == "its inputs are whole numbers, and stay so"
    assert values.weights("embed", Setting(Scheme(2))).clip
    assert values.inputs("head", Setting()).size > 100

    class Aside(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Linear(4, 3), nn.Linear(4, 3)

        def forward(self, x):
            return self.used(x)

    inputs = torch.randn(40, 4)
    watched = Watched(Aside(), inputs, torch.randint(0, 3, (40,)))
    words = LayerValues(watched, inputs).inputs("unused", Setting())
    assert words.startswith("its inputs are not seen: ")


@pytest.mark.parametrize(
    "weight", [torch.zeros(3, 4), torch.full((3, 4), 0.5), torch.eye(3, 4) * 1e-9]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_any_values_can_be_drawn(weight, dtype):
    model = nn.Sequential(nn.Linear(4, 3)).to(dtype)
    with torch.no_grad():
        model[0].weight.copy_(weight)
    for inputs in (torch.zeros(40, 4), torch.ones(40, 4), 1e6 * torch.randn(40, 4)):
        inputs = inputs.to(dtype)
        watched = Watched(model, inputs, torch.randint(0, 3, (40,)), inputs)
        values = LayerValues(watched, inputs)
        for setting in (Setting(), Setting(Scheme(2)), Setting(Scheme(2), Scheme(2), 16)):
            name = str(dtype)[6:]
            look = values.look("0", setting)
            parts = layer_parts(look, name)
            text = " ".join([*parts[0], *parts[1]])
            text += layer_words(look, "rows")
            assert "nan" not in text and "inf" not in text and "None" not in text


def test_the_words_say_what_the_picture_shows(table):
    _, values, case = table
    setting = Setting(
        Scheme(3, granularity="channel"), Scheme(8, observer="percentile"), 32
    )
    text = layer_words(values.look("2", setting), "rows")
    weights, inputs = values.weights("2", setting), values.inputs("2", setting)
    low, high = weights.clip
    assert f"2: {case.model[2].weight.numel()} weights from {weights.low:.3g} to " in text
    assert f"levels {low:.3g} to {high:.3g}, none clipped (the lines of the out" in text
    assert f"inputs, of 48 rows, from 0 to {inputs.high:.3g}, {inputs.zeros:.0%} of" in text
    assert f"{inputs.clipped:.1%} clipped." in text and inputs.clipped > 0
    words = layer_words(values.look("2", Setting()), "rows")
    assert words.count("nothing is clipped") == 2


def test_watching_gives_what_is_rounded(table):
    watched, _, case = table
    assert watched.bytes_of("0") == case.model[0].weight.nbytes
    assert watched.input_ranges(Setting()) == {}
    scheme = Scheme(4)
    found = watched.input_ranges(Setting(None, scheme, 16))
    assert found == calibrate(watched.folded, scheme, rows(case.calibration, 0, 16))
