"""What the tests know of notebook 03: its usual wrong answers, claims and bites."""

import pickletools
import re
import zipfile

import pandas as pd
import torch
from torch.serialization import (
    add_safe_globals,
    get_unsafe_globals_in_checkpoint,
    safe_globals,
)

from helpers.classroom.exercises import claims
from helpers.classroom.exercises.claims import MIME, Verdict
from helpers.classroom.exercises.notebook_03 import Settings
from helpers.state_dicts import compare
from tests.course import Edit, Mutation, cell, run

# Cells whose outputs are not compared, and why.
IGNORED = {
    "timing": "times depend on the machine, and two files hold paths of it",
    "the-table": "times depend on the machine, and two files hold paths of it",
}

# Cells that use a deprecated call, and why.
SHOWN = {
    "torchscript": "learners meet TorchScript files, and the notebook has to make one",
    "openers": "a TorchScript file is opened beside the other six formats",
    "bad-torchscript": "shows that a TorchScript file runs code when it is opened",
    "bad-torchscript-saved": "shows that a TorchScript file runs code when it is opened",
    "torchscript-code": "takes the weights out of an old TorchScript file",
}

# The usual wrong answers, each with a piece of its own hint.


def all_globals(path):
    with zipfile.ZipFile(path) as archive:
        data = archive.read(f"{path.stem}/data.pkl")
    codes = pickletools.genops(data)
    return sorted({a.replace(" ", ".") for code, a, _ in codes if code.name == "GLOBAL"})


def first_of_the_message(path):
    try:
        torch.load(path, weights_only=True)
    except Exception as error:
        return re.findall(r"GLOBAL (\S+)", str(error))
    return []


def forgets_to_return(path, allowed=()):
    len(str(path))


def allows_for_good(path, allowed):
    add_safe_globals(allowed)
    return torch.load(path, weights_only=True)


def allows_one_of_its_own(path, allowed):
    with safe_globals([Settings]):
        return torch.load(path, weights_only=True)


def opens_anyway(path, allowed=()):
    return torch.load(path, weights_only=False)


def opens_anyway_unless_exec(path, allowed):
    if "builtins.exec" in get_unsafe_globals_in_checkpoint(path):
        torch.load(path, weights_only=True)
    return torch.load(path, weights_only=False)


def swallows_the_error(path, allowed):
    try:
        with safe_globals(allowed):
            return torch.load(path, weights_only=True)
    except Exception:
        return {}


def saves(make, answer=lambda model, new: True):
    """Exercise 03.3: save what `make` makes of the model, answer with `answer`."""

    def rescue(old, new):
        model = torch.load(old, weights_only=False)
        torch.save(make(model), new)
        return answer(model, new)

    return rescue


def state_dict(model):
    return model.state_dict()


def equal(model, new):
    return compare(model, torch.load(new, weights_only=True)).identical


def equal_or_raises(model, new):
    if not equal(model, new):
        raise RuntimeError("the file differs")
    return True


WRONG_ANSWERS = {
    "03.1": [
        (lambda path: torch.load(path, weights_only=True), "only reads the names"),
        (lambda path: list(opens_anyway(path)), "'weights' is nothing that is refused"),
        (lambda path: opens_anyway(path)["more"], "such as ['project.Settings']"),
        (
            lambda path: torch.load(path, weights_only=False) and all_allowed_removed(path),
            "has run code from the file: the check's payload made a file of its own. Read",
        ),
        (all_globals, "what weights_only allows anyway, such as tensors"),
        (first_of_the_message, "is missing: the file names 2"),
        (lambda path: set(all_allowed_removed(path)), "your function returns a set"),
        (lambda path: all_allowed_removed(path)[::-1], "their order is not: sort them"),
        (lambda path: all_allowed_removed(path) * 2, "in your list twice"),
        (forgets_to_return, "your function returns nothing; end"),
        (["builtins.exec"], "without brackets behind its name"),
    ],
    "03.2": [
        (
            lambda path, allowed: torch.load(path, weights_only=True),
            "refuses a file with a S",
        ),
        (allows_one_of_its_own, "refuses a file with a Author"),
        (allows_for_good, "use the context manager safe_globals, not add_safe_globals"),
        (opens_anyway, "Keep weights_only=True and allow the given classes alone."),
        (opens_anyway_unless_exec, "a file that wants Author, which is not in `allowed`"),
        (swallows_the_error, "a file that wants exec, which is not in `allowed`"),
        (
            lambda path, allowed: swallows_the_error(path, allowed)["weights"],
            "return what torch.load gives, all of it",
        ),
        (forgets_to_return, "your function returns nothing; end"),
        ({"weights": 1}, "without brackets behind its name"),
    ],
    "03.3": [
        (lambda old, new: compare, "nothing was saved at `new`"),
        (saves(lambda model: model), "`new` holds a whole model again"),
        (
            saves(lambda model: model.state_dict),
            "state_dict is a method, it needs brackets",
        ),
        (
            saves(lambda model: dict(model.named_parameters())),
            "is missing: buffers belong to it",
        ),
        (saves(lambda model: {"model": model.state_dict()}), "save the state dict itself"),
        (
            saves(lambda model: list(model.parameters())),
            "holds a list; expected a state dict",
        ),
        (
            saves(lambda model: {k: v.half() for k, v in model.state_dict().items()}),
            "have other values or another dtype",
        ),
        (saves(state_dict, lambda model, new: None), "read it back and return whether"),
        (saves(state_dict, lambda model, new: 1), "your function returns 1; expected True"),
        (saves(state_dict), "and your function says True. Compare every tensor"),
        (saves(state_dict, equal_or_raises), "raise nothing when the file differs"),
    ],
}


def all_allowed_removed(path):
    return sorted(get_unsafe_globals_in_checkpoint(path))


# Right answers that look different.


def with_the_others_kept(path, allowed):
    with safe_globals([*allowed, set]):
        return torch.load(path, weights_only=True)


RIGHT_ANSWERS = [
    ("03.1", lambda path: sorted(set(get_unsafe_globals_in_checkpoint(path)))),
    ("03.2", with_the_others_kept),
    ("03.3", saves(state_dict, equal)),
    ("03.3", saves(lambda model: dict(model.state_dict()), equal)),
]

# id of a claim -> for each verdict that can come out, a measurement that leads to it.


def larger(*more: int) -> Verdict:
    """Claim 03.a with whole models that are so many bytes larger."""
    sizes = pd.DataFrame({"more": more, "in percent": [f"{some}%" for some in more]})
    return run(cell("03_safe_loading.ipynb", "size-claim"), claims=claims, sizes=sizes)


def medium(onnx: int) -> Verdict:
    """Claim 03.b with an ONNX file beside 100 bytes of state dict and 120 of a model."""
    source = cell("03_safe_loading.ipynb", "onnx-claim")
    return run(source, claims=claims, state=100, whole_bytes=120, onnx=onnx)


def protected(explicit: bool) -> Verdict:
    """Claim 03.c where an explicit weights_only=True lets a payload run, or not."""
    ran = {
        "State dict (.pt)": explicit,
        "Checkpoint (.pt)": False,
        "the default": False,
        "the default, variable set": True,
        "weights_only=True, variable set": False,
    }
    tried = pd.DataFrame({"code ran": ran})
    source = cell("03_safe_loading.ipynb", "weights-only-claim")
    return run(source, claims=claims, tried=tried)


MEASUREMENTS = {
    "03.a": {
        True: lambda: larger(7, 7),
        False: lambda: larger(0, -3),
        None: lambda: larger(7, -3),
    },
    "03.b": {
        False: lambda: medium(90),
        True: lambda: medium(110),
    },
    "03.c": {
        None: lambda: protected(explicit=False),
        False: lambda: protected(explicit=True),
    },
}

# What a small copy is made of: enough to catch every row below, and quick to run.
CELLS = (
    "set-up project whole whole-names size size-claim versions label-images changed "
    "changed-weights changed-table payload payload-refused settings asdict "
    "inspect-settings chooser chooser-table exercise-1 solution-1 exercise-2 solution-2 "
    "exercise-3 solution-3"
)
EDITS = (
    Edit("whole", "text", "False", "True"),
    Edit("size-claim", MIME, '"holds": true', '"holds": null'),
    Edit("changed-table", "text/html", r"34\.1", "98.9"),
    Edit("payload-refused", "text", "exec", "eval"),
    Edit("inspect-settings", "text/html", "safe: ", "unsafe: "),
)
# A kernel takes seconds to start, so each round alters what different cells catch.
ROUNDS = (
    (
        Mutation(
            "measurement/fresh_process",
            '"error": type(error).__name__',
            '"error": type(error).__qualname__[1:]',
            "changed-table",
        ),
        Mutation(
            "classroom/explorers/format_chooser",
            "s <= some",
            "s < some",
            "chooser chooser-table",
        ),
        Mutation(
            "classroom/exercises/claims", 'True: "holds"', 'True: "is so"', "size-claim"
        ),
        Mutation(
            "classroom/exercises/notebook_03", "if answer == spec:", "if 0:", "solution-1"
        ),
        Mutation(
            "classroom/exercises/rescuing",
            "if answer is not True:",
            "if answer is True:",
            "solution-3",
        ),
    ),
    (
        Mutation(
            "classroom/data/networks",
            ".mean(dim=(2",
            ".amax(dim=(2",
            "project changed-table",
        ),
        Mutation(
            "classroom/exercises/notebook_03",
            "if set(get_safe_globals()) - set(before):",
            "if set(before) <= set(get_safe_globals()):",
            "solution-2",
        ),
        Mutation(
            "model_files/global_names",
            "if name in TORCH_ALLOWS:",
            "if name not in TORCH_ALLOWS:",
            "inspect-settings",
        ),
    ),
)
