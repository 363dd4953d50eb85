"""What the trade-off explorer says: words, table and code."""

import math

from helpers.classroom.explorers.setting_words import (
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
    setting = f"{weights[0].upper()}{weights[1:]}; {activations}."
    size = f"{now.bytes:,} bytes, {ratio_words(now)}."
    noise = ", ".join(
        f"{name} {'exact' if math.isinf(value) else f'{value:.1f}'}"
        for name, value in now.sqnr.items()
    )
    rest = " ".join([size, setting, f"SQNR of the weights in dB: {noise}.", *trail.notes])
    if trail.guess is None:
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
    guess, asked = trail.guess
    if asked != now:
        return ""
    return f"You guessed {trail.axis.guessed(guess)}, it is {now.metric.text(now.value)}. "


def _in_words(setting: Setting, trail: Trail) -> tuple[str, str]:
    rows = "images" if trail.unit == "images" else "rows"  # a token alone is no input
    return setting_words(setting, trail.seen[0].dtype, rows)


def in_brief(now: Evaluation, trail: Trail) -> str:
    """Say what is read out at each move."""
    right = now.metric.name == ACCURACY
    if trail.guess is None:
        asks = f"how many of {now.count} {trail.unit}" if right else now.metric.name
        return f"Predict first: {asks}? {now.bytes:,} bytes."
    value = now.metric.text(now.value)
    found = f"{value} right" if right else f"{now.metric.name} {value}"
    changed = "" if now.changed is None else f" {len(now.changed)} changed,"
    return f"{_said(now, trail)}{found},{changed} {now.bytes:,} bytes."


def table(trail: Trail) -> tuple[tuple[str, ...], ...]:
    """Return the pinned settings as rows of texts, the headings first; none if none."""
    if not trail.pinned:
        return ()
    rows = [
        (
            str(k),
            "; ".join(_in_words(some.setting, trail)),
            ", ".join(some.setting.keep_float) or "none",
            some.metric.text(some.value),
            f"{some.bytes:,}",
            ratio_words(some),
        )
        for k, some in enumerate(trail.pinned, start=1)
    ]
    name = trail.seen[0].metric.name
    value = "right" if name == ACCURACY else name
    return (("Pinned", "setting", "in float", value, "bytes", "that is"), *rows)


def code(now: Evaluation, trail: Trail, calibration: str, tensor: bool = True) -> str:
    """Return the calls that make the pinned models, or the model of now."""
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
