"""Metrics: each against an independent computation; which one is meant; what is refused."""

import math
import re

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score
from torch import nn
from torch.nn.functional import cross_entropy

from helpers.quantization import (
    METRICS,
    Evaluator,
    Metric,
    Scheme,
    Setting,
    layer_sensitivity,
    wilson_interval,
)
from helpers.quantization.scoring import judge
from tests.quantization.own_models import Answer

SAME = nn.Identity()


def floats(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def whole(most, *shape, seed=0):
    return torch.randint(0, most, shape, generator=torch.Generator().manual_seed(seed))


def value(outputs, labels, metric=None):
    chosen, scores, _ = judge(SAME, outputs, labels, metric)
    return chosen.summary(scores)


# Each against another computation


def test_accuracy_of_rows_and_of_tokens_without_those_that_do_not_count():
    outputs, labels = floats(400, 5), whole(5, 400)
    right = sum(
        int(max(range(5), key=row.__getitem__) == label)
        for row, label in zip(outputs.tolist(), labels.tolist(), strict=True)
    )
    assert value(outputs, labels) == (right / 400, wilson_interval(right, 400))
    tokens, named = outputs.reshape(40, 10, 5), labels.reshape(40, 10).clone()
    assert value(tokens, named, "accuracy") == (right / 400, wilson_interval(right, 400))
    named[:, 3:] = -100
    hits = (tokens.argmax(2) == named)[:, :3]
    assert value(tokens, named, "accuracy") == (
        hits.sum().item() / 120,
        wilson_interval(int(hits.sum()), 120),
    )


def test_small_whole_numbers_are_classes_as_large_ones_are():
    outputs, labels = floats(400, 200), whole(200, 400)
    labels[:50] = 156  # -100 in eight bits
    outputs[:50, 156] = 9
    for metric in ("accuracy", "perplexity"):
        found = value(outputs, labels, metric)
        assert value(outputs, labels.to(torch.uint8), metric) == found
        assert len(judge(SAME, outputs, labels.to(torch.uint8), metric)[1]) == 400


def test_perplexity_is_e_to_the_mean_loss_and_its_interval_to_its_ends():
    outputs, labels = 3 * floats(300, 7, 11), whole(11, 300, 7)
    labels[5:9, 2:] = -100
    found, (low, high) = value(outputs, labels, "perplexity")
    losses = cross_entropy(outputs.transpose(1, 2), labels, reduction="none").double()
    counted = losses[labels != -100].numpy()
    assert found == pytest.approx(math.exp(counted.mean()), rel=1e-6)
    reach = 1.959964 * counted.std(ddof=1) / math.sqrt(len(counted))
    assert low == pytest.approx(math.exp(counted.mean() - reach), rel=1e-6)
    assert high == pytest.approx(math.exp(counted.mean() + reach), rel=1e-6)


def test_a_perplexity_too_large_for_a_number_is_infinite():
    outputs = torch.tensor([[0.0, 5000.0], [0.0, 5000.0]])
    assert value(outputs, torch.tensor([0, 0]), "perplexity")[0] == math.inf


@pytest.mark.parametrize("shape", [(500,), (500, 1), (500, 3), (500, 2, 2)])
def test_r_squared_is_that_of_scikit_learn(shape):
    labels = floats(*shape)
    outputs = labels + 0.5 * floats(*shape, seed=1)
    flat = [some.reshape(500, -1).numpy() for some in (labels, outputs)]
    assert value(outputs, labels)[0] == pytest.approx(r2_score(*flat), abs=1e-6)
    if shape == (500, 1):  # one number a row, with an axis or without
        assert value(outputs, labels[:, 0]) == value(outputs, labels)


@pytest.mark.parametrize("noise", [0.3, 1.5])
def test_the_interval_of_r_squared_is_about_that_of_a_bootstrap(noise):
    labels = floats(500)
    outputs = labels + noise * floats(500, seed=1)
    found, (low, high) = value(outputs, labels)
    draws = np.random.default_rng(0).integers(0, 500, (4000, 500))
    pairs = labels.numpy()[draws], outputs.numpy()[draws]
    again = [r2_score(one, other) for one, other in zip(*pairs, strict=True)]
    assert (high - low) / 2 == pytest.approx(1.96 * np.std(again), rel=0.1)
    assert low < found < high <= 1


@pytest.mark.parametrize("shape", [(90,), (90, 1)])
def test_one_logit_is_compared_with_zero(shape):
    outputs, labels = floats(*shape), whole(2, 90)
    right = sum(
        (one > 0) == label for one, label in zip(outputs.flatten(), labels, strict=True)
    )
    for given in (labels, labels[:, None], labels.bool()):
        assert value(outputs, given) == (right / 90, wilson_interval(int(right), 90))
    assert value(outputs, labels.float(), "binary")[0] == right / 90


def test_of_a_metric_of_ones_own_the_mean_of_the_rows_has_an_interval():
    error = Metric("error", lambda outputs, labels: (outputs - labels).abs(), False)
    outputs, labels = floats(60, 4), floats(60, 4, seed=1)
    rows = (outputs - labels).abs().double().mean(1).numpy()
    found, (low, high) = value(outputs, labels, error)
    assert found == pytest.approx(rows.mean(), rel=1e-6)
    reach = 1.959964 * rows.std(ddof=1) / math.sqrt(60)
    assert (low, high) == pytest.approx((found - reach, found + reach), rel=1e-6)
    close = Metric("close", lambda outputs, labels: (outputs - labels)[:, 0].abs() < 1)
    hits = int(((outputs - labels)[:, 0].abs() < 1).sum())
    assert value(outputs, labels, close)[1] == wilson_interval(hits, 60)
    assert value(outputs[:1], labels[:1], error)[1] == (-math.inf, math.inf)
    assert error.text(0.12345678) == "0.1235" and METRICS["accuracy"].text(0.5) == "50.0%"


# What a model may return


class Output(dict):
    """As in transformers: a mapping with attributes."""

    __getattr__ = dict.__getitem__


class Slots:
    def __init__(self, logits):
        self.logits = logits


@pytest.mark.parametrize(
    "wrap",
    [
        lambda x: (x, "state"),
        lambda x: [x],
        lambda x: {"loss": x.sum(), "logits": x},
        lambda x: Output(loss=x.sum(), logits=x),
        Slots,
    ],
)
def test_the_logits_are_found_in_what_a_model_returns(wrap):
    outputs, labels = floats(30, 5), whole(5, 30)
    _, scores, classes = judge(Answer(wrap), outputs, labels)
    assert torch.equal(scores, outputs.argmax(1) == labels)
    assert torch.equal(classes, outputs.argmax(1))


@pytest.mark.parametrize("wrap", [lambda x: {"a": x}, lambda x: "no", lambda x: ()])
def test_other_answers_are_refused_and_a_metric_may_take_them_apart(wrap):
    model, outputs, labels = Answer(wrap), floats(30, 5), whole(5, 30)
    for metric in (None, "accuracy", "perplexity"):
        with pytest.raises(TypeError) as caught:
            judge(model, outputs, labels, metric)
        assert str(caught.value) == (
            f"the model returns an object of type {type(wrap(outputs)).__name__}, in which "
            "no tensor comes first or is called 'logits'; expected metric=Metric(name, "
            "scores), whose scores take it apart"
        )
    own = Metric("own", lambda outputs, labels: outputs["a"].argmax(1) == labels)
    if wrap(outputs) and isinstance(wrap(outputs), dict):
        assert torch.equal(
            judge(model, outputs, labels, own)[1], outputs.argmax(1) == labels
        )


# Which one is meant

LIST = "expected metric= one of 'accuracy', 'binary', 'perplexity', 'r_squared', or a "


@pytest.mark.parametrize(
    "outputs, labels, words",
    [
        (floats(9, 4, 5), whole(5, 9, 4), "(9, 4, 5) and labels of shape (9, 4), int64"),
        (
            floats(9, 5),
            (whole(5, 9) == 1).float(),
            "(9, 5) and labels of shape (9,), float",
        ),
        (torch.rand(9, 1), whole(2, 9), "(9, 1) and labels of shape (9,), int64"),
        (floats(9, 1), whole(50, 9), "(9, 1) and labels of shape (9,), int64"),
    ],
    ids=["tokens", "floats of 0 and 1", "shares", "ages"],
)
def test_where_it_is_not_certain_the_names_are_told(outputs, labels, words):
    with pytest.raises(
        ValueError, match=re.escape(f"for outputs of shape {words}")
    ) as told:
        judge(SAME, outputs, labels)
    assert f"it is not certain what is right; {LIST}Metric of your own" in str(told.value)


@pytest.mark.parametrize(
    "metric, outputs, labels, words",
    [
        ("accuracy", floats(9, 1), whole(1, 9), "several logits; for one, metric='binary'"),
        ("perplexity", floats(9), whole(1, 9), "several logits; for one, metric='binary'"),
        ("accuracy", floats(9, 5), whole(5, 9, 1), "a whole number for each, that of its"),
        ("accuracy", floats(9, 5), floats(9), "a whole number for each, that of its class"),
        ("perplexity", floats(9, 5, 4), whole(5, 9, 4), "a whole number for each, that of"),
        ("binary", floats(9, 2), whole(2, 9), "one logit a row, and labels 0 and 1"),
        ("binary", floats(9), whole(3, 9), "one logit a row, and labels 0 and 1"),
        ("r_squared", floats(9, 2), floats(9), "the same shape"),
        ("r_squared", floats(9, 1), floats(9, 9), "the same shape"),
    ],
)
def test_a_metric_that_does_not_suit_is_refused(metric, outputs, labels, words):
    with pytest.raises(ValueError) as caught:
        judge(SAME, outputs, labels, metric)
    shapes = ", ".join(["N", *map(str, outputs.shape[1:])])
    assert str(caught.value).startswith(f"outputs have shape ({shapes}), labels (N")
    assert f"; expected {words}" in str(caught.value)


@pytest.mark.parametrize(
    "change, words",
    [(5, "labels run from 0 to 5; expected 0 to 4"), (-3, "from -3 to 4; expected 0 to 4")],
)
def test_a_label_that_is_no_class_is_refused(change, words):
    outputs, labels = floats(400, 5), whole(5, 400)
    labels[399] = change  # not in the first chunk
    labels[390] = 0
    for metric in ("accuracy", "perplexity"):
        with pytest.raises(ValueError, match=words):
            judge(SAME, outputs, labels, metric)


def test_nothing_to_count_is_refused():
    with pytest.raises(ValueError, match="no label counts: each is -100"):
        judge(SAME, floats(9, 5), torch.full((9,), -100))
    with pytest.raises(ValueError, match="all labels are the same; expected some spread"):
        value(floats(9, 1), torch.full((9,), 0.5))


@pytest.mark.parametrize("metric", [3, print, METRICS])
def test_what_is_no_metric_is_refused(metric):
    kind = type(metric).__name__
    with pytest.raises(
        TypeError, match=f"^metric is of type {kind}; expected a Metric or "
    ):
        judge(SAME, floats(9, 5), whole(5, 9), metric)
    with pytest.raises(ValueError, match="metric is 'f1'; expected one of 'accuracy', "):
        judge(SAME, floats(9, 5), whole(5, 9), "f1")


def test_direction_and_name_come_into_the_table_of_layers():
    model = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 1))
    rows = floats(80, 5)
    with torch.no_grad():
        labels = model(rows)[:, 0] + 0.1 * floats(80)
    error = Metric("error", lambda o, labels: (o[:, 0] - labels).abs(), False)
    for metric, name, worst_first in ((None, "R²", "R²"), (error, "error", "error")):
        table = layer_sensitivity(model, Scheme(2), rows, labels, metric)
        assert table.columns.tolist() == ["layer", "parameters", name, "sqnr_db"]
        ordered = table[worst_first].tolist()
        assert ordered == sorted(ordered, reverse=name == "error")
    alone = Evaluator(model, rows, labels, metric=error)
    for layer, other in (("0", "2"), ("2", "0")):
        found = alone(Setting(Scheme(2), keep_float=(other,)))
        assert table.set_index("layer")["error"][layer] == found.value


@pytest.mark.parametrize("metric", [None, "accuracy", METRICS["perplexity"]])
def test_labels_that_are_no_tensor_are_for_a_metric_of_ones_own(metric):
    labels = {"class": whole(5, 400)}
    with pytest.raises(TypeError, match="labels are of type dict; expected a tensor"):
        judge(SAME, floats(400, 5), labels, metric)
    own = Metric("own", lambda outputs, labels: outputs.argmax(1) == labels["class"])
    assert value(floats(400, 5), labels, own) == value(floats(400, 5), labels["class"])
