"""The explorers with models of one's own: any inputs, any metric, any dtype."""

import math
import re

import pytest
import torch
from torch import nn

from helpers.classroom.explorers.own_inputs import are_images, unit_of
from helpers.classroom.explorers.sensitivity import sensitivity
from helpers.classroom.explorers.trade_off import PIN, RESET, SHOW, trade_off
from helpers.quantization import (
    METRICS,
    Evaluator,
    Metric,
    Scheme,
    Setting,
    layer_sensitivity,
    quantize_model,
)
from helpers.quantization.inputs import rows
from helpers.quantization.scoring import judge
from tests.classroom.charts.test_charts import assert_texts_apart
from tests.quantization.own_models import cases

CASES = cases()
UNITS = {"images, attributes": "images", "tokens, recurrent": "tokens"}
UNITS |= {"tokens, attention": "tokens"}
FIRST = {"weight_bits": 2, "granularity": "channel", "symmetric": False}
each_name = pytest.mark.parametrize("name", CASES)


@pytest.fixture(scope="module")
def panels():
    """One panel for each case; each test starts it again."""
    return {name: trade_off(*_given(case)) for name, case in CASES.items()}


def _given(case):
    return case.model, case.inputs, case.labels, case.calibration, case.metric


def move(panel, **values):
    panel.values = {**panel.values, **values}
    return panel.chart


def ends(control):
    """Each slider alone at its ends, all of them in float, and each on another stop."""
    stops, start = control["stops"], control["value"]
    alone = [
        (*start[:k], stop, *start[k + 1 :])
        for k in range(len(start))
        for stop in (stops[1], stops[-1])
    ]
    mixed = tuple(stops[k % len(stops)] for k in range(len(start)))
    return [*alone, (stops[-1],) * len(start), mixed, tuple(start)]


def settings(panel):
    """Move each control from end to end, the others as they stand."""
    for control in panel.controls:
        if control["kind"] == "ticks":
            options = [(), tuple(control["options"])]
        elif control["kind"] == "sliders":
            options = ends(control)
        elif control["kind"] == "range":
            options = [control["low"], control["high"], control["value"]]
        else:
            options = control["options"]
        for option in options:
            yield {control["name"]: option}


@each_name
def test_each_control_can_be_moved_from_end_to_end(panels, name):
    panel = panels[name]
    for asked in (False, True):
        panel.press(RESET)
        if asked:
            panel.press(SHOW)
        for values in settings(panel):
            chart = move(panel, **values)
            assert panel.frame["text"] == chart.text and chart.svg.startswith("<svg ")
            assert not re.search(r"\bnan\b|\binf\b|None", chart.svg + chart.text), values
            assert_texts_apart(chart)


@each_name
def test_the_words_name_the_metric_and_what_is_asked(panels, name):
    panel, case = panels[name], CASES[name]
    panel.press(RESET)
    evaluator = Evaluator(*case[:3], metric=case.metric)
    exact, unit = evaluator.exact, UNITS.get(name, "rows")
    text, metric = panel.chart.text, exact.metric
    right = metric.name == "accuracy"
    said = f"{metric.text(exact.value)} of {exact.count} {unit} are right. How many will"
    if not right:
        said = f"the {metric.name} of {exact.count} {unit} is {metric.text(exact.value)}."
    assert text.startswith(f"Predict first. In float32, {said}")
    found = evaluator(Setting(Scheme(2, symmetric=False, granularity="channel")))
    panel.press(SHOW)
    chart = move(panel, **FIRST)
    low, high = map(metric.text, found.interval)
    assert f"{metric.text(found.value)} " in chart.text
    assert f"(95% interval {low} to {high})" in chart.text
    assert f">{metric.text(found.value)}</text>" in chart.svg
    assert ("changed their class" in chart.text) == (found.changed is not None)
    if found.changed is not None:
        assert f"; {len(found.changed)} changed their class." in chart.text
    images = len(re.findall(r">\d → \d<", chart.svg))
    assert images == (min(len(found.changed), 10) if unit == "images" else 0)
    assert ("in layers that stay in float: lstm (LSTM)." in chart.text) == bool(found.rest)
    assert chart.brief.endswith(f" {found.bytes:,} bytes.")
    if not right:
        assert chart.brief.startswith(f"{metric.name} {metric.text(found.value)}, ")


@each_name
def test_the_code_makes_the_model_that_was_measured(panels, name):
    panel, case = panels[name], CASES[name]
    panel.press(RESET)
    panel.press(SHOW)
    values = FIRST | {
        "weight_bits": 4,
        "keep_float": tuple(panel.controls[-1]["options"][:1]),
    }
    if "activation_bits" in panel.values:
        values |= {"activation_bits": 4, "calibration": 16}
    move(panel, **values)
    panel.press(PIN)
    names = {"quantize_model": quantize_model, "Scheme": Scheme, "rows": rows}
    names |= {"model": case.model, "calibration": case.calibration}
    exec(panel.chart.code, names)
    metric, scores, _ = judge(names["pinned_1"], case.inputs, case.labels, case.metric)
    headings, pinned = panel.chart.table
    assert headings[3] == ("right" if metric.name == "accuracy" else metric.name)
    assert pinned[3] == metric.text(metric.summary(scores)[0])
    assert pinned[3] in panel.chart.code.partition("bytes")[0]


def test_the_front_follows_the_direction_of_the_metric(panels):
    panel = panels["tokens, recurrent"]
    panel.press(RESET)
    panel.press(SHOW)
    for bits in (2, 4, 8, 32):
        move(panel, weight_bits=bits)
    state = panel._draw.__self__
    front = state.trail.front
    assert len(front) > 1
    assert [value for _, value in front] == sorted((v for _, v in front), reverse=True)
    worse = [some.point for some in state.trail.seen if some.point not in front]
    assert all(any(s <= w[0] and v <= w[1] for s, v in front) for w in worse)
    # What is better stands higher up, whatever its direction.
    assert state.trail.axis.up(front[-1][1]) > state.trail.axis.up(front[0][1])


def test_where_activations_cannot_be_rounded_it_is_said_and_not_offered():
    attention = CASES["tokens, attention"]
    model = nn.Sequential(nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 3))
    often = nn.Sequential(model[0], model[1], model[0], model[2])
    table = CASES["a table, classes"]
    for given, says in (
        (_given(attention), "inside PyTorch's attention (layers.layers.0.self_attn) they"),
        (table[:3], "there are no calibration inputs."),
        ((often, *table[1:3], table.calibration), "0 runs more than once, and one range"),
    ):
        panel = trade_off(*given)
        names = {control["name"] for control in panel.controls}
        assert not names & {"activation_bits", "calibration"}
        assert f"Activations stay in float: {says}" in panel.chart.text
        assert ">Activations stay in float: " in panel.chart.svg
        panel.press(SHOW)
        assert "Activations stay in float: " in move(panel, **FIRST).text
        assert "activations: float32." in panel.chart.text
    assert "Activations stay" not in trade_off(*_given(table)).chart.text


def test_calibration_that_does_not_suit_is_refused_at_once():
    model, inputs, labels, _, calibration = CASES["two inputs"]
    with pytest.raises(ValueError, match="calibration has 31 rows; expected 32 or more"):
        trade_off(model, inputs, labels, rows(calibration, 0, 31))
    for wrong in (calibration[0], calibration[::-1]):
        with pytest.raises(ValueError, match="the model does not run on calibration "):
            trade_off(model, inputs, labels, wrong)


@pytest.mark.parametrize(
    "dtype, bits", [(torch.bfloat16, 16), (torch.float16, 16), (torch.float64, 64)]
)
def test_a_model_of_another_dtype_is_called_by_it(dtype, bits):
    model, inputs, labels, *_ = cases()["a table, classes"]
    inputs = inputs.to(dtype)
    panel, name = trade_off(model.to(dtype), inputs, labels, inputs), str(dtype)[6:]
    offered = next(c["options"] for c in panel.controls if c["name"] == "weight_bits")
    assert offered[-1] == bits and offered == sorted(offered)
    assert panel.chart.text.startswith(f"Predict first. In {name}, ")
    assert f"times smaller than {name}." in panel.chart.text
    panel.press(SHOW)
    for values in settings(panel):
        assert "float32" not in move(panel, **values).text
        assert_texts_apart(panel.chart)
    assert f"as large as {name}. Weights: {name}; " in move(panel, weight_bits=bits).text


@each_name
def test_the_bars_are_the_table_of_layer_sensitivity(name):
    case = CASES[name]
    table = layer_sensitivity(case.model, Scheme(3), *case[1:3], case.metric)
    panel = sensitivity(case.model, None, *case[1:3], case.metric)
    exact = Evaluator(*case[:3], metric=case.metric).exact
    metric, names = exact.metric, tuple(table["layer"])
    assert panel.controls[0]["options"] == list(names)
    sign = 1 if metric.higher_is_better else -1
    for layer, value in zip(names, table[metric.name], strict=True):
        row = rf">…?{re.escape(layer[-27:])}</text>\n<rect [^>]*>\n<text [^>]*>"
        amount, unit = re.search(row + r"([\d.]+)( %)?<", panel.chart.svg).groups()
        bar = 100 * value if metric.percent else max(sign * (exact.value - value), 0)
        assert float(amount) == pytest.approx(bar, abs=0.06 if metric.percent else 0.01)
        assert bool(unit) == metric.percent
    for count in range(len(names) + 1):
        chart = move(panel, keep_float=names[:count])
        assert_texts_apart(chart)
        value = metric.text(
            Evaluator(*case[:3], metric=case.metric)(
                Setting(Scheme(3), keep_float=names[:count])
            ).value
        )
        assert value in chart.text and chart.brief.startswith(
            f"{value} right, " if metric.name == "accuracy" else f"{metric.name} {value}, "
        )


WIDE = Metric(
    "weighted mean of absolute errors", lambda one, other: 1e6 * one[:, 0] * other, False
)
SMALL = Metric("loss", lambda one, other: 1e-7 * (1 + (one[:, 0] - other).square()), False)
NEAR_0 = Metric("tiny", lambda one, other: 1e-30 * (one[:, 0] - other).abs(), False)
BELOW = Metric("log-likelihood", lambda one, other: -(one[:, 0] - other).square())
SHARE = Metric("error rate", lambda one, other: one[:, 0] < other, False, percent=True)


@pytest.mark.parametrize(
    "metric", [WIDE, SMALL, NEAR_0, BELOW, SHARE], ids=lambda m: m.name
)
def test_the_guess_and_the_axis_suit_any_metric(metric):
    model, inputs, labels, *_ = CASES["a table, regression"]
    panel = trade_off(model, inputs, labels, inputs, metric)
    guess = panel.controls[0]
    assert len(range(guess["low"], guess["high"] + 1, guess["step"])) >= 90
    for _ in ("before the guess", "after it"):
        for values in settings(panel):
            assert_texts_apart(move(panel, **values))
        panel.press(SHOW)
    assert "is better" in panel.chart.svg
    bars = sensitivity(model, None, inputs, labels, metric)
    assert_texts_apart(bars.chart)


@pytest.mark.parametrize(
    "lost, lower, said",
    [
        (math.inf, True, "inf"),
        (-math.inf, False, "-inf"),
        (math.nan, True, "nan"),
        (math.nan, False, "nan"),
    ],
)
def test_values_without_end_and_no_numbers_are_drawn_at_the_end(lost, lower, said):
    model, inputs, labels, *_ = CASES["a table, regression"]

    def scores(outputs, labels):
        errors = (outputs[:, 0] - labels).abs() * (1 if lower else -1)
        return errors + (lost if len(outputs.unique()) == 1 else 0)

    metric = Metric("gone", scores, not lower)
    steps = nn.Sequential(model[0], nn.ReLU(), Steps(model[0]), model[2])
    panel = trade_off(steps, inputs, labels, inputs, metric)
    panel.press(SHOW)
    chart = move(panel, weight_bits=2, keep_float=())
    assert f"The gone of 48 rows is {said} (95% interval -inf to inf)" in chart.text
    drawn = re.sub(r'aria-label="[^"]*"|>[^<>]*</text>', "", chart.svg)
    assert not re.search(r"\bnan\b|\binf\b", drawn)
    [ring] = re.findall(r'cy="([\d.]+)" r="8"', chart.svg)
    assert float(ring) == 238  # the lower end
    assert_texts_apart(chart)
    assert_texts_apart(sensitivity(steps, Scheme(2), inputs, labels, metric).chart)


class Steps(nn.Module):
    """Is all zero where a layer has few levels left."""

    def __init__(self, layer):
        super().__init__()
        self.layers = [layer]  # no layer of its own

    def forward(self, x):
        return x if len(self.layers[0].weight.unique()) > 3 else 0 * x


def test_what_counts_as_images_and_as_rows():
    assert are_images(torch.rand(2, 1, 8, 8)) and are_images(torch.rand(2, 3, 8, 8))
    assert not are_images(torch.rand(2, 4, 8, 8)) and not are_images(torch.rand(2, 1, 8))
    assert not are_images(torch.ones(2, 1, 8, 8, dtype=torch.int64))
    assert not are_images((torch.rand(2, 1, 8, 8),))
    assert unit_of(torch.rand(2, 3, 8, 8), 2) == "images"
    assert unit_of({"x": torch.ones(2, 3)}, 2) == "rows"
    assert unit_of(torch.ones(2, 3), 6) == "tokens"


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 40, 40), (3, 20, 9), (1, 6, 12)])
def test_images_in_colours_and_of_any_size_are_shown_small(shape):
    model = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 4))
    images = torch.randn(60, *shape)
    with torch.no_grad():
        labels = model(images).argmax(1)
    panel = trade_off(model, images, labels, images)
    panel.press(SHOW)
    svg = move(panel, **FIRST).svg
    assert re.findall(r">\d → \d<", svg)
    assert len(svg) < 150_000
    assert_texts_apart(panel.chart)


def test_a_model_that_is_one_layer_can_be_explored():
    inputs = torch.randn(40, 5)
    model = nn.Linear(5, 3)
    with torch.no_grad():
        labels = model(inputs).argmax(1)
    panel = trade_off(model, inputs, labels, inputs)
    panel.press(SHOW)
    assert ">the model</text>" in panel.chart.svg
    assert_texts_apart(move(panel, keep_float=("the model",)))
    assert METRICS["accuracy"].text(1.0) in panel.chart.text
    assert_texts_apart(sensitivity(model, None, inputs, labels).chart)
