"""The checks for notebook 08's exercises."""

import math
from collections.abc import Callable

import torch

from helpers.classroom.data.networks import load_reference_model
from helpers.classroom.exercises.checking import Exercise, no_answer
from helpers.quantization import (
    Scheme,
    fake_quantize,
    fold_batch_norm,
    quantizable_layers,
    sqnr_db,
)


def zero_point_and_scale(function: Callable) -> str | None:
    """Return scale and zero point of an asymmetric scheme, with zero as a level."""
    cases = ((-1.0, 2.0, 3), (-0.7, 0.2, 4), (-0.4, 0.7, 8), (0.5, 2.0, 4), (-3.0, -1.0, 4))
    for low, high, bits in cases:
        answer = function(low, high, bits)
        if answer is None:
            return no_answer(function)
        if not isinstance(answer, tuple | list) or len(answer) != 2:
            return "expected two numbers: return scale, zero_point."
        scale, zero_point = (float(part) for part in answer)
        case = f"for {low} to {high} and {bits} bits"
        if not zero_point.is_integer():
            return f"{case}, the zero point is {zero_point}; it is an integer: round it."
        steps = 2**bits - 1
        if low <= 0 <= high and math.isclose(scale, (high - low) / (steps + 1)):
            return (
                f"{case} there are {steps + 1} levels, but only {steps} steps between them."
            )
        if not 0 <= zero_point <= steps:
            return (
                f"{case}, the zero point {zero_point:.0f} is not one of the integers 0 to "
                f"{steps}. Which integer stands for 0.0, when integer 0 stands for low?"
            )
        # Slow and obvious: zero is a level, and the ends are nearly levels too.
        levels = [(q - zero_point) * scale for q in range(steps + 1)]
        if max(levels) < max(high, 0) - scale or min(levels) > min(low, 0) + scale:
            return f"{case}, your levels end at {min(levels):.2f} and {max(levels):.2f}."
        if not math.isclose(scale, (max(high, 0) - min(low, 0)) / steps, rel_tol=1e-5):
            return f"{case} the scale is {scale:.4f}. Stretch the range until it holds 0.0."
        nearest = min(range(steps + 1), key=lambda q: abs(min(low, 0) + q * scale))
        if zero_point != nearest:
            return f"{case}, 0.0 lies nearest to integer {nearest}, not {zero_point:.0f}."
    return None


def scales_of_channels(function: Callable) -> str | None:
    """Return the symmetric min-max scale of each output channel."""
    generator = torch.Generator().manual_seed(1)
    weight = -torch.rand(5, 3, 2, 2, generator=generator) + 0.3
    for bits in (8, 3):
        spec = [max(abs(v) for v in row.flatten().tolist()) for row in weight]
        spec = torch.tensor(spec) / (2 ** (bits - 1) - 1)
        scales = function(weight.clone(), bits)
        if scales is None:
            return no_answer(function)
        scales = torch.as_tensor(scales, dtype=torch.float32)
        if scales.numel() == 1:
            return "that is one scale for the whole tensor; each weight[k] needs its own."
        if scales.numel() != len(weight):
            return (
                f"expected {len(weight)} scales, one for each weight[k]; got "
                f"{scales.numel()}. The output channel is axis 0."
            )
        scales = scales.flatten()
        if torch.allclose(scales, spec):
            continue
        if torch.allclose(scales, spec * (2 ** (bits - 1) - 1) / 2 ** (bits - 1)):
            return "symmetric integers end at 2^(bits-1) - 1: with 8 bits at 127, not 128."
        signed = weight.flatten(1).amax(dim=1) / (2 ** (bits - 1) - 1)
        if torch.allclose(scales, signed):
            return "the largest value is not the largest magnitude: take abs() first."
        return f"with {bits} bits, weight[0] needs {spec[0]:.4f}; yours is {scales[0]:.4f}."
    return None


def better_percentile(answer: object) -> str | None:
    """Find a percentile that gives blocks.1.0 more than 7.4 dB at 3 bits."""
    if isinstance(answer, bool) or not isinstance(answer, int | float):
        return "expected a number between 50 and 100, such as 99.9."
    if 0 < answer < 1:
        return f"a percentile runs to 100: did you mean {100 * answer:g}?"
    if not 50 <= answer <= 100:
        return f"expected a number between 50 and 100; got {answer:g}."
    layers = quantizable_layers(fold_batch_norm(load_reference_model()))
    weight = layers["blocks.1.0"].weight.detach()
    scheme = Scheme(bits=3, observer="percentile", percentile=answer)
    found = sqnr_db(weight, fake_quantize(weight, scheme))
    if found > 7.4:
        return None
    if answer == 100:
        return f"100 clips nothing: that is min-max, with {found:.2f} dB. Go lower."
    way = "too many weights are clipped: go higher" if answer < 98 else "go lower"
    return f"{answer:g} gives {found:.2f} dB; {way}."


EXERCISES = {
    "08.1": Exercise(
        zero_point_and_scale,
        "zero is a level in each of five ranges, also where the range did not hold it.",
        of_function=True,
    ),
    "08.2": Exercise(
        scales_of_channels,
        "a slow loop over the channels finds the same scales, for 8 bits and for 3.",
        of_function=True,
    ),
    "08.3": Exercise(
        better_percentile,
        "a few weights are clipped, and all the others get a finer grid.",
    ),
}

QUIZZES = {
    "08.q1": (
        "A layer has 1000 weights and one outlier. You may change one thing. Which?",
        [
            (
                "a percentile instead of min-max",
                True,
                "The outlier is clipped, and the other 999 get a finer grid. Weights "
                "mostly bear it; the activations of a large language model often do not.",
            ),
            (
                "a zero point",
                False,
                "It moves the range. The outlier is still at one end of it.",
            ),
            (
                "one bit more",
                False,
                "It halves the step, once. The outlier made it many times larger.",
            ),
        ],
    ),
}
