"""The game: what fits, which entry is best, and one judgement on the rows left over."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from helpers.classroom.data.digits import CHOOSE_ON
from helpers.classroom.explorers.budget_game import (
    DIGITS_BUDGET,
    BudgetGame,
    Halves,
    budget_of,
)
from helpers.classroom.explorers.trade_off import ENTER, JUDGE, PLAY, RESET, SHOW, trade_off
from helpers.quantization import (
    METRICS,
    Evaluator,
    Scheme,
    Setting,
    packed_bytes,
    quantize_model,
    wilson_interval,
)
from helpers.quantization.inputs import row_count, rows
from helpers.training import accuracy
from tests.classroom.charts.test_charts import assert_texts_apart
from tests.quantization.own_models import cases

CASES = cases()
DIGITS = PLAY.format(10_000)
PERCENTILE = Setting(Scheme(3, observer="percentile"))


@pytest.fixture
def panel(reused):
    reused.press(RESET)
    state(reused).judged = 0
    state(reused)._shown.clear()
    return reused


@pytest.fixture(scope="module")
def halves(model, digits):
    test = digits.test_images, digits.test_labels
    metric = METRICS["accuracy"]
    return Halves(model, *test, digits.train_images, metric, CHOOSE_ON)


def move(panel, **values):
    panel.values = {**panel.values, **values}
    return panel.chart


def state(panel):
    return panel._draw.__self__


def test_the_halves_are_those_of_the_course(halves, model, digits):
    small = quantize_model(model, PERCENTILE.weights)
    for half, pair in ((halves.first, digits.choosing), (halves.last, digits.judging)):
        found = half(PERCENTILE)
        assert found.count == len(pair[1])
        assert found.value == pytest.approx(accuracy(small, *pair))
    assert (halves.choose_on, halves.others, halves.count) == (360, 359, 719)
    assert halves.sentence == (
        "All 719 images count here; what chooses looks at the first 360 of them, and what "
        "was chosen is judged once, on the last 359."
    )


def test_only_what_fits_is_entered_and_each_once(halves):
    game = BudgetGame(halves, 10_000)
    fits, large = halves.first(Setting(Scheme(3))), halves.first(Setting(Scheme(4)))
    assert game.best is None and game.sentence(fits).startswith("Fit 10,000 bytes, on the")
    game.enter(large)
    assert game.entries == []
    assert game.sentence(large) == "Not entered: 12,392 bytes, 10,000 fit."
    game.enter(fits)
    assert game.sentence(fits) == "Entered as 1; the best so far is 1."
    assert game.sentence(large) == "Fit 10,000 bytes; the best so far is 1."
    game.enter(fits)
    assert game.entries == [fits] and game.sentence(fits) == "This is entry 1 already."
    exactly = BudgetGame(halves, fits.bytes)
    exactly.enter(fits)
    assert exactly.entries == [fits]
    under = BudgetGame(halves, fits.bytes - 1)
    under.enter(fits)
    assert under.entries == []


def test_the_best_entry_is_the_best_on_the_first_half_then_the_smallest(halves):
    game, found = BudgetGame(halves, 10_000), halves.first(Setting(Scheme(3)))
    some = {
        "first": replace(found, value=0.5),
        "better": replace(found, value=0.7),
        "smaller": replace(found, value=0.7, bytes=9_000),
        "the same": replace(found, value=0.7, bytes=9_000, count=7),
        "no number": replace(found, value=float("nan")),
    }
    for each in some.values():
        game.enter(each)
    assert len(game.entries) == 5 and game.best is some["smaller"]
    lower = replace(found.metric, higher_is_better=False)
    other = BudgetGame(halves, 10_000)
    for each in some.values():
        other.enter(replace(each, metric=lower))
    assert other.best.value == 0.5


def test_the_winner_is_judged_once(halves, model, digits, monkeypatch):
    game = BudgetGame(halves, 10_000)
    plain, better = (halves.first(some) for some in (Setting(Scheme(3)), PERCENTILE))
    game.judge(plain)
    assert game.judged is None
    assert game.sentence(plain) == "Nothing to judge: enter a setting first."
    for each in (plain, better):
        game.enter(each)
    game.judge(plain)
    right = accuracy(quantize_model(model, PERCENTILE.weights), *digits.judging)
    low, high = wilson_interval(round(359 * right), 359)
    said = f"Entry 2, judged on the last 359: {right:.1%} ({low:.1%} to {high:.1%})."
    for shown in (plain, better):
        assert game.sentence(shown) == said
    before = game.judged
    monkeypatch.setitem(vars(halves), "last", lambda setting: pytest.fail("judged again"))
    game.enter(halves.first(Setting(Scheme(2))))
    game.judge(plain)
    assert game.judged is before and len(game.entries) == 2


def test_what_makes_a_judgement_less_honest_is_said(halves):
    assert len(BudgetGame(halves, 1).notes) == 1
    _, seen, games = BudgetGame(halves, 1, seen=3, games=2).notes
    assert seen.startswith("You have seen 3 settings on all 719 images before")
    assert games.startswith("The last 359 have judged you 2 times before")
    _, one = BudgetGame(halves, 1, games=1).notes
    assert "judged you once before" in one
    assert "seen one setting on" in BudgetGame(halves, 1, seen=1).notes[1]


@pytest.mark.parametrize("factor", [1, 2, 7, 40, 300])
def test_a_budget_is_what_3_bits_take_and_has_two_digits(factor):
    model = nn.Linear(3, factor)
    size, budget = packed_bytes(model, Scheme(3)), budget_of(model)
    assert size <= budget <= 1.1 * size + 1
    assert int(str(budget).rstrip("0") or "0") < 100


def test_the_budget_of_the_reference_model_follows_the_same_rule(model):
    assert 0.95 * DIGITS_BUDGET < packed_bytes(model, Scheme(3)) < DIGITS_BUDGET


# In the panel


def test_in_the_game_nothing_of_the_last_half_is_shown_or_even_computed(panel, digits):
    panel.press(DIGITS)
    assert "You have seen" not in panel.chart.text
    vars(state(panel).halves).pop("last", None)
    assert panel.buttons == [ENTER, JUDGE, RESET] and panel.disabled == [JUDGE]
    small = quantize_model(state(panel).evaluator.folded, Scheme(3))
    right = accuracy(small, *digits.choosing)
    for _ in ("before", "after the entry"):
        text = panel.chart.text
        assert f" {right:.1%} of 360 images are right" in text
        assert "of 719" not in text + panel.chart.svg + str(panel.chart.table)
        panel.press(ENTER)
    move(panel, observer="percentile")
    panel.press(ENTER)
    assert panel.disabled == []
    assert "last" not in vars(state(panel).halves)
    headings, one, two = panel.chart.table
    assert headings[3] == "right, first 360" and one[3] == f"{right:.1%}"
    assert (one[-1], two[-1]) == ("", "★ best")
    assert panel.chart.code.startswith(f"# {two[3]} of 360 right, 9,842 bytes\nbest = quan")


def test_a_game_from_the_first_press_to_start_again(panel, digits):
    panel.press(DIGITS)
    move(panel, observer="percentile")
    panel.press(ENTER)
    move(panel, own_bits=(2, *panel.values["own_bits"][1:]), weight_bits=4)
    assert "Not entered" not in panel.chart.text
    panel.press(ENTER)
    assert "Not entered: " in panel.chart.text and len(panel.chart.table) == 2
    assert_texts_apart(panel.chart)
    panel.press(JUDGE)
    small = quantize_model(state(panel).evaluator.folded, PERCENTILE.weights)
    right = accuracy(small, *digits.judging)
    assert f"Entry 1, judged on the last 359: {right:.1%} (" in panel.chart.svg
    assert f"★ best; on the last 359: {right:.1%} (" in panel.chart.table[1][-1]
    assert panel.chart.brief.startswith(f"Entry 1, judged on the last 359: {right:.1%}")
    assert panel.disabled == [ENTER, JUDGE]
    before = panel.chart
    for press in (JUDGE, ENTER, JUDGE):  # a press that comes late changes nothing
        panel.press(press)
    assert panel.chart == before and state(panel).judged == 1
    assert_texts_apart(before)
    panel.press(RESET)
    assert panel.chart.text.startswith("Predict first.") and panel.chart.table == ()
    assert panel.disabled == [] and panel.buttons[0] == SHOW
    for press in (ENTER, JUDGE):  # these are buttons of a game
        panel.press(press)
    assert state(panel).judged == 1
    panel.press(DIGITS)
    assert "The last 359 have judged you once before" in panel.chart.text


def test_what_was_seen_on_all_images_is_held_against_the_game(panel):
    panel.press(SHOW)
    move(panel, weight_bits=2)
    panel.press(DIGITS)
    assert "You have seen 2 settings on all 719 images before" in panel.chart.text
    for _ in range(2):  # to start again makes nobody forget
        panel.press(RESET)
        panel.press(DIGITS)
        assert "You have seen 2 settings on all 719" in panel.chart.text


@pytest.mark.parametrize("name", CASES)
def test_a_learners_own_model_is_judged_on_its_last_rows(name):
    case = CASES[name]
    given = case.model, case.inputs, case.labels, case.calibration, case.metric
    panel = trade_off(*given)
    assert "what chooses looks at the first 24 of them" in panel.chart.text
    budget = budget_of(case.model)
    panel.press(PLAY.format(budget))
    panel.press(ENTER)
    setting = Setting(Scheme(3))
    metric = state(panel).evaluator.metric
    values = []
    for start, stop in ((0, 24), (24, 48)):
        some = rows(case.inputs, start, stop), rows(case.labels, start, stop)
        values.append(Evaluator(case.model, *some, metric=metric)(setting))
    assert panel.chart.table[1][3] == metric.text(values[0].value)
    assert "judged on" not in str(panel.chart.table)
    for bits in (2, 8):
        chart = move(panel, weight_bits=bits)
        assert_texts_apart(chart)
        panel.press(ENTER)
    move(panel, weight_bits=3)
    panel.press(JUDGE)
    best = state(panel).trail.game.best
    assert best.bytes <= budget
    if best.setting == setting:
        assert metric.text(values[1].value) in panel.chart.table[1][-1]
    assert_texts_apart(panel.chart)
    assert row_count(case.inputs) == 48


def test_one_row_is_too_few_for_a_game():
    torch.manual_seed(0)
    panel = trade_off(nn.Linear(3, 2), torch.ones(1, 3), torch.tensor([1]))
    assert panel.buttons == [SHOW, "Pin this setting", RESET]
