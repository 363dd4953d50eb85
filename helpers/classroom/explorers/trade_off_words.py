"""What the trade-off explorer says: words, table and code."""

import math
from collections.abc import Mapping

from helpers.classroom.explorers.budget_game import BudgetGame
from helpers.classroom.explorers.setting_words import (
    kept_words,
    ratio_words,
    setting_code,
    setting_words,
)
from helpers.classroom.explorers.trail import Trail
from helpers.classroom.explorers.value_axis import ACCURACY
from helpers.quantization import Evaluation, Setting

SHOW = "Show the answer"  # the button


def in_words(now: Evaluation, trail: Trail, guess: int) -> str:
    """Say what the picture shows."""
    weights, activations = _in_words(now.setting, trail)
    kept = kept_words(now.setting, tuple(trail.seen[0].sqnr))
    done = "; ".join(filter(None, (weights, activations, kept)))
    setting = f"{done[0].upper()}{done[1:]}."
    size = f"{now.bytes:,} bytes, {ratio_words(now)}."
    noise = ", ".join(
        f"{name or 'the model'} {'exact' if math.isinf(value) else f'{value:.1f}'}"
        for name, value in now.sqnr.items()
    )
    rest = " ".join([size, setting, f"SQNR of the weights in dB: {noise}.", *trail.notes])
    if not trail.known:
        exact = trail.seen[0]
        asks = "How many will be" if exact.metric.name == ACCURACY else "What will it be"
        return (
            f"Predict first. In {exact.dtype}, {result(exact, trail)}. {asks} with this "
            f"setting? Your guess is {trail.axis.guessed(guess)}; set it, then press "
            f"{SHOW}. {rest}"
        )
    low, high = map(now.metric.text, now.interval)
    found = f"{result(now, trail)} (95% interval {low} to {high})"
    if now.changed is not None:
        found += f"; {len(now.changed)} changed their class"
    return f"{_said(now, trail)}{found[0].upper()}{found[1:]}. {rest}"


def result(found: Evaluation, trail: Trail) -> str:
    """Say what was measured: how many are right, or the value of another metric."""
    value = found.metric.text(found.value)
    if found.metric.name == ACCURACY:
        return f"{value} of {found.count} {trail.unit} are right"
    return f"the {found.metric.name} of {found.count} {trail.unit} is {value}"


def _said(now: Evaluation, trail: Trail) -> str:
    if trail.game:
        return f"{trail.game.sentence(now)} "
    guess, asked = trail.guess
    if asked != now:
        return ""
    return f"You guessed {trail.axis.guessed(guess)}, it is {now.metric.text(now.value)}. "


def _in_words(setting: Setting, trail: Trail) -> tuple[str, str]:
    rows = "images" if trail.unit == "images" else "rows"  # a token alone is no input
    exact = trail.seen[0]
    return setting_words(setting, exact.dtype, rows, tuple(exact.sqnr))


def in_brief(now: Evaluation, trail: Trail) -> str:
    """Say what is read out at each move."""
    right = now.metric.name == ACCURACY
    if not trail.known:
        asks = f"how many of {now.count} {trail.unit}" if right else now.metric.name
        return f"Predict first: {asks}? {now.bytes:,} bytes."
    value = now.metric.text(now.value)
    found = f"{value} right" if right else f"{now.metric.name} {value}"
    changed = "" if now.changed is None else f" {len(now.changed)} changed,"
    found = f"{found},{changed} {now.bytes:,} bytes"
    if not trail.game:
        return f"{_said(now, trail)}{found}{_own_words(now.setting)}."
    # In one line, as before a press.
    news = trail.game.news(now)
    return f"{news} {found}." if news else f"{found}{_own_words(now.setting)}."


def _own_words(setting: Setting) -> str:
    """Say in a few words that layers have bits of their own."""
    if not isinstance(setting.weights, Mapping):
        return ""
    bits = sorted({scheme.bits for scheme in setting.weights.values()})
    if len(bits) > 2:
        bits = [f"{bits[0]} to {bits[-1]}"]
    return f", layers of {' and '.join(map(str, bits))} bits" if bits else ""


def table(trail: Trail) -> tuple[tuple[str, ...], ...]:
    """Return the pinned settings as rows of texts, the headings first; none if none.

    In a game it is the entries.
    """
    shown = trail.game.entries if trail.game else trail.pinned
    if not shown:
        return ()
    rows = [
        (
            str(k),
            "; ".join(_in_words(some.setting, trail)),
            ", ".join(name or "the model" for name in some.setting.keep_float) or "none",
            some.metric.text(some.value),
            f"{some.bytes:,}",
            _place(some, trail.game) if trail.game else ratio_words(some),
        )
        for k, some in enumerate(shown, start=1)
    ]
    name = trail.seen[0].metric.name
    value = "right" if name == ACCURACY else name
    heads = ("Pinned", "setting", "in float", value, "bytes", "that is")
    if game := trail.game:
        value = f"{value}, first {game.halves.choose_on}"
        heads = ("Entry", "setting", "in float", value, "bytes", "place")
    return (heads, *rows)


def _place(entry: Evaluation, game: BudgetGame) -> str:
    if entry != game.best:
        return ""
    if not game.judged:
        return "★ best"
    return f"★ best; on the last {game.halves.others}: {game.result}"


def code(now: Evaluation, trail: Trail, calibration: str, tensor: bool = True) -> str:
    """Return the calls that make the pinned models, or the model of now.

    In a game it is the best entry.
    """
    if trail.game and (best := trail.game.best):
        call = setting_code(best.setting, calibration, tensor)
        return f"# {_in_short(best)}, {best.bytes:,} bytes\nbest = {call}"
    if not trail.pinned:
        return f"small = {setting_code(now.setting, calibration, tensor)}"
    return "\n".join(
        f"# {_in_short(some)}, {some.bytes:,} bytes\n"
        f"pinned_{k} = {setting_code(some.setting, calibration, tensor)}"
        for k, some in enumerate(trail.pinned, start=1)
    )


def _in_short(found: Evaluation) -> str:
    value = found.metric.text(found.value)
    if found.metric.name == ACCURACY:
        return f"{value} of {found.count} right"
    return f"{found.metric.name} {value}"
