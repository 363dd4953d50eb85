"""What the tests know of notebook 06: its usual wrong answers, claims and bites."""

from pathlib import PurePath
from types import SimpleNamespace

import torch
from torch import nn

from helpers.classroom.exercises import claims
from helpers.classroom.exercises.claims import MIME, Verdict
from tests.course import Edit, Mutation, cell, run

# Cells whose outputs are not compared, and why.
IGNORED = {
    "said": "what the exporter says depends on the packages that are there",
    "text": "the names of results are the exporter's own, and change with its version",
    "parity-table": "last digits of rounding errors belong to the processor",
    "worst": "which image is worst hangs on the last digits of rounding",
    "rewritten-picture": "small operators, such as Squeeze, hang on the exporter's version",
    "optimised-time": "times, and a layout of weights for this processor",
    "slider": "numbers that fail at 1e-4 hang on the last digits of rounding",
}

# Cells that warn or use something deprecated, and why: none.
SHOWN = {}

# The usual wrong answers, each with a piece of its own hint.


def largest(function, place=lambda gap: int(gap.abs().amax(dim=1).argmax())):
    return lambda expected, found: (function(expected, found), place(found - expected))


def greatest(expected, found):
    return (expected - found).abs().max().item()


class StillAnIf(nn.Module):
    def forward(self, x):
        return x / 16 if x.max() > 1 else x


class Always(nn.Module):
    def forward(self, x):
        return x / 16


class EachImage(nn.Module):
    def forward(self, x):
        return torch.where(x.amax(dim=(1, 2, 3), keepdim=True) > 1, x / 16, x)


class SaysNothing(nn.Module):
    def forward(self, x):
        torch.where(x.max() > 1, x / 16, x)


class Conditional(nn.Module):
    def forward(self, x):
        return torch.cond(x.max() > 1, lambda x: x / 16, lambda x: x.clone(), (x,))


def reader(prepare, answer=lambda logits: logits.argmax(dim=1)):
    """Exercise 06.4 with some other preparation or answer."""

    class Reader(nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, pictures):
            return answer(self.model(prepare(pictures)))

    return Reader


def prepared(pictures):
    return 1 - pictures.permute(0, 3, 1, 2).float() / 255


WRONG_ANSWERS = {
    "06.1": [
        (largest(lambda e, f: (e - f).max().item()), "take the absolute value"),
        (largest(lambda e, f: (f - e).max().item()), "take the absolute value"),
        (largest(lambda e, f: (e - f).abs().mean().item()), "A mean hides it"),
        (largest(lambda e, f: 2 * greatest(e, f)), "expected 0.5"),
        (
            largest(greatest, lambda gap: int(gap.abs().argmax())),
            "counted over all numbers; which input?",
        ),
        (
            largest(greatest, lambda gap: int(gap.abs().amax(dim=0).argmax())),
            "that is the output, not the input",
        ),
        (largest(greatest, lambda gap: 2), "the input is 3, not 2"),
        (greatest, "expected two results"),
        (lambda expected, found: print(expected), "your function returns nothing; end"),
        ((0.5, 3), "without brackets behind its name"),
    ],
    "06.2": [
        (0, "0 would ask for equality to the last bit"),
        (float("nan"), "nan would ask for equality to the last bit"),
        (1e-7, "leaves no room"),
        (8e-3, "so near to float16's"),
        (0.1, "lets the float16 file pass"),
        ("1e-4", "expected one number"),
    ],
    "06.3": [
        (StillAnIf, "there is still an if that looks at data"),
        (Always, "for ink from 0 to 1 your module returns something else than Scale."),
        (EachImage, "Scale decides once for the whole batch"),
        (SaysNothing, "your module returns nothing; expected a tensor"),
        (torch.where, "expected your class"),
    ],
    "06.4": [
        (reader(prepared, lambda logits: logits), "the class is where the largest is"),
        (reader(lambda p: p.permute(0, 3, 1, 2).float()), "here paper is 255"),
        (reader(lambda p: p.permute(0, 3, 1, 2).float() / 255), "here paper is 255"),
        (
            reader(prepared, lambda logits: logits.argmax(dim=1).int()),
            "you return int32 (64,); expected int64 (64,)",
        ),
        (reader(prepared, lambda logits: logits.argmax(dim=1).tolist()), "returns a list"),
        (reader(lambda p: 1 - p / 255), "your answer raises RuntimeError"),
        (prepared, "expected your class"),
    ],
}

# Right answers that look different.
RIGHT_ANSWERS = [
    ("06.1", lambda e, f: [greatest(e, f), (e - f).abs().amax(dim=1).argmax()]),
    ("06.2", 0.001),
    ("06.3", Conditional),
    ("06.3", Conditional()),
    ("06.4", reader(lambda p: (255 - p.squeeze(-1).unsqueeze(1)) / 255)),
]

# id of a claim -> for each verdict that can come out, a measurement that leads to it.


def measured(id: str, **namespace) -> Verdict:
    """A claim of notebook 06 after those measurements."""
    return run(cell("06_onnx.ipynb", id), claims=claims, **namespace)


def opset(digits: int) -> Verdict:
    return measured("claim-opset", simple_14=14, digits_14=digits, usual=20)


def shape_check(passed: bool) -> Verdict:
    """Claim 06.a where the stranger's numbers pass or fail; its shape is right."""
    return measured(
        "claim-shape",
        torch=torch,
        images=torch.zeros(2, 1),
        folder=PurePath(),
        **_stranger(passed),
    )


def _stranger(passed: bool) -> dict:
    return {
        "seed_everything": lambda seed: None,
        "DigitsNet": lambda: None,
        "export_onnx": lambda *some: "stranger.onnx",
        "session": lambda path: None,
        "run": lambda opened, images: torch.zeros(2, 10),
        "model": lambda images: torch.zeros(2, 10),
        "check_parity": lambda *some, **more: SimpleNamespace(passed=passed),
    }


def optimised(smallest: int) -> Verdict:
    sizes = {"as exported": 1000, "basic": 1010, "extended": smallest, "all": 1100}
    return measured(
        "claim-smaller",
        written={name: name for name in sizes},
        size_on_disk=sizes.get,
        describe=lambda name: SimpleNamespace(operators={"Conv": 9}),
    )


MEASUREMENTS = {
    "06.a": {False: lambda: shape_check(False), True: lambda: shape_check(True)},
    "06.b": {False: lambda: opset(18), True: lambda: opset(14)},
    "06.c": {False: lambda: optimised(1005), True: lambda: optimised(800)},
}

# What a small copy is made of: enough to catch every row below, and quick to run.
CELLS = (
    "set-up by-hand helper describe picture claim-shape parity fixed fixed-error "
    "fixed-repair training-mode exercise-2 solution-2"
)
EDITS = (
    Edit("describe", "text", "Conv 9", "Conv 8"),
    Edit("claim-shape", MIME, '"holds": false', '"holds": true'),
    Edit("fixed-error", "evalue", "Expected: 2", "Expected: 4"),
    Edit("training-mode", "text", r"15\.\d", "14.0"),
)
# A kernel takes seconds to start, so each round alters what different cells catch.
ROUNDS = (
    (
        Mutation(
            "onnx_export/describing",
            "math.prod(tensor.dims)",
            "sum(tensor.dims)",
            "describe",
        ),
        Mutation(
            "classroom/charts/graph_pictures", '" × ".join(map', '" x ".join(map', "picture"
        ),
        Mutation("onnx_export/running", "the file expects", "it expects", "fixed-repair"),
        Mutation(
            "onnx_export/parity",
            "(wanted - got).abs()",
            "(wanted - got).div(2).abs()",
            "training-mode",
        ),
    ),
)
