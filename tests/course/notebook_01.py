"""What the tests know of notebook 01: its usual wrong answers, claims and bites."""

import copy
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

from helpers.classroom.data.networks import DigitsNet
from helpers.classroom.exercises import claims
from helpers.classroom.exercises.claims import MIME, Verdict
from tests.course import Edit, Mutation, cell, run

# Cells whose outputs are not compared, and why.
IGNORED = {
    "memory-chart": "peak memory differs by some MB from run to run",
}

# The usual wrong answers, each with a piece of its own hint.


def own_pieces(model):
    return {name: tensor.clone() for name, tensor in model.named_parameters()}


def save_and_say_nothing(rows: Callable) -> Callable:
    return lambda weights, count, path: torch.save(rows(weights, count), path)


def compare(values: Callable, names: Callable = lambda a, b: a.keys() == b.keys()):
    return lambda a, b: names(a, b) and all(values(a[k], b[k]) for k in a if k in b)


def strictly(x, y):
    return x.dtype == y.dtype and torch.equal(x, y)


WRONG_ANSWERS = {
    "01.1": [
        (lambda model: model.state_dict(), "tensors in it are still the model's own"),
        (own_pieces, "Batch-norm statistics are buffers"),
        (lambda model: model, "your function returns a DigitsNet"),
        (
            lambda model: [t.clone() for t in model.state_dict().values()],
            "your function returns a list",
        ),
        (
            lambda model: {name: t.tolist() for name, t in model.state_dict().items()},
            "'stem.0.weight' holds a list",
        ),
        (
            lambda model: {name: t.half() for name, t in model.state_dict().items()},
            "another dtype or other values",
        ),
        (lambda model: model.train(False) and None, "your function returns nothing; end"),
        (DigitsNet(2).state_dict(), "without brackets behind its name"),
    ],
    "01.2": [
        (save_and_say_nothing(lambda w, n: w[:n]), "a slice shares the big tensor's"),
        (save_and_say_nothing(lambda w, n: w), "the file holds every row"),
        (
            save_and_say_nothing(lambda w, n: w[:, :n].clone()),
            "the first `count` rows are weights[:count].",
        ),
        (
            save_and_say_nothing(lambda w, n: w[0 : n - 1].clone()),
            "the file holds shape (6, 10); expected (7, 10): a slice leaves out its end, "
            "so weights[:count].",
        ),
        (
            save_and_say_nothing(lambda w, n: w[: n + 1].clone()),
            "holds shape (8, 10); expected (7, 10): a slice leaves out its end",
        ),
        (save_and_say_nothing(lambda w, n: w[-n:].clone()), "the dtype or the values"),
        (save_and_say_nothing(lambda w, n: {"rows": w[:n].clone()}), "it holds a dict"),
        (lambda weights, count, path: weights[:count].clone(), "nothing was saved"),
        (
            lambda weights, count, path: path.write_text(str(weights[:count])),
            "save the tensor itself, with torch.save.",
        ),
        (torch.zeros(7, 10), "without brackets behind its name"),
    ],
    "01.3": [
        (lambda a, b: a is b, "two equal state dicts were called different"),
        (lambda a, b: a.keys() == b.keys(), "other values under the same names"),
        (compare(strictly, lambda a, b: b.keys() <= a.keys()), "only the first one has"),
        (compare(strictly, lambda a, b: a.keys() <= b.keys()), "only the second has"),
        (compare(torch.allclose), "a difference of a millionth"),
        (compare(torch.equal), "float16 beside float32"),
        (
            compare(lambda x, y: x.dtype == y.dtype and (x == y).all()),
            "shape (2,) beside shape (1, 2)",
        ),
        (
            compare(strictly, lambda a, b: list(a) == list(b)),
            "the same entries in another order were called different: compare by name.",
        ),
        (
            lambda a, b: (
                a.keys() == b.keys()
                and all(any(strictly(x, y) for y in b.values()) for x in a.values())
            ),
            "changed places under the names",
        ),
        (lambda a, b: strictly(a["w"], b["w"]), "return True after the loop."),
        (
            lambda a, b: a == b,
            "== between tensors gives many answers, not one. Go name by name, with "
            "torch.equal.",
        ),
        (
            lambda a, b: None if compare(strictly)(a, b) else False,
            "returns nothing for two equal state dicts; end with return True.",
        ),
        (lambda a, b: compare(strictly)(a, b) or None, "that differ; return False there."),
        (lambda a, b: all(torch.equal(a[k], b[k]) for k in a), "raises KeyError: 'b'"),
        (lambda a, b: a["w"] == b["w"], "a tensor of many values"),
        (True, "without brackets behind its name"),
    ],
}

# Right answers that look different.
RIGHT_ANSWERS = [
    ("01.1", lambda model: {k: v.clone() for k, v in model.state_dict().items()}),
    ("01.2", lambda w, n, path: torch.save(torch.nn.Parameter(w[:n].clone()), path)),
    ("01.2", lambda w, n, path: torch.save(w.clone()[:n].contiguous().clone(), path)),
    ("01.3", lambda a, b: np.bool_(compare(strictly)(a, b))),
    ("01.3", lambda a, b: torch.tensor(compare(strictly)(a, b))),
]

# id of a claim -> for each verdict that can come out, a measurement that leads to it.


def light(**bytes_in_file: int) -> Verdict:
    """Claim 01.a with files of those sizes; the rest is the notebook's own."""
    source = cell("01_state_dicts.ipynb", "light-claim")
    return run(source, claims=claims, **bytes_in_file)


def copies(linear: type[nn.Linear]) -> Verdict:
    """Claim 01.b with another kind of layer; the rest is the notebook's own."""
    sources = [cell("01_state_dicts.ipynb", id) for id in ("copies", "copies-claim")]
    return run("\n".join(sources), nn=SimpleNamespace(Linear=linear), claims=claims)


class AlwaysShares(nn.Linear):
    def load_state_dict(self, state_dict, strict=True, assign=False):
        return super().load_state_dict(state_dict, strict, assign=True)


class AlwaysCopies(nn.Linear):
    def load_state_dict(self, state_dict, strict=True, assign=False):
        return super().load_state_dict(copy.deepcopy(state_dict), strict, assign)


MEASUREMENTS = {
    "01.a": {
        None: lambda: light(weights=100, whole=110, with_optimizer=300),
        True: lambda: light(weights=100, whole=900, with_optimizer=300),
        False: lambda: light(weights=100, whole=110, with_optimizer=150),
    },
    "01.b": {
        None: lambda: copies(nn.Linear),
        True: lambda: copies(AlwaysCopies),
        False: lambda: copies(AlwaysShares),
    },
}

# What a small copy is made of: enough to catch every row below, and quick to run.
CELLS = (
    "set-up simple digits-net counts without-buffers back back-right views tied "
    "tied-back tied-picture light light-claim copies copies-claim missing prefix-lenient "
    "prefix-repair size size-repair slider slider-table exercise-1 solution-1 exercise-2 "
    "solution-2"
)
EDITS = (
    Edit("counts", "text/plain", r"\d{3,}", "777"),
    Edit("views", "outputs", r"\[.*\]", "[]"),
    Edit("light-claim", MIME, '"holds": null', '"holds": true'),
    Edit("missing", "source", r"del damaged\[.*?\]", "pass"),  # raises no more
    Edit("size", "evalue", "size mismatch", "shape mismatch"),
)
# A kernel takes seconds to start, so each round alters what different cells catch.
ROUNDS = (
    (
        Mutation(
            "state_dicts/summarizing",
            "value.numel() if is_tensor",
            "1 if is_tensor",
            "digits-net counts",
        ),
        Mutation(
            "state_dicts/comparing",
            ")) == len(rows)",
            ")) < len(rows)",
            "back-right prefix-repair",
        ),
        Mutation(
            "state_dicts/partial_loading",
            "if other or kind",
            "if other or value.dim() == 1 or kind",
            "size-repair",
        ),
        Mutation(
            "classroom/exercises/claims",
            'None: "it depends"',
            'None: "holds"',
            "light-claim copies-claim",
        ),
        Mutation(
            "classroom/exercises/notebook_01", "if moved:", "if not moved:", "solution-1"
        ),
        Mutation(
            "classroom/charts/mechanisms",
            "enumerate(owners.values())",
            "enumerate(owners.values(), 1)",
            "tied-picture",
        ),
        Mutation(
            "classroom/explorers/file_size", "- numbers) / file", ") / file", "slider"
        ),
    ),
    (
        Mutation(
            "state_dicts/summarizing",
            "if k in param",
            "if k not in param",
            "digits-net counts",
        ),
        Mutation(
            "state_dicts/differences",
            "if not same_bytes(_flat",
            "if same_bytes(_flat",
            "back back-right prefix-repair",
        ),
        Mutation(
            "classroom/exercises/claims",
            "record = asdict(self)",
            "record = {}",
            "light-claim copies-claim",
        ),
        Mutation(
            "classroom/exercises/checking",
            '"right", e',
            '"wrong", e',
            "solution-1 solution-2",
        ),
    ),
    (
        Mutation(
            "state_dicts/keys", "key.removeprefix(", "key.removesuffix(", "prefix-repair"
        ),
    ),
)
