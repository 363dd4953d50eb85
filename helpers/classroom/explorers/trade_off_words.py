"""What the trade-off explorer says: words, table and code."""

import math

from helpers.classroom.explorers.evaluation import Evaluation
from helpers.classroom.explorers.setting_words import (
    ratio_words,
    setting_code,
    setting_words,
)
from helpers.classroom.explorers.trail import Trail

SHOW = "Show the answer"  # the button


def in_words(now: Evaluation, trail: Trail, guess: int) -> str:
    """Say what the picture shows."""
    weights, activations = setting_words(now.setting)
    setting = f"{weights[0].upper()}{weights[1:]}; {activations}."
    size = f"{now.bytes:,} bytes, {ratio_words(now)}."
    noise = ", ".join(
        f"{name} {'exact' if math.isinf(value) else f'{value:.1f}'}"
        for name, value in now.sqnr.items()
    )
    rest = f"{size} {setting} SQNR of the weights in dB: {noise}."
    if trail.guess is None:
        exact = trail.seen[0]
        return (
            f"Predict first. In float32, {exact.accuracy:.1%} of {exact.count} images are "
            f"right. How many will be with this setting? Your guess is {guess}%; set it, "
            f"then press {SHOW}. {rest}"
        )
    percent, asked = trail.guess
    said = f"You guessed {percent}%, it is {asked.accuracy:.1%}. " if asked == now else ""
    low, high = now.interval
    return (
        f"{said}{now.accuracy:.1%} of {now.count} images are right (95% interval "
        f"{low:.1%} to {high:.1%}); {len(now.changed)} changed their class. {rest}"
    )


def in_brief(now: Evaluation, trail: Trail) -> str:
    """Say what is read out at each move."""
    if trail.guess is None:
        return f"Predict first: how many of {now.count} images? {now.bytes:,} bytes."
    percent, asked = trail.guess
    said = f"You guessed {percent}%, it is {asked.accuracy:.1%}. " if asked == now else ""
    changed = len(now.changed)
    return f"{said}{now.accuracy:.1%} right, {changed} changed, {now.bytes:,} bytes."


def table(trail: Trail) -> tuple[tuple[str, ...], ...]:
    """Return the pinned settings as rows of texts, the headings first; none if none."""
    if not trail.pinned:
        return ()
    rows = [
        (
            str(k),
            "; ".join(setting_words(some.setting)),
            ", ".join(some.setting.keep_float) or "none",
            f"{some.accuracy:.1%}",
            f"{some.bytes:,}",
            ratio_words(some),
        )
        for k, some in enumerate(trail.pinned, start=1)
    ]
    return (("Pinned", "setting", "in float", "right", "bytes", "that is"), *rows)


def code(now: Evaluation, trail: Trail, calibration: str) -> str:
    """Return the calls that make the pinned models, or the model of now."""
    if not trail.pinned:
        return f"small = {setting_code(now.setting, calibration)}"
    return "\n".join(
        f"# {some.accuracy:.1%} of {some.count} right, {some.bytes:,} bytes\n"
        f"pinned_{k} = {setting_code(some.setting, calibration)}"
        for k, some in enumerate(trail.pinned, start=1)
    )
