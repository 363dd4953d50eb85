"""What the tests know of notebook 00: its usual wrong answers, claims and bites."""

from decimal import Decimal

import numpy as np
import torch

from tests.course import Edit, Mutation

# Cells whose outputs are not compared, and why.
IGNORED = {
    "doctor": "the table describes this machine",
    "progress": "what this learner has answered so far",
}

# The usual wrong answers, each with a piece of its own hint.


WRONG_ANSWERS = {
    "00.1": [
        (0.9887, "that is a share"),
        (711, "those are the images it gets right"),
        (719, "that is how many test images there are"),
        (8.13, "nearly: images are whole, so round it."),
        (1.1, "that looks like a percentage; of how many images?"),
        (7, "subtract: all test images, less"),
        ("8 images", "expected a whole number of images"),
    ],
}

# Right answers that look different.
RIGHT_ANSWERS = [
    ("00.1", np.int64(8)),
    ("00.1", torch.tensor(8)),
    ("00.1", 8.0),
    ("00.1", torch.tensor(8.0)),
    ("00.1", Decimal(8)),
]


MEASUREMENTS = {}

# What a small copy is made of: enough to catch every row below, and quick to run.
CELLS = (
    "set-up digits strip model untrained save load quiz chooser chooser-table slider "
    "slider-table exercise-1 solution-1"
)
EDITS = (
    Edit("load", "text", r"\d\d\.\d%", "12.3%"),
    Edit("strip", "image/svg+xml", r"#[0-9a-f]{6}", "#123456"),
    Edit("chooser-table", "text/html", "ONNX", "ONYX"),
    Edit("slider", "text/plain", r"\d bits", "9 bits"),
)
# A kernel takes seconds to start, so each round alters what different cells catch.
ROUNDS = (
    (
        Mutation(
            "quantization/schemes",
            "torch.round(tensor.float() / ",
            "torch.floor(tensor.float() / ",
            "slider slider-table",
        ),
        Mutation(
            "classroom/explorers/format_chooser",
            "s <= some",
            "s < some",
            "chooser chooser-table",
        ),
        Mutation("classroom/charts/images", "255 * (1 - ", "254 * (1 - ", "strip"),
        Mutation("classroom/exercises/notebook_00", "!= label", "== label", "solution-1"),
    ),
    (
        Mutation(
            "quantization/observers",
            "bits - 1) - 1\n",
            "bits - 1)\n",
            "slider slider-table",
        ),
        Mutation("training", "== labels)", ">= labels)", "model untrained load solution-1"),
    ),
    (
        Mutation("classroom/data/digits", "state=0", "state=1", "strip model load"),
        Mutation("classroom/explorers/weight_row", "step / 2", "step", "slider"),
    ),
    (
        Mutation("classroom/data/networks", ".mean(dim=(2", ".amax(dim=(2", "model load"),
        Mutation(
            "quantization/observers",
            "high = torch.maximum(low.abs(), high.abs())",
            "high = high.abs()",
            "slider slider-table",
        ),
    ),
)
