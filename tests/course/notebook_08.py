"""What the tests know of notebook 08: its usual wrong answers, claims and bites."""

import torch

from helpers.classroom.exercises import claims
from helpers.classroom.exercises.claims import Verdict
from tests.course import Edit, Mutation, cell, run

# Cells whose outputs are not compared, and why.
IGNORED = {}

# The usual wrong answers, each with a piece of its own hint.


def affine(ends=lambda low, high, steps: (min(low, 0), max(high, 0), steps), whole=round):
    """Exercise 08.1 with one part of the right answer exchanged."""

    def qparams_for(low, high, bits):
        low, high, steps = ends(low, high, 2**bits - 1)
        scale = (high - low) / steps
        return scale, whole(-low / scale)

    return qparams_for


WRONG_ANSWERS = {
    "08.1": [
        (affine(lambda low, high, steps: (low, high, steps + 1)), "but only 7 steps"),
        (affine(whole=lambda zero_point: zero_point), "it is an integer: round it"),
        (affine(whole=int), "0.0 lies nearest to integer 12, not 11"),
        (affine(lambda low, high, steps: (low, high, steps)), "for 0.5 to 2.0"),
        (affine(whole=lambda zero_point: -round(zero_point)), "for -1.0 to 2.0"),
        (
            affine(
                lambda low, high, steps: (low, high, steps),
                lambda zero_point: max(round(zero_point), 0),
            ),
            "your levels end at 0.00 and 1.50",
        ),
        (lambda low, high, bits: high / 2**bits, "expected two numbers"),
        (lambda low, high, bits: print(low), "your function returns nothing; end"),
        ((0.1, 3), "without brackets behind its name"),
    ],
    "08.2": [
        (lambda w, bits: w.abs().max() / (2 ** (bits - 1) - 1), "one scale for the whole"),
        (lambda w, bits: w.abs().amax(dim=(0, 2, 3)) / 127, "expected 5 scales, one for"),
        (
            lambda w, bits: w.flatten(1).abs().amax(dim=1) / 2 ** (bits - 1),
            "with 8 bits at 127, not 128",
        ),
        (lambda w, bits: w.flatten(1).amax(dim=1) / (2 ** (bits - 1) - 1), "take abs()"),
        (lambda w, bits: w.flatten(1).abs().mean(dim=1), "weight[0] needs"),
        (lambda w, bits: print(w.shape), "your function returns nothing; end"),
        (torch.ones(5), "without brackets behind its name"),
    ],
    "08.3": [
        (100, "that is min-max"),
        (0.98, "did you mean 98?"),
        (40, "between 50 and 100; got 40"),
        (90, "too many weights are clipped: go higher"),
        (97, "97 gives 6.70 dB; too many weights are clipped"),
        (99, "99 gives 7.19 dB; go lower"),
        (99.9, "99.9 gives 4.02 dB; go lower"),
        ("99", "such as 99.9"),
    ],
}

# Right answers that look different.
RIGHT_ANSWERS = [
    ("08.1", affine()),
    ("08.2", lambda w, bits: [v.abs().max().item() / (2 ** (bits - 1) - 1) for v in w]),
    ("08.2", lambda w, bits: w.double().flatten(1).abs().amax(1) / (2 ** (bits - 1) - 1)),
    ("08.3", 98.5),
    ("08.3", 98),
]

# id of a claim -> for each verdict that can come out, a measurement that leads to it.


def bytes_of(id: str, **sizes: int) -> Verdict:
    """A claim of notebook 08 about a model of those sizes."""
    return run(cell("08_quantization.ipynb", id), claims=claims, **sizes)


MEASUREMENTS = {
    "08.a": {
        False: lambda: bytes_of("claim-a", float_bytes=1000, eight=251),
        True: lambda: bytes_of("claim-a", float_bytes=1000, eight=250),
    },
    "08.b": {
        False: lambda: bytes_of("claim-b", float_bytes=1000, four=126),
        True: lambda: bytes_of("claim-b", float_bytes=1000, four=125),
    },
}

# What a small copy is made of: enough to catch every row below, and quick to run.
CELLS = (
    "set-up by-hand zero-point unsigned zero-decibel zero-hard-swish torch-same torch-ties "
    "bits bits-gap bits-lowest outlier outlier-clipped outlier-observers granularity bytes "
    "claim-a saved saved-size coverage line uneven uneven-levels uneven-layers layer "
    "exercise-2 solution-2"
)
EDITS = (
    Edit("bits", "text/html", r"\d\d\.\d", "12.3"),
    Edit("layer", "image/svg+xml", r"M\d+", "M1"),
)
# A kernel takes seconds to start, so each round alters what different cells catch.
ROUNDS = (
    (
        Mutation(
            "quantization/observers",
            "percentile / 100",
            "percentile / 105",
            "outlier-clipped outlier-observers",
        ),
        Mutation(
            "quantization/packing",
            "bits / 8)",
            "bits / 4)",
            "granularity bytes claim-a saved saved-size",
        ),
        Mutation(
            "quantization/coverage",
            "share = counts[name] / total",
            "share = counts[name] / (2 * total)",
            "coverage",
        ),
        Mutation(
            "classroom/explorers/number_line_drawing",
            "REACH = 2.5",
            "REACH = 3.5",
            "line uneven",
        ),
        Mutation("classroom/explorers/clipping", "* (1 + 1e-6)", "* (0.5)", "layer"),
        Mutation(
            "classroom/exercises/notebook_08",
            "if torch.allclose(scales, spec):",
            "if 0:",
            "solution-2",
        ),
    ),
    (
        Mutation(
            "quantization/noise",
            "10 * math.log10",
            "20 * math.log10",
            "zero-decibel zero-hard-swish bits bits-gap bits-lowest outlier-observers "
            "granularity uneven-layers layer",
        ),
        Mutation(
            "quantization/level_sets",
            "3.0, 4.0, 6.0",
            "3.5, 4.0, 6.0",
            "uneven uneven-levels",
        ),
        Mutation(
            "classroom/explorers/number_line",
            "scheme = Scheme(bits=bits",
            "scheme = Scheme(bits=bits + 1",
            "line",
        ),
        Mutation(
            "quantization/packing",
            "words[:, bits:] = words[:, bits - 1 : bits]",
            "words[:, bits:] = words[:, bits - 2 : bits - 1]",
            "saved",
        ),
    ),
)
