"""What the tests know of notebook 07: its usual wrong answers, claims and bites."""

import torch

from helpers.classroom.exercises import claims
from helpers.classroom.exercises.claims import MIME, Verdict
from helpers.classroom.runtimes.elsewhere import ELSEWHERE
from tests.course import Edit, Mutation, cell, run

# Cells whose outputs are not compared, and why.
IGNORED = {
    "open": "optional runtimes, and what they take on the disk",
    "same": "optional runtimes, and which of them take bfloat16",
    "one": "times",
    "many": "times",
    "together": "times, and optional runtimes",
    "tensorrt-run": "TensorRT is optional, and needs a GPU",
    "core-ml": "coremltools is optional, and only a Mac runs the result",
}

# Cells that use something deprecated, and why.
SHOWN = {}

# The usual wrong answers, each with a piece of its own hint.


def close(found, expected, most=1e-4):
    return bool(((found - expected).abs() <= most).all())


def at_once(run, images, expected):
    return close(run(images), expected)


def one_by_one(run, images, expected):
    return torch.stack([run(images[k : k + 1])[0] for k in range(len(images))])


def by_class(run, images, expected):
    return bool((run(images).argmax(1) == expected.argmax(1)).all())


WRONG_ANSWERS = {
    "07.1": [
        ("small", "expected a number"),
        (0, "expected a number above 0"),
        (1e-6, "refuses float32 itself"),
        (1.1e-5, "leaves no room"),
        (0.012, "too near the error of float16"),
        (0.5, "lets bfloat16 pass"),
    ],
    "07.2": [
        (at_once, "it passes a runtime that is wrong at batch 1 only"),
        (by_class, "it passes logits that are all 0.1 too large"),
        (
            lambda run, images, expected: bool((run(images) - expected).max() < 1e-4),
            "take abs() before max()",
        ),
        (
            lambda run, images, expected: close(run(images[:64]), expected[:64]),
            "fails in one image of 65",
        ),
        (
            lambda run, images, expected: (
                not bool(((run(images) - expected).abs() > 1e-4).any())
            ),
            "a runtime whose answer is NaN",
        ),
        (
            lambda run, images, expected: torch.equal(run(images), expected),
            "== is too strict",
        ),
        (lambda run, images, expected: False, "refuses a runtime whose answers are the"),
        (lambda run, images, expected: run(images), "got a Tensor: use bool"),
        (lambda run, images, expected: print("on"), "your function returns nothing; end"),
        (True, "without brackets behind its name"),
    ],
    "07.3": [
        (lambda times, cores: min(times, key=times.get), "4 threads are the fastest for"),
        (lambda times, cores: min(times), "2 gives the most answers; you return 1"),
        (lambda times, cores: times[1], "you return 0.4; expected one of [1, 2, 4]"),
        (
            lambda times, cores: max(times, key=lambda k: cores / k / times[k]),
            "8: more threads than cores",
        ),
        (lambda times, cores: print("on"), "your function returns nothing; end"),
        (1, "without brackets behind its name"),
    ],
}

# Right answers that look different.
RIGHT_ANSWERS = [
    ("07.1", 1e-4),
    (
        "07.2",
        lambda run, images, expected: (
            at_once(run, images, expected)
            and close(one_by_one(run, images, expected), expected)
        ),
    ),
    (
        "07.3",
        lambda times, cores: sorted(times, key=lambda k: -(cores // k) / times[k])[0],
    ),
]

# id of a claim -> for each verdict that can come out, a measurement that leads to it.


def measured(reads: bool, **elsewhere) -> Verdict:
    return run(
        cell("07_runtimes.ipynb", "claim-any"),
        claims=claims,
        reads=reads,
        ELSEWHERE=elsewhere,
    )


MEASUREMENTS = {
    "07.a": {
        False: lambda: measured(False, **ELSEWHERE),
        True: lambda: measured(True, TensorRT=ELSEWHERE["TensorRT"]),
    },
}

# What a small copy is made of: enough to catch every row below, and quick to run.
CELLS = (
    "set-up file reference graph bfloat16 precision precision-table elsewhere tensorrt "
    "pytorch claim-any float64 float64-repair name name-repair pad pad-table exercise-1 "
    "solution-1 exercise-2 solution-2 exercise-3 solution-3"
)
EDITS = (
    Edit("precision-table", "text/html", r"0\.064", "0.066"),
    Edit("claim-any", MIME, '"holds": false', '"holds": true'),
    Edit("float64", "evalue", "the file expects", "the file wants"),
    Edit("pad", "text/plain", "100% sure", "90% sure"),
)
# A kernel takes seconds to start, so each round alters what different cells catch.
ROUNDS = (
    (
        Mutation(
            "dtypes",
            "integers + (2 ** (dropped - 1) - 1) + last",
            "integers + last",
            "precision precision-table",
        ),
        Mutation(
            "classroom/runtimes/tensorrt",
            "range(9, 24 + 1)",
            "range(9, 19 + 1)",
            "tensorrt",
        ),
        Mutation(
            "classroom/explorers/drawing_pad",
            "logits.softmax(dim=0).max(dim=0)",
            "logits.softmax(dim=0).min(dim=0)",
            "pad",
        ),
    ),
)
