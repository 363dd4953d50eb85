"""What the tests know of notebook 10: its usual wrong answers, claims and bites."""

import torch
from torch import nn

from helpers.classroom.exercises import claims
from tests.course import Edit, Mutation, cell, run

# Cells whose outputs are not compared, and why.
IGNORED = {
    "latency": "milliseconds belong to the machine",
    "students": "what is trained here comes out differently on another processor",
}

# The usual wrong answers, each with a piece of its own hint.


def soft(student, teacher, temperature, *, power=2, reduce=torch.mean, inner=True):
    """Exercise 10.2 with one part of the right answer exchanged."""
    by = temperature if inner else 1.0
    p = torch.softmax(teacher / by, dim=1)
    divergence = p * (p.log() - torch.log_softmax(student / by, dim=1))
    return temperature**power * reduce(divergence.sum(dim=1))


def plain_mean(student, teacher, temperature):
    p = torch.softmax(teacher / temperature, dim=1)
    log_q = torch.log_softmax(student / temperature, dim=1)
    return temperature**2 * (p * (p.log() - log_q)).mean()


def cut_with(rows=True, bias=True, columns=True, last_bias=True):
    """Exercise 10.3 with one copy left out."""

    def cut(first, second, kept):
        one = nn.Linear(first.in_features, len(kept))
        two = nn.Linear(len(kept), second.out_features)
        with torch.no_grad():
            if rows:
                one.weight.copy_(first.weight[kept])
            if bias:
                one.bias.copy_(first.bias[kept])
            if columns:
                two.weight.copy_(second.weight[:, kept])
            if last_bias:
                two.bias.copy_(second.bias)
        return one, two

    return cut


def cut_in_place(first, second, kept):
    first.weight = nn.Parameter(first.weight[kept])
    second.weight = nn.Parameter(second.weight[:, kept])
    return first, second


WRONG_ANSWERS = {
    "10.1": [
        (0.4, "that is a share; in percent it would be 40."),
        (35, "expected one of 0, 10, 20 to 90; got 35."),
        (80, "with 80 % pruned, 27.4% are right: that is too much."),
        (10, "there is room: try 20 %."),
        ("40", "expected a number of percent"),
    ],
    "10.2": [
        (lambda s, t, T: soft(s, t, T, power=0), "the factor temperature**2 is missing"),
        (lambda s, t, T: soft(s, t, T, reduce=torch.sum), "take its mean"),
        (plain_mean, "sum over the classes, then mean over the batch"),
        (lambda s, t, T: soft(t, s, T), "have changed places"),
        (lambda s, t, T: -soft(s, t, T), "the sign is the other way round"),
        (
            lambda s, t, T: soft(s, t, T, inner=False),
            "divide the logits by the temperature before the softmax",
        ),
        (lambda s, t, T: ((s - t) ** 2).mean(), "at temperature 1 expected"),
        (lambda s, t, T: soft(s, t, T, reduce=lambda d: d), "expected one number"),
        (lambda s, t, T: print(T), "your function returns nothing; end"),
        (1.0, "without brackets behind its name"),
    ],
    "10.3": [
        (cut_with(rows=False), "the first layer's rows"),
        (cut_with(bias=False), "a unit has a bias too"),
        (cut_with(columns=False), "inputs are its columns"),
        (cut_with(last_bias=False), "the second layer's bias stays"),
        (cut_in_place, "the old layers have changed"),
        (lambda a, b, kept: (nn.Linear(3, 6), nn.Linear(6, 2)), "(3, 3) and (2, 3); yours"),
        (lambda a, b, kept: a.weight[kept], "expected two Linear layers"),
        (lambda a, b, kept: (a,), "expected two layers; got 1"),
        (lambda a, b, kept: print(kept), "your function returns nothing; end"),
        ((nn.Linear(3, 3), nn.Linear(3, 2)), "without brackets behind its name"),
    ],
}

# Right answers that look different.
RIGHT_ANSWERS = [
    ("10.1", 40.0),
    ("10.2", soft),
    ("10.3", cut_with()),
    ("10.3", lambda a, b, kept: list(cut_with()(a, b, kept))),
]

# id of a claim -> for each verdict that can come out, a measurement that leads to it.


def smaller(plain: int, zeros: int, packed: float):
    files = {"plain": bytes(plain), "zeros": bytes(zeros)}
    return run(
        cell("10", "claim-a"),
        claims=claims,
        packed=packed,
        permanent=None,
        sparsity=lambda model: 0.7,
        **files,
    )


def faster(plain: int, zeros: int, narrow: int):
    counts = {"plain": plain, "zeros": zeros, "narrow": narrow}
    return run(
        cell("10", "claim-b"),
        claims=claims,
        contenders={name: name for name in counts},
        image=None,
        multiply_adds=lambda name, image: counts[name],
    )


MEASUREMENTS = {
    "10.a": {
        None: lambda: smaller(100, 100, 0.5),
        True: lambda: smaller(100, 40, 0.4),
        False: lambda: smaller(100, 100, 1.0),
    },
    "10.b": {
        None: lambda: faster(100, 100, 30),
        True: lambda: faster(100, 20, 30),
        False: lambda: faster(100, 100, 100),
    },
}

# What a small copy is made of: enough to catch every row below, and quick to run.
CELLS = (
    "set-up prune-one prune-all file-sizes file-compressed claim-a multiplications cost "
    "cut-network distil results panel panel-table judge real-file real-answers break "
    "break-repair exercise-1 solution-1 exercise-2 solution-2 exercise-3 solution-3"
)
EDITS = (
    Edit("cost", "text", r"27\.4", "72.4"),
    Edit("cut-network", "text/html", "6,418", "8,146"),
    Edit("break", "evalue", "weight_mask", "mask"),
    Edit("panel", "image/svg+xml", r"M\d+", "M1"),
    Edit("outlier-ranges", "text/plain", r"97\.8%", "79.8%"),
    Edit("cures-judged", "text", r"97\.8%", "98.7%"),
    Edit("twelve", "text/html", "51.9%", "59.1%"),
)
# A kernel takes seconds to start, so each round alters what different cells catch.
ROUNDS = (
    (
        Mutation(
            "classroom/data/pruning",
            "(w == 0).sum()",
            "(w != 0).sum()",
            "file-sizes claim-a break-repair",
        ),
        Mutation(
            "classroom/data/pruning",
            "math.ceil(count / 8) + math.ceil(stored * bits / 8)",
            "math.ceil(stored * bits / 8)",
            "panel panel-table real-file",
        ),
        Mutation(
            "classroom/data/sparse_files",
            "(int(stored.sum()),), signed=True",
            "(int(stored.sum()),), signed=False",
            "real-answers",
        ),
        Mutation(
            "classroom/exercises/notebook_10", "if here < 0.97:", "if 1:", "solution-1"
        ),
    ),
    (
        Mutation(
            "classroom/data/pruning",
            "places * layer",
            "len(output) * layer",
            "multiplications cut-network",
        ),
        Mutation(
            "classroom/data/small_models",
            "(fitting[key][1], -fitting[key][0])",
            "(fitting[key][0], fitting[key][1])",
            "panel-table judge real-file",
        ),
        Mutation(
            "classroom/exercises/notebook_10",
            "temperature**2 * total",
            "total",
            "solution-2",
        ),
    ),
)
