"""What a setting costs: what is measured, what is kept, what is refused."""

import math

import pytest
import torch
from sklearn.metrics import r2_score
from torch import nn
from torch.nn.functional import cross_entropy

from helpers.quantization import (
    Evaluator,
    Scheme,
    Setting,
    evaluation,
    fold_batch_norm,
    layer_sensitivity,
    packed_bytes,
    quantize_model,
    wilson_interval,
)
from helpers.quantization.inputs import rows, run
from helpers.quantization.scoring import judge
from tests.quantization.own_models import cases
from tests.quantization.settings import SETTINGS, each_setting

# Settings


def test_a_setting_that_cannot_be_carried_out_is_refused(evaluator):
    for count in (0, 2.5, True):
        with pytest.raises(ValueError) as caught:
            Setting(calibration=count)
        assert str(caught.value) == (
            f"calibration is {count}; expected a whole number of 1 or more"
        )
    for names in ("head", ["head"]):  # letters; and no key of what was measured
        with pytest.raises(ValueError) as caught:
            Setting(keep_float=names)
        assert str(caught.value) == f"keep_float is {names!r}; expected a tuple of names"
    with pytest.raises(ValueError) as caught:
        Setting(activations=Scheme(granularity="channel"))
    assert str(caught.value) == (
        "activations are quantized per tensor; got granularity='channel'"
    )
    with pytest.raises(ValueError) as caught:
        evaluator(Setting(activations=Scheme(), calibration=5000))
    assert str(caught.value) == (
        "the setting asks for 5000 calibration rows and there are 1078; pass more, or "
        "ask for fewer"
    )
    with pytest.raises(ValueError, match="keep_float names 'tail', which is not a layer"):
        evaluator(Setting(Scheme(), keep_float=("tail",)))


# Evaluations


@each_setting
def test_an_evaluation_counts_bytes_noise_and_changes(setting, evaluator, model, digits):
    found = evaluator(setting)
    kept = set(setting.keep_float)
    assert found.bytes == packed_bytes(model, setting.weights, setting.keep_float)
    assert found.ratio == packed_bytes(model, None) / found.bytes
    assert found.interval == wilson_interval(round(719 * found.value), 719)
    for name, decibels in found.sqnr.items():
        exact = setting.weights is None or name in kept
        assert math.isinf(decibels) == exact, name
    gained = lost = 0
    for i, old, new in found.changed:
        assert old != new
        lost += old == digits.test_labels[i]
        gained += new == digits.test_labels[i]
    assert found.value == (round(719 * evaluator.exact.value) - lost + gained) / 719


def test_a_setting_of_several_schemes_is_a_key_of_its_own(evaluator):
    weights = {"head": Scheme(4), "stem.0": Scheme(8)}
    mixed, other = Setting(weights), Setting(dict(reversed(weights.items())))
    weights["head"] = Scheme(2)  # too late
    assert mixed == other and hash(mixed) == hash(other) and mixed != Setting(weights)
    found = evaluator(mixed)
    assert evaluator(other) is found and found.sqnr["blocks.0.0"] == math.inf
    one = evaluator(Setting({"head": Scheme(4)}))
    assert found.sqnr["head"] == one.sqnr["head"] < math.inf and found.bytes < one.bytes
    everywhere = evaluator(Setting(Scheme(4)))
    same = evaluator(Setting(dict.fromkeys(evaluator.layers, Scheme(4))))
    assert same.value == everywhere.value and same.sqnr == everywhere.sqnr
    assert same.bytes == everywhere.bytes


def test_per_channel_rescues_3_bits_and_8_bits_cost_nothing(evaluator):
    def points(bits, granularity):
        return 100 * evaluator(Setting(Scheme(bits, granularity=granularity))).value

    exact = 100 * evaluator.exact.value
    assert points(3, "tensor") <= exact - 10
    assert points(3, "channel") >= points(3, "tensor") + 10
    assert abs(points(8, "tensor") - exact) <= 0.5


def test_nothing_is_measured_twice_and_the_ranges_are_chosen_once(model, digits):
    images, labels = digits.test_images[:50], digits.test_labels[:50]
    evaluator = Evaluator(model, images, labels, digits.train_images)
    eight = Scheme()
    first = evaluator(Setting(eight, eight))
    ranges = evaluator._ranges[eight, 64]
    evaluator(Setting(Scheme(4), eight))
    assert evaluator(Setting(Scheme(8), Scheme(8))) is first
    assert evaluator._ranges == {(eight, 64): ranges}


def test_an_evaluator_that_has_measured_nothing_else_finds_the_same(
    evaluator, model, digits
):
    setting = SETTINGS["everything"]
    images = (digits.test_images, digits.test_labels, digits.train_images)
    assert Evaluator(model, *images)(setting) == evaluator(setting)


def test_images_and_labels_must_be_pairs(model, digits):
    with pytest.raises(ValueError) as caught:
        Evaluator(model, digits.test_images, digits.test_labels[:5])
    assert str(caught.value) == (
        "got 719 inputs and 5 labels; expected one label for each, and at least one"
    )
    with pytest.raises(ValueError, match="got 0 inputs and 0 labels"):
        Evaluator(model, torch.empty(0, 1, 8, 8), torch.empty(0, dtype=torch.int64))
    with pytest.raises(ValueError) as caught:
        Evaluator(model, digits.test_images, digits.test_labels[:, None])
    assert str(caught.value) == (
        "outputs have shape (N, 10), labels (N, 1) of int64; expected a whole number for "
        "each, that of its class"
    )


def test_a_model_without_layers_has_nothing_to_quantize(digits):
    with pytest.raises(ValueError) as caught:
        Evaluator(torch.nn.Flatten(), digits.test_images, digits.test_labels)
    assert str(caught.value) == (
        "the model has none of the layers that are quantized (see quantizable_layers), so "
        "nothing to evaluate"
    )


# Any model

CASES = cases()
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def bytes_of(model):
    """Bytes of the folded model in float, each shared tensor once."""
    folded = fold_batch_norm(model)
    held = {tensor.data_ptr(): tensor.nbytes for tensor in folded.state_dict().values()}
    return sum(held.values())


@each_case
def test_any_model_is_evaluated_and_its_bytes_are_those_of_packed_bytes(case):
    model, inputs, labels, metric, calibration = case
    before = {name: t.clone() for name, t in model.state_dict().items()}
    evaluator = Evaluator(model, inputs, labels, calibration, metric)
    assert evaluator.exact.float_bytes == evaluator.exact.bytes == bytes_of(model)
    assert all(math.isinf(noise) for noise in evaluator.exact.sqnr.values())
    assert not evaluator.exact.changed
    for scheme in (Scheme(2), Scheme(8, granularity="channel")):
        found = evaluator(Setting(scheme))
        assert found.bytes == packed_bytes(model, scheme) < found.float_bytes
        assert list(found.sqnr) == list(evaluator.layers)
        assert all(math.isfinite(noise) for noise in found.sqnr.values())
        assert found.interval[0] <= found.value <= found.interval[1]
        kept = evaluator(Setting(scheme, keep_float=evaluator.layers))
        assert (kept.value, kept.bytes) == (evaluator.exact.value, evaluator.exact.bytes)
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


@each_case
def test_the_value_is_that_of_the_model_that_quantize_model_makes(case):
    model, inputs, labels, metric, calibration = case
    evaluator = Evaluator(model, inputs, labels, calibration, metric)
    scheme = Scheme(3)
    with torch.no_grad():
        outputs = run(quantize_model(model, scheme), inputs)
    outputs = outputs["logits"] if isinstance(outputs, dict) else outputs
    outputs = outputs[0] if isinstance(outputs, tuple) else outputs
    found = evaluator(Setting(scheme))
    by_hand = {
        "accuracy": lambda: (outputs.argmax(-1) == labels)[labels != -100].double().mean(),
        "perplexity": lambda: cross_entropy(outputs.transpose(1, 2), labels).exp(),
        "R²": lambda: r2_score(labels, outputs),
    }
    if outputs.shape[1:] == (1,) and not labels.is_floating_point():
        by_hand["accuracy"] = lambda: ((outputs[:, 0] > 0) == labels).double().mean()
    assert found.value == pytest.approx(float(by_hand[found.metric.name]()), rel=1e-5)
    assert found.count == int((labels != -100).sum())


@pytest.mark.parametrize("name", sorted(set(CASES) - {"tokens, attention"}))
def test_activations_are_quantized_whatever_the_inputs_are(name):
    model, inputs, labels, metric, calibration = CASES[name]
    evaluator = Evaluator(model, inputs, labels, calibration, metric)
    setting = Setting(Scheme(8), Scheme(2), calibration=32)
    small = quantize_model(model, Scheme(8), Scheme(2), rows(calibration, 0, 32))
    _, scores, _ = judge(small, inputs, labels, metric)
    found = evaluator(setting)
    assert found.value == evaluator.metric.summary(scores)[0]
    assert found != evaluator(Setting(Scheme(8)))
    with pytest.raises(ValueError, match="asks for 49 calibration rows and there are 48"):
        evaluator(Setting(None, Scheme(8), calibration=49))


def test_what_is_never_quantized_is_told_with_its_bytes():
    rest = {
        name: Evaluator(*case[:3], metric=case.metric).exact.rest
        for name, case in CASES.items()
    }
    assert rest.pop("tokens, recurrent") == {"lstm (LSTM)": 4 * (2 * 4 * 8 * 8 + 2 * 4 * 8)}
    assert set(map(bool, rest.values())) == {False}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_sizes_are_those_of_what_the_model_really_is(dtype):
    model, inputs, labels, *_ = cases()["a table, classes"]
    evaluator = Evaluator(model.to(dtype), inputs.to(dtype), labels)
    assert evaluator.exact.dtype == str(dtype).removeprefix("torch.")
    assert evaluator.exact.float_bytes == dtype.itemsize * (5 * 16 + 16 + 16 * 3 + 3)
    found = evaluator(Setting(Scheme(8)))
    assert found.ratio == evaluator.exact.float_bytes / packed_bytes(model, Scheme(8))
    mixed = nn.Sequential(nn.Linear(5, 4, dtype=dtype), Cast(), nn.Linear(4, 3))
    names = Evaluator(mixed, inputs.to(dtype), labels).exact.dtype.split(" and ")
    assert names == sorted(["float32", evaluator.exact.dtype])


class Cast(nn.Module):
    def forward(self, x):
        return x.float()


def test_one_logit_is_not_judged_by_the_largest():
    model, inputs, labels, *_ = CASES["one logit"]
    found = Evaluator(model, inputs, labels).exact
    with torch.no_grad():
        right = int(((model(inputs)[:, 0] > 0) == labels).sum())
    assert found.value == right / 48 and 0 < right < 48


def test_rows_that_change_their_class_are_told_where_rows_are_classified():
    for name, case in CASES.items():
        evaluator = Evaluator(case.model, case.inputs, case.labels, metric=case.metric)
        changed = evaluator(Setting(Scheme(2))).changed
        classified = case.metric is None and name != "a table, regression"
        assert (changed is None) != classified, name
        assert bool(changed) == classified, name
    model, inputs, labels, *_ = CASES["one logit"]
    with torch.no_grad():
        small = quantize_model(model, Scheme(2))
        before, after = model(inputs)[:, 0] > 0, small(inputs)[:, 0] > 0
    assert Evaluator(model, inputs, labels)(Setting(Scheme(2))).changed == tuple(
        (i, int(before[i]), int(after[i])) for i in range(48) if before[i] != after[i]
    )


# What cannot be measured


class Recomputing(nn.Module):
    """Makes a layer's weight anew at each run."""

    def __init__(self):
        super().__init__()
        self.layer, self.gain = nn.Linear(5, 3), nn.Parameter(torch.randn(3, 5))

    def forward(self, x):
        self.layer.weight.data = 2 * self.gain
        return self.layer(x)


def test_a_forward_that_makes_a_weight_anew_is_refused():
    rows, labels = torch.randn(40, 5), torch.arange(40) % 3
    words = "layer.weight is written anew each time the model runs, so its rounded values"
    same = "a copy of the model answers the same whatever its weights are: it does not run"
    for measure, says in (
        (lambda model: layer_sensitivity(model, Scheme(2), rows, labels), words),
        (lambda model: Evaluator(model, rows, labels), same),
        (lambda model: quantize_model(model, Scheme(2), Scheme(), rows), same),
    ):
        model = Recomputing()
        model(rows)
        with pytest.raises(ValueError, match=says):
            measure(model)


class Holding(nn.Module):
    """Keeps functions that go on using the model that they were made for."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 3)
        self.steps = [lambda x: self.layer(x)]

    def forward(self, x):
        return self.steps[0](x)


def test_a_copy_that_goes_on_using_the_original_is_refused():
    rows, labels = torch.randn(40, 5), torch.arange(40) % 3
    with pytest.raises(ValueError, match="holds functions that go on using the original"):
        Evaluator(Holding(), rows, labels)


def test_a_setting_takes_schemes_alone():
    with pytest.raises(TypeError, match="scheme is of type int; expected one such as"):
        Setting(activations=8)


def test_an_answer_of_nan_is_never_right():
    model, rows = nn.Linear(4, 3), torch.ones(8, 4)
    rows[5:] = torch.nan
    assert Evaluator(model, rows, model(rows).argmax(1)).exact.value == 5 / 8
    one = nn.Linear(4, 1)
    labels = (one(rows).flatten() > 0).long()
    assert Evaluator(one, rows, labels, metric="binary").exact.value == 5 / 8


def test_shares_are_not_taken_for_logits():
    model, rows = nn.Sequential(nn.Linear(4, 1), nn.Sigmoid()), torch.randn(50, 4)
    labels = (model(rows).flatten() > 0.5).long()
    with pytest.raises(ValueError, match=r"lie between 0 and 1 like shares.*Metric\("):
        Evaluator(model, rows, labels, metric="binary")


class Random(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 3)

    def forward(self, x):
        return self.layer(x) + torch.rand(len(x), 3)


def test_answers_that_are_not_those_of_the_model_are_refused(monkeypatch):
    rows, labels = torch.randn(40, 5), torch.arange(40) % 3
    words = "folding its batch norms changed the model's answers, or it answers otherwise"
    with pytest.raises(ValueError, match=words):
        Evaluator(Random(), rows, labels)
    case = CASES["images, attributes"]
    Evaluator(*case[:3])

    def wrong(model):
        folded = fold_batch_norm(model)
        with torch.no_grad():
            folded.conv.weight[0] *= 1.1
        return folded

    monkeypatch.setattr(evaluation, "fold_batch_norm", wrong)
    with pytest.raises(ValueError, match=words):
        Evaluator(*case[:3])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_what_rounding_to_another_dtype_changes_is_not_refused(dtype):
    model, images, labels, *_ = cases()["images, attributes"]
    Evaluator(model.to(dtype), images.to(dtype), labels)


def test_values_that_are_no_numbers_are_refused_before_anything_is_compared():
    model, rows, labels, *_ = cases()["a table, regression"]
    with torch.no_grad():
        model[2].bias.fill_(math.nan)
    with pytest.raises(ValueError, match="the model's own R² is nan; expected a finite"):
        Evaluator(model, rows, labels)


def test_a_mask_of_minus_infinity_is_an_answer_like_others():
    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(5, 3)

        def forward(self, x):
            return self.layer(x).masked_fill(torch.tensor([False, False, True]), -math.inf)

    rows, labels = torch.randn(40, 5), torch.arange(40) % 2
    assert Evaluator(Masked(), rows, labels).exact.value <= 1


def test_a_computed_weight_is_refused_with_the_cure():
    model, rows, labels, *_ = cases()["a table, classes"]
    nn.utils.parametrizations.weight_norm(model[0])
    with pytest.raises(ValueError, match="0 computes its weight at each run"):
        Evaluator(model, rows, labels)
