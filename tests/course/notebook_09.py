"""What the tests know of notebook 09: its usual wrong answers, claims and bites."""

import math
from dataclasses import replace
from statistics import NormalDist

import pandas as pd

from helpers.classroom.exercises import claims
from helpers.classroom.exercises.claims import MIME, Verdict
from helpers.quantization import Scheme
from tests.course import Edit, Mutation, cell, run

# Cells whose outputs are not compared, and why.
IGNORED = {
    "onnx-time": "times, and accuracies of kernels, belong to the processor",
    "claim-convolutions": "a ratio of times",
    "claim-float16": "a ratio of times",
    "wide-time": "times",
    "wide-speed": "ratios of times, and this processor's ceiling",
    "claim-faster": "ratios of times",
    "swap": "ratios of times",
    "roofline": "what this processor can do",
    "torchao-time": "times",
    "translation-answers": "the last bits of products of floats",
    "rescue": "trained here: other numbers on another processor",
}

# Cells that use something deprecated, and why.
SHOWN = {
    "old-way": "quantize_dynamic is in many tutorials; learners see what it says",
}

# The usual wrong answers, each with a piece of its own hint.


def interval(half, centre=lambda share, total: share):
    """Exercise 09.2 with a centre and half a width of its own."""

    def wilson(right, total):
        share = right / total
        middle, reach = centre(share, total), half(share, total)
        return middle - reach, middle + reach

    return wilson


def schoolbook(share, total):
    return 1.96 * math.sqrt(share * (1 - share) / total)


def exact(right, total, z=1.96):
    centre = (right + z**2 / 2) / (total + z**2)
    half = z * math.sqrt(right * (total - right) / total + z**2 / 4) / (total + z**2)
    return centre - half, centre + half


def percentile(value, symmetric=True):
    return Scheme(3, symmetric, observer="percentile", percentile=value)


WRONG_ANSWERS = {
    "09.1": [
        (Scheme(bits=4), "12,392 bytes, 2,392 too many: use fewer bits"),
        (Scheme(bits=3, granularity="channel"), "give the whole tensor one"),
        (Scheme(bits=3), "one outlier sets the step"),
        (
            Scheme(bits=3, observer="mse"),
            "93.1% of the first 360 right: set the range yourself, with a",
        ),
        (
            Scheme(bits=3, observer="entropy"),
            "84.4% of the first 360 right: set the range yourself, with a percentile.",
        ),
        (Scheme(bits=2, granularity="channel"), "2 bits leave three or four levels"),
        (
            Scheme(2, granularity="channel", symmetric=False),
            "right: 2 bits leave three or four levels",
        ),
        (
            Scheme(2, granularity="channel", signed_range="ggml"),
            "right: 2 bits leave three or four levels",
        ),
        (percentile(99), "too few weights are clipped; go lower"),
        (percentile(90), "too many weights are clipped; go higher"),
        (percentile(96, symmetric=False), "try symmetric"),
        (replace(percentile(96), signed_range="full"), "a level more than the other"),
        (96, "expected a Scheme"),
    ],
    "09.2": [
        (interval(schoolbook), "the textbook interval"),
        (lambda right, total: exact(right, total, 0.98), "half as wide: z is 1.96"),
        (lambda right, total: exact(right, total)[::-1], "in the wrong order"),
        (
            lambda right, total: [100 * end for end in exact(right, total)],
            "return shares, 0 to 1",
        ),
        (interval(lambda share, total: 0.02), "Wilson's centre is nearer 0.5"),
        (
            interval(schoolbook, lambda share, total: (share * total + 2) / (total + 4)),
            "the interval is 0.978 to 0.994; yours is",
        ),
        (lambda right, total: right / total, "expected two numbers"),
        (lambda right, total: print(right), "your function returns nothing; end"),
        ((0.978, 0.994), "without brackets behind its name"),
    ],
    "09.3": [
        (("stem.0", "blocks.0.0"), "of the first 360 right: these are the two worst"),
        (("blocks.0.0", "head"), "one of the two is well chosen"),
        (("head", "stem.0"), "try each layer alone first"),
        (("blocks.0.0",), "expected two layers, each once; got 1: blocks.0.0."),
        (("head", "head"), "expected two layers, each once; got 2: head, head."),
        (("blocks.0.0", "blocks.1.4"), "there is no layer 'blocks.1.4'"),
        ("blocks.0.0", "expected two names"),
    ],
}

# Right answers that look different.
RIGHT_ANSWERS = [
    ("09.1", percentile(95.9)),
    ("09.1", percentile(95)),
    ("09.2", exact),
    ("09.2", lambda right, total: exact(right, total, NormalDist().inv_cdf(0.975))),
    ("09.3", {"blocks.1.3", "blocks.0.0"}),
]

# id of a claim -> for each verdict that can come out, a measurement that leads to it.


def measured(id: str, **namespace) -> Verdict:
    """A claim of notebook 09 after those measurements."""
    return run(cell("09_trade_offs.ipynb", id), claims=claims, **namespace)


def loses(int8: int, right: float) -> Verdict:
    """Claim 09.a for a model of 1000 bytes with all right in float32."""
    return measured(
        "claim-loss",
        Scheme=Scheme,
        model="float32",
        quantize_model=lambda model, scheme: "int8",
        packed_bytes=lambda model, scheme: int8 if scheme else 1000,
        accuracy=lambda model: right if model == "int8" else 1.0,
        test=(),
    )


def timed(id: str, kind: str, speedup: float) -> Verdict:
    return measured(id, timed=pd.DataFrame({"speedup": {kind: speedup}}))


def gains(*speedups: float) -> Verdict:
    return measured("claim-faster", gain=pd.Series(speedups, list("abc")[: len(speedups)]))


def smaller(wide: float, digits: float) -> Verdict:
    return measured(
        "claim-smaller",
        wide_smaller={"int8 static": wide},
        smaller={"int8 static": digits},
    )


def counts(parameters: int) -> Verdict:
    columns = {"parameters": [100, parameters], "bytes on disk": [400, 100]}
    return measured("claim-count", counted=pd.DataFrame(columns, ["float32", "torchao"]))


MEASUREMENTS = {
    "09.a": {
        False: lambda: loses(300, 1.0),
        True: lambda: loses(250, 0.93),
    },
    "09.b": {
        False: lambda: timed("claim-convolutions", "int8 dynamic", 0.1),
        True: lambda: timed("claim-convolutions", "int8 dynamic", 1.5),
    },
    "09.c": {
        False: lambda: timed("claim-float16", "float16", 1.0),
        True: lambda: timed("claim-float16", "float16", 2.0),
    },
    "09.d": {
        None: lambda: gains(0.8, 3.0, 7.0),
        True: lambda: gains(2.1, 3.0, 3.9),
        False: lambda: gains(0.8, 1.1, 1.9),
    },
    "09.e": {
        None: lambda: smaller(0.75, 0.5),
        True: lambda: smaller(0.75, 0.75),
        False: lambda: smaller(0.7, 0.5),
    },
    "09.f": {
        False: lambda: counts(100),
        True: lambda: counts(25),
    },
}

# What a small copy is made of: enough to catch every row below, and quick to run.
CELLS = (
    "set-up explorer explorer-table claim-loss noise paired front sensitivity "
    "sensitivity-table keep-two mixed-loss mixed mixed-judge onnx-files onnx-operators "
    "straight-through wrong-scale misspelled real-table exercise-1 solution-1"
)
EDITS = (
    Edit("explorer-table", "text/html", r"\d\d\.\d", "12.3"),
    Edit("claim-loss", MIME, '"holds": false', '"holds": true'),
    Edit("misspelled", "evalue", "not a layer", "a layer"),
)
# A kernel takes seconds to start, so each round alters what different cells catch.
ROUNDS = (
    (
        Mutation(
            "quantization/packing",
            "math.ceil(count * bits / 8)",
            "count",
            "explorer explorer-table front sensitivity keep-two mixed mixed-judge "
            "solution-1",
        ),
        Mutation(
            "quantization/layers", "which is not a layer", "which is lost", "misspelled"
        ),
        Mutation("quantization/comparison", "(4 * count**2)", "(2 * count)", "noise"),
        Mutation(
            "classroom/runtimes/ceiling",
            "self.int8 if kind",
            "self.float32 if kind",
            "real-table",
        ),
        Mutation(
            "onnx_export/float16",
            "keep_io_types=True",
            "keep_io_types=False",
            "onnx-operators",
        ),
    ),
    (
        Mutation(
            "quantization/observers",
            "qmax = 2 ** (scheme.bits - 1) - 1",
            "qmax = 2 ** (scheme.bits - 1)",
            "explorer explorer-table noise paired front sensitivity sensitivity-table "
            "keep-two mixed-loss mixed mixed-judge straight-through wrong-scale "
            "solution-1",
        ),
    ),
)
