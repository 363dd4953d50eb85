"""The checks for notebook 09's exercises."""

import math
from collections.abc import Callable

from helpers.classroom.data.digits import load_digits
from helpers.classroom.data.eight_seeds import MIXED, load_eight_seeds
from helpers.classroom.data.networks import load_reference_model
from helpers.classroom.exercises.checking import Exercise, no_answer
from helpers.quantization import (
    Scheme,
    fold_batch_norm,
    packed_bytes,
    quantizable_layers,
    quantize_model,
)
from helpers.training import accuracy

MOST_BYTES = 10_000
TWO_BITS = Scheme(bits=2, granularity="channel", observer="mse")


def small_and_right(answer: object) -> str | None:
    """Find a scheme for the weights: at most 10 kB, 97 % right of those that choose."""
    if not isinstance(answer, Scheme):
        return "expected a Scheme, such as Scheme(bits=3)."
    model = load_reference_model()
    size = packed_bytes(model, answer)
    if size > MOST_BYTES:
        start = f"{size:,} bytes, {size - MOST_BYTES:,} too many"
        if answer.bits > 3:
            return f"{start}: use fewer bits."
        return f"{start}: scales take bytes, too; give the whole tensor one."
    right = _right(quantize_model(model, answer))
    if right >= 0.97:
        return None
    start = f"{size:,} bytes, but {right:.1%} of the first 360 right"
    if answer.bits == 2:
        return f"{start}: 2 bits leave three or four levels; 3 bits fit, too."
    if answer.observer == "minmax":
        return f"{start}: one outlier sets the step. Choose another observer."
    if answer.observer != "percentile":
        return f"{start}: set the range yourself, with a percentile."
    if not answer.symmetric:
        return f"{start}: these weights have both signs; try symmetric."
    if answer.signed_range != "narrow":
        return f"{start}: one sign has a level more than the other; try narrow."
    if answer.percentile > 96:
        return f"{start}: too few weights are clipped; go lower."
    return f"{start}: too many weights are clipped; go higher."


def wilson(function: Callable) -> str | None:
    """Write the Wilson interval, 95 %, of so many right out of so many."""
    for right, total in ((711, 719), (200, 719), (719, 719), (0, 10), (9, 10)):
        answer = function(right, total)
        if answer is None:
            return no_answer(function)
        if not isinstance(answer, tuple | list) or len(answer) != 2:
            return "expected two numbers: return low, high."
        low, high = (float(part) for part in answer)
        share, case = right / total, f"for {right} of {total}"
        if high > 1.5:
            return f"{case} the upper end is {high:.1f}; return shares, 0 to 1."
        if low > high:
            return f"{case} the ends are in the wrong order: return low, high."
        truth = _plausible_shares(right, total)
        if math.isclose(low, truth[0], abs_tol=3e-4) and math.isclose(
            high, truth[1], abs_tol=3e-4
        ):
            continue
        half = 1.96 * math.sqrt(share * (1 - share) / total)
        if math.isclose(high - share, half, abs_tol=1e-3) and math.isclose(
            share - low, half, abs_tol=1e-3
        ):
            return (
                f"{case} that is share ± {half:.3f}, the textbook interval. It is "
                "symmetric, may leave 0 to 1, and has no width where all are right."
            )
        narrow = 0.51 * (truth[1] - truth[0])
        if math.isclose(high - low, narrow, rel_tol=0.1):
            return f"{case} yours is half as wide: z is 1.96, for 95 %."
        if math.isclose((low + high) / 2, share, abs_tol=1e-4):
            return f"{case} yours is centred on {share:.3f}; Wilson's centre is nearer 0.5."
        return (
            f"{case} the interval is {truth[0]:.3f} to {truth[1]:.3f}; yours is {low:.3f} "
            f"to {high:.3f}."
        )
    return None


def two_in_float(answer: object) -> str | None:
    """Choose two layers to keep in float: more than 80 % right of those that choose."""
    if isinstance(answer, str) or not isinstance(answer, tuple | list | set):
        return 'expected two names, such as ("head", "stem.0").'
    model = load_reference_model()
    known = quantizable_layers(fold_batch_norm(model))
    for name in answer:
        if name not in known:
            return f"there is no layer {name!r}; there are {', '.join(known)}."
    if len(set(answer)) != 2:
        return f"expected two layers, each once; got {len(answer)}: {', '.join(answer)}."
    right = _right(quantize_model(model, TWO_BITS, keep_float=answer))
    if right > 0.8:
        return None
    if set(answer) == {"stem.0", "blocks.0.0"}:
        return (
            f"{right:.1%} of the first 360 right: these are the two worst when one layer "
            "at a time is quantized. Here eight are, and their errors meet. Measure pairs."
        )
    start = f"{right:.1%} of the first 360 right"
    if set(answer) & {"blocks.0.0", "blocks.1.3"}:
        return f"{start}: one of the two is well chosen. Keep it, try the others."
    return f"{start}: try each layer alone first, with nine quantized."


def _right(model) -> float:
    return accuracy(model, *load_digits().choosing)


def _plausible_shares(right: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """Try every share: which of them lie within z standard errors of what was seen?"""
    steps = 20_000
    plausible = [
        k / steps
        for k in range(steps + 1)
        if (right / total - k / steps) ** 2 <= z**2 * (k / steps) * (1 - k / steps) / total
    ]
    return min(plausible), max(plausible)


_OTHERS = load_eight_seeds().loc[["3 bits, percentile 96", MIXED]].T.agg(["min", "max"])
EXERCISES = {
    "09.1": Exercise(
        small_and_right,
        "97 % in less than 10 kB, by choosing the range, without one bit more. Judged on "
        "the last 359, percentile 96 gets 98.3 %; 95, which passes here, too, gets 95.3. "
        "And 96 fits this model: carried over to eight other trainings, it leaves {} to "
        "{} % of all 719. Mixed bits, chosen anew for each model, left {} to {} % of the "
        "last 359.".format(*_OTHERS.T.to_numpy().flat),
    ),
    "09.2": Exercise(
        wilson,
        "trying every share between 0 and 1 finds the same ends, in five cases.",
        of_function=True,
    ),
    "09.3": Exercise(
        two_in_float,
        "the pair beats the two that are worst alone: errors of layers meet. Judged on "
        "the last 359, it gets 83.0 %.",
    ),
}

QUIZZES = {
    "09.q1": (
        "A has 98.9 % right on 719 images, B has 98.3 %. Is A better?",
        [
            (
                "yes, 98.9 is more",
                False,
                "That is four images. Other test images might reverse it.",
            ),
            (
                "these images cannot tell",
                True,
                "With 7 images lost and 3 gained, chance alone does that in a third of all "
                "cases. Take the smaller model, or more images.",
            ),
            (
                "no, they are equal",
                False,
                "Not shown either: a difference may be there and be too small to see.",
            ),
        ],
    ),
    "09.q2": (
        "An int8 model is slower than the float one. What do you look at first?",
        [
            (
                "the accuracy",
                False,
                "It says nothing about time.",
            ),
            (
                "the number of bits",
                False,
                "Fewer bits in the file may mean more work to unpack them.",
            ),
            (
                "which operators the file holds, and how wide the layers are",
                True,
                "Small layers, or operators without an int8 kernel, eat the gain.",
            ),
        ],
    ),
}
