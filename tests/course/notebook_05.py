"""What the tests know of notebook 05: its usual wrong answers, claims and bites."""

import torch

from helpers.classroom.data.networks import SimpleNet
from helpers.classroom.exercises import claims
from helpers.classroom.exercises.claims import MIME, Verdict
from helpers.state_dicts import remap_keys
from tests.course import Edit, Mutation, cell, run

# Cells whose outputs are not compared, and why.
IGNORED = {
    "warm-chart": "trained here: other epochs on another processor",
}

# The usual wrong answers, each with a piece of its own hint.

PREFIX = (r"^module\.", "")
NAMES = [(r"^features\.", "stem."), (r"^classifier\.", "head.")]
SWAP = [("m.1.weight", "x"), ("m.1.bias", "m.1.weight"), ("x", "m.1.bias")]


def in_corner(old, shape):
    new = torch.zeros(shape, dtype=old.dtype)
    new[tuple(map(slice, old.shape))] = old
    return new


def in_other_corner(old, shape):
    return in_corner(old.flip(0), shape).flip(0)


def widened_in_place(old, shape):
    new = in_corner(old, shape)
    old.zero_()
    return new


def into(new, old):
    new[tuple(map(slice, old.shape))] = old
    return new


def rescued(prefix="module._orig_mod.", hidden=48, widen=in_corner, dtype=torch.float32):
    """Exercise 05.3 with one part of the right answer exchanged."""

    def rescue(path):
        file = torch.load(path, weights_only=True)
        rules = [("^fc1", "hidden"), ("^fc2", "output")]
        names = {name.removeprefix(prefix): tensor for name, tensor in file.items()}
        if prefix:
            names = remap_keys(names, rules)
        torch.manual_seed(0)
        model = SimpleNet(64, hidden, 10)
        own = model.state_dict()
        for name in own.keys() & names.keys():
            old, new = names[name].float(), own[name]
            new.copy_(widen(old, new.shape) if widen else into(new, old))
        return model.to(dtype)

    return rescue


def at_random(old, shape):
    new = torch.rand(shape) - 0.5
    new[tuple(map(slice, old.shape))] = old
    return new


def without_biases(old, shape):
    return in_corner(old, shape) if old.dim() == 2 else torch.zeros(shape)


WRONG_ANSWERS = {
    "05.1": [
        ([PREFIX], "48 of 56 keys fit; 'features.0.weight' is not one of DigitsNet's."),
        (NAMES, "remap_keys refuses: rule 1"),
        ([("^module.features", "stem")], "A prefix has to go first"),
        ([PREFIX, (r"\.\d+\.", ".")], "would both become"),
        ([("module", "")], "a name that no module can have"),
        ({"features": "stem"}, "your rules are a dict; expected a list"),
        ("remap_keys(state_dict, [...])", "that is text"),
        ([PREFIX, *NAMES, ("weight", "weights")], "56 keys fit; 'stem.0.weights'"),
        (
            [PREFIX, *NAMES, *SWAP],
            "belong to other tensors",
        ),
    ],
    "05.2": [
        (lambda old, shape: old, "your tensor has shape (2, 3)"),
        (in_other_corner, "does not hold the old values"),
        (at_random, "around the corner there have to be zeros"),
        (widened_in_place, "changes the old tensor"),
        (lambda old, shape: in_corner(old, shape).float(), "in another dtype"),
        (lambda old, shape: in_corner(old, shape).tolist(), "returns a list"),
        (lambda old, shape: print(shape), "your function returns nothing; end"),
        (torch.zeros(4, 5), "without brackets behind its name"),
    ],
    "05.3": [
        (rescued(prefix=""), "did strict=False hide that they are not?"),
        (rescued(hidden=16), "your hidden layer has 16 units; the new model has 48."),
        (rescued(widen=at_random), "let their outgoing weights"),
        (rescued(widen=None), "and 2 have another answer than before"),
        (rescued(widen=without_biases), "fc1.bias of the file is not in your model's"),
        (rescued(dtype=torch.float16), "your model is not in float32"),
        (lambda path: torch.load(path, weights_only=True), "your function returns a dict"),
        (lambda path: print(path), "your function returns nothing; end"),
        (SimpleNet(64, 48, 10), "your answer raises"),
    ],
}

# Right answers that look different.
RIGHT_ANSWERS = [
    ("05.1", (PREFIX, ("^features", "stem"), ("classifier", "head"))),
    ("05.1", [("^module.features", "stem"), ("^module.classifier", "head"), PREFIX]),
    ("05.2", in_corner),
    ("05.3", rescued()),
]

# id of a claim -> for each verdict that can come out, a measurement that leads to it.


def seeds(**same: bool) -> Verdict:
    """Claim 05.b after runs with those outcomes; the rest is the notebook's own."""
    return run(cell("05_versions.ipynb", "seeds-claim"), claims=claims, **same)


def warm(first: int) -> Verdict:
    """Claim 05.a where so many of five seeds were first."""
    return run(cell("05_versions.ipynb", "warm-claim"), claims=claims, first=first)


MEASUREMENTS = {
    "05.b": {
        None: lambda: seeds(again=True, one_draw=False, other_threads=False),
        True: lambda: seeds(again=True, one_draw=True, other_threads=True),
        False: lambda: seeds(again=False, one_draw=False, other_threads=False),
    },
    "05.a": {
        None: lambda: warm(3),
        True: lambda: warm(0),
        False: lambda: warm(5),
    },
}

# What a small copy is made of: enough to catch every row below, and quick to run.
CELLS = (
    "set-up natural old-project by-hand refused-rules old-files inspect inspect-lines "
    "seed-runs threads seeds-claim names-error workbench workbench-table exercise-1 "
    "solution-1 exercise-2 solution-2"
)
EDITS = (
    Edit("refused-rules", "text", r"4 keys", "5 keys"),
    Edit("old-files", "text/html", r"opens: 4", "opens: 5"),
    Edit("seeds-claim", MIME, '"holds": null', '"holds": true'),
    Edit("names-error", "evalue", "Missing", "Absent"),
    Edit("workbench", "text/plain", r"\d\d match", "11 match"),
)
# A kernel takes seconds to start, so each round alters what different cells catch.
ROUNDS = (
    (
        Mutation(
            "classroom/explorers/key_rules",
            "if count[name] > 1",
            "if count[name] > 2",
            "workbench-table",
        ),
        Mutation(
            "classroom/explorers/key_suggestions",
            "if gain > 0:",
            "if gain > 90:",
            "workbench",
        ),
        Mutation(
            "classroom/exercises/notebook_05", "if names == spec:", "if 0:", "solution-1"
        ),
        Mutation(
            "classroom/faults/old_files/__init__",
            '"legacy.pt": "s',
            '"legacy.pt": "S',
            "old-files",
        ),
    ),
    (
        Mutation(
            "classroom/explorers/key_mapping", "Suggested: {lines}", "{lines}", "workbench"
        ),
        Mutation(
            "classroom/exercises/notebook_05",
            "!= torch.float16:",
            "== torch.float16:",
            "solution-2",
        ),
        Mutation(
            "model_files/wrapper_names",
            """[".removeprefix('module.')"] if "module." in found""",
            """[".removeprefix('module.')"] if "module." not in found""",
            "inspect inspect-lines",
        ),
    ),
)
