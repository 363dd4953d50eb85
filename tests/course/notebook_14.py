"""What the tests know of notebook 14: it has no exercises and no claims of its own."""

from tests.course import Edit, Mutation

# Cells whose outputs are not compared, and why.
IGNORED = {
    "ledger-timed": "figures of other notebooks that depend on the machine",
    "progress": "what this learner has answered so far",
}

WRONG_ANSWERS = {}
RIGHT_ANSWERS = []
MEASUREMENTS = {}

# What a small copy is made of: enough to catch every row below, and quick to run. The
# ledger and the table of messages look at the other notebooks, which a copy lacks.
CELLS = (
    "set-up save-load checkpoint resume checkpoint-folder safe rename fits packed prune "
    "clinic clinic-asked quiz"
)
EDITS = (
    Edit("save-load", "text", "56", "65"),
    Edit("safe", "text", "whole pickled model", "pickled whole model"),
    Edit("clinic", "text/plain", "paste", "past"),
)
# A kernel takes seconds to start, so each round alters what different cells catch.
ROUNDS = (
    (
        Mutation(
            "classroom/clinic/entries",
            "has the right name and another shape",
            "has another shape",
            "clinic-asked",
        ),
        Mutation("quantization/packing", "bits / 8)", "bits / 4)", "packed"),
        Mutation("classroom/data/pruning", "(w == 0).sum()", "(w != 0).sum()", "prune"),
        Mutation("checkpoints/folders", "-self.keep_last :", "-1 :", "checkpoint-folder"),
        Mutation(
            "classroom/explorers/error_clinic",
            "paste a message and press the",
            "paste and press the",
            "clinic",
        ),
    ),
)
