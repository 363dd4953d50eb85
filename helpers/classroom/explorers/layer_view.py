"""One layer's weights: their levels, the clip threshold, and the error split in two."""

from dataclasses import replace
from functools import partial

import torch
from torch import nn

from helpers.classroom.charts import Chart, covered
from helpers.classroom.charts.drawing import picture
from helpers.classroom.explorers import layer_view_drawing as drawing
from helpers.classroom.explorers.clipping import (
    SHARES,
    clipped_at,
    ends,
    landscape,
    split_error,
    stride,
)
from helpers.classroom.explorers.layers_to_view import layers_to_view
from helpers.classroom.explorers.number_line_drawing import shortened
from helpers.classroom.explorers.setting_words import observer_words
from helpers.classroom.panel import Choice, Guess, Menu, Panel, Range
from helpers.quantization import (
    GRANULARITIES,
    OBSERVERS,
    Scheme,
    choose_qparams,
    round_trip,
    sqnr_db,
)

BY_HAND = "by hand"
NAME = 40  # letters of a layer's name that the picture has room for


def worst_channel(
    reference: torch.Tensor, approximation: torch.Tensor
) -> tuple[int, float]:
    """Return the output channel (axis 0) with the lowest SQNR, and that SQNR in dB.

    Raises:
        ValueError: the shapes differ.
    """
    if reference.shape != approximation.shape:
        raise ValueError(
            f"reference has shape {tuple(reference.shape)}, approximation "
            f"{tuple(approximation.shape)}; expected the same"
        )
    one, other = (some.double().flatten(1) for some in (reference, approximation))
    signal, noise = (some.square().sum(1) for some in (one, one - other))
    lowest = torch.where(noise == 0, torch.inf, signal / noise).argmin().item()
    return lowest, sqnr_db(one[lowest], other[lowest])


def draw(
    weights: dict[str, torch.Tensor],
    layer: str,
    bits: int,
    granularity: str,
    observer: str,
    clip: int,
) -> Chart:
    """Draw the histogram of a layer's weights, with their levels, and the error.

    Args:
        weights: name -> the layer's weights.
        layer: one of the names.
        bits: 2 to 8.
        granularity: see Scheme.
        observer: see Scheme; or BY_HAND.
        clip: with BY_HAND, the threshold in percent of the largest weight; per channel or
            group, of the largest in each.
    """
    weight = weights[layer]
    full = clipped_at(weight, 1, bits, granularity)
    if observer == BY_HAND:
        chosen, qparams = BY_HAND, clipped_at(weight, clip / 100, bits, granularity)
    else:
        scheme = Scheme(
            bits=bits, granularity=granularity, observer=observer, percentile=99
        )
        chosen, qparams = observer_words(scheme), choose_qparams(weight, scheme)
    shares = qparams.scale / full.scale
    split, curve = split_error(weight, qparams), landscape(weight, bits, granularity)
    rounded = round_trip(weight, qparams)
    channel, worst = worst_channel(weight, rounded)
    least = min(curve, key=lambda each: each.whole)
    best = SHARES[curve.index(least)]
    one = granularity == "tensor"
    largest = "the largest weight" if one else f"each {granularity}'s largest weight"
    median = "" if shares.max() - shares.min() < 1e-6 else "a median of "
    told = f"{layer}: {weight.numel()} weights at {bits} bits per {granularity}, {chosen}."
    among = "There is one channel."
    if len(weight) > 1:
        which = f"channels is number {channel}, with {worst:.1f} dB"
        among = f"The worst of the {len(weight)} {which}."
    some = f", judged on one channel in {k}" if (k := stride(weight)) > 1 else ""
    text = (
        f"{told} SQNR {sqnr_db(weight, rounded):.1f} dB. {among} Mean squared error "
        f"{split.whole:.3g}: rounding {split.rounding:.3g}, clipping {split.clipping:.3g} "
        f"at {median}{shares.median():.0%} of {largest}. Least: {least.whole:.3g} at "
        f"{best}%{some}."
    )
    share = shares.median().item()
    threshold = [
        *drawing.beyond(share),
        *(drawing.levels(share, full.qmax) if not median else []),
        *drawing.threshold(
            share, f"{median}{share:.0%}", ends(qparams).item() if one else None
        ),
        drawing.drag(share),
    ]
    parts = [
        *drawing.histogram(weight / ends(full)),
        *drawing.scale_of(ends(full).item() if one else None, granularity),
        # Where this observer clips is nearly the answer.
        *covered(threshold, observer == "mse"),
        *drawing.curve_axis(),
        *covered([*drawing.shares_of(split), *drawing.curve(curve, share, split)]),
    ]
    question = (
        f"{layer}, {bits} bits per {granularity}: at how many percent of {largest} must we "
        "clip for the least error?"
    )
    part = split.clipping / (split.whole or 1)
    brief = f"Mean squared error {split.whole:.3g}, {part:.0%} of it clipping."
    title = f"{shortened(layer, NAME)}, {bits} bits per {granularity}"
    asked = drawing.asked(question, best, told)
    chart = picture(title, drawing.HEIGHT, parts, text)
    return replace(chart, brief=brief, guess=asked)


def layer_view(model: nn.Module, layer: str | None = None) -> Panel:
    """Return the panel for a model, whose batch norms are folded in.

    It asks where the error is least before it shows any error. A weight that several
    layers share is shown once.

    Args:
        model: any, with at least one layer that can be quantized.
        layer: the layer to begin with; the first where none is named.

    Raises:
        ValueError: there is no such layer, or none of that name.

    Warns:
        UserWarning: a layer is left out, since its weight cannot be quantized.
    """
    weights, names = layers_to_view(model, layer)
    by_hand = {"observer": BY_HAND}  # who moves the threshold has chosen that
    start = next(iter(weights)) if layer is None else names[layer]
    controls = [
        Range("bits", "Bits", 2, 8, 3),
        Choice("granularity", "One scale per", GRANULARITIES, "tensor"),
        Choice("observer", "Range by", (*OBSERVERS, BY_HAND), "minmax"),
        Range("clip", "Clip by hand, at %", SHARES[0], SHARES[-1], 100, sets=by_hand),
    ]
    drawn = partial(draw, weights)
    if len(weights) == 1:
        drawn = partial(drawn, start)
    else:
        controls.insert(0, Menu("layer", "Layer", tuple(weights), start))
    slider = Range("guess", "My guess", SHARES[0], SHARES[-1], 80, step=2)
    return Panel(
        "A layer's weights",
        controls,
        drawn,
        beside=True,
        guess=Guess(slider, "{}%"),
    )
