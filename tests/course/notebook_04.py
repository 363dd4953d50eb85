"""What the tests know of notebook 04: its usual wrong answers, claims and bites."""

import torch

from helpers.classroom.exercises import claims
from helpers.classroom.exercises.claims import MIME, Verdict
from tests.course import Edit, Mutation, cell, run

# Cells whose outputs are not compared, and why.
IGNORED = {
    "best": "the devices of this machine",
    "on-gpu": "needs a GPU, whose kind decides the message",
    "devices-gpu": "needs a GPU, whose kind decides the message",
}

# The usual wrong answers, each with a piece of its own hint.


def new_optimizer(model, optimizer, where):
    model.to(where)
    fresh = torch.optim.AdamW(model.parameters())
    optimizer.load_state_dict(fresh.state_dict())


def new_parameters(model, optimizer, where):
    for layer in (model.hidden, model.output):
        layer.weight = torch.nn.Parameter(layer.weight.detach().to(where))
        layer.bias = torch.nn.Parameter(layer.bias.detach().to(where))


def one_average(model, optimizer, where):
    model.to(where)
    for state in optimizer.state.values():
        state["exp_avg"] = state["exp_avg"].to(where)


def from_zero(model, optimizer, where):
    model.to(where)
    for state in optimizer.state.values():
        for name in ("exp_avg", "exp_avg_sq"):
            state[name] = torch.zeros_like(state[name], dtype=where)


def counts_anew(model, optimizer, where):
    model.to(where)
    optimizer.load_state_dict(optimizer.state_dict())
    for state in optimizer.state.values():
        state["step"].zero_()


def save_if(fits, cast=torch.Tensor.half):
    """Exercise 04.3 with another idea of what fits."""

    def save(state_dict, path):
        small = {k: cast(t) if fits(t) else t for k, t in state_dict.items()}
        torch.save(small, path)

    return save


def floats(tensor):
    return tensor.is_floating_point()


def spoils_its_input(state_dict, path):
    for name, tensor in state_dict.items():
        state_dict[name] = tensor.half()
    torch.save(state_dict, path)


WRONG_ANSWERS = {
    "04.1": [
        (
            lambda storage, name: storage if name.endswith("gpu") else None,
            "returns None for 'cuda:0'",
        ),
        (lambda storage, name: storage, "'cpu' is not CUDA; return None there"),
        (
            lambda storage, name: storage if name == "cuda:0" else None,
            "'cuda:1' is a CUDA device too",
        ),
        (
            lambda storage, name: storage if ":" in name else None,
            "'cuda' is a CUDA device too",
        ),
        (
            lambda storage, name: storage if name != "cpu" else None,
            "'mps' is not CUDA; return None there",
        ),
        (lambda storage, name: "cpu", "a function with the storage, placed"),
        (lambda storage, name: {"cuda:0": storage}[name], "raises KeyError: 'cuda:1'"),
        (
            lambda storage, name: storage.clone() if name.startswith("cuda") else None,
            "return the storage that your function was given",
        ),
        ({"cuda:0": "cpu"}, "without brackets behind its name"),
    ],
    "04.2": [
        (lambda model, optimizer, where: model.to(where), "averages are still in float32"),
        (lambda model, optimizer, where: print(where), "the model is still in float32"),
        (new_optimizer, "the optimizer's averages are gone"),
        (new_parameters, "the model has other parameters now"),
        (one_average, "the optimizer has two averages"),
        (from_zero, "the optimizer's averages have other values now"),
        (counts_anew, "differs from the one with every tensor moved by hand"),
        ("cuda", "without brackets behind its name"),
    ],
    "04.3": [
        (save_if(lambda t: True), "the counter 2049 has become 2048"),
        (save_if(floats), "70,000 has become infinite in 'running_var'"),
        (
            save_if(lambda t: floats(t) and t.max() < 65504.1),
            "-70,000 has become infinite in 'running_mean'. The largest float16 is "
            "torch.finfo(torch.float16).max (look at abs())",
        ),
        (save_if(lambda t: False), "'weight' is still in float32; its largest number"),
        (save_if(floats, torch.Tensor.bfloat16), "'weight' is in bfloat16"),
        (spoils_its_input, "the state dict that you were given has changed"),
        (
            lambda state, path: torch.save(
                {k: t.half() for k, t in state.items() if floats(t)}, path
            ),
            "'num_batches_tracked' is missing in the file",
        ),
        (lambda state, path: torch.save(list(state), path), "it holds a list"),
        (
            lambda state, path: torch.save({k: t.tolist() for k, t in state.items()}, path),
            "'weight' holds a list in the file; it has to stay a tensor.",
        ),
        (lambda state, path: path.write_text("half"), "write it with torch.save"),
        (lambda state, path: {k: t.half() for k, t in state.items()}, "nothing was saved"),
        (torch.zeros(1), "without brackets behind its name"),
    ],
}

# Right answers that look different.


def by_hand(model, optimizer, where):
    model.to(where)
    for state in optimizer.state.values():
        for name in state.keys() - {"step"}:
            state[name] = state[name].to(where)


RIGHT_ANSWERS = [
    (
        "04.1",
        lambda storage, name: storage if torch.device(name).type == "cuda" else None,
    ),
    ("04.2", by_hand),
    (
        "04.3",
        save_if(
            lambda t: floats(t) and t.abs().max() <= torch.finfo(torch.float16).max,
        ),
    ),
]

# id of a claim -> for each verdict that can come out, a measurement that leads to it.


def loads(without: str) -> Verdict:
    """Claim 04.a where the trial without a GPU came out so."""
    source = cell("04_devices.ipynb", "claim-verdict")
    return run(source, claims=claims, without=without)


def halves(of_model: float, of_large: float) -> Verdict:
    """Claim 04.b where the files shrink to these shares."""
    source = cell("04_devices.ipynb", "half-claim")
    return run(source, claims=claims, ratio=of_model, large_ratio=of_large)


MEASUREMENTS = {
    "04.a": {
        False: lambda: loads("Attempting to deserialize object on a CUDA device"),
        True: lambda: loads("loaded on cpu"),
    },
    "04.b": {
        None: lambda: halves(0.57, 0.5),
        True: lambda: halves(0.5, 0.5),
        False: lambda: halves(0.57, 0.51),
    },
}

# What a small copy is made of: enough to catch every row below, and quick to run.
CELLS = (
    "set-up best default tag tag-checkpoint refused repaired map map-table load "
    "load-helper load-refused optimizer optimizer-error optimizer-repair half half-table "
    "half-large half-claim range range-refused devices dtypes slider slider-table "
    "exercise-1 solution-1 exercise-2 solution-2 exercise-3 solution-3"
)
EDITS = (
    Edit("default", "text/html", "meta", "cpu"),
    Edit("tag-checkpoint", "text", r"\d\d\d", "143"),
    Edit("refused", "evalue", "CUDA device", "TPU device"),
    Edit("half-claim", MIME, '"holds": null', '"holds": true'),
    Edit("dtypes", "source", r"torch.from_numpy\(array\)", "batch"),  # raises no more
)
# A kernel takes seconds to start, so each round alters what different cells catch.
ROUNDS = (
    (
        Mutation("devices", 'map_location="cpu", ', "", "load-helper"),
        Mutation("devices", "is not available; this", "is gone; this", "load-refused"),
        Mutation(
            "classroom/faults/gpu_files",
            'name == "step"',
            'name == "stop"',
            "tag-checkpoint",
        ),
        Mutation("dtypes", "if not cut and", "if cut and", "slider slider-table"),
        Mutation(
            "dtypes",
            "if not is_dense or not tensor.is_floating",
            "if not is_dense or tensor.dim() < 9 or tensor.is_floating",
            "half-table half-large half-claim range-refused",
        ),
        Mutation(
            "classroom/exercises/notebook_04",
            '[0] == "cuda"',
            '[0] != "cuda"',
            "solution-1",
        ),
    ),
    (
        Mutation(
            "classroom/faults/gpu_files",
            "else device",
            'else "cpu"',
            "tag tag-checkpoint refused map-table",
        ),
        Mutation("dtypes", "cast[name].isinf()", "cast[name].isnan()", "range-refused"),
        Mutation(
            "classroom/explorers/fraction_bits",
            "{9 + bits} bits",
            "{8 + bits} bits",
            "slider",
        ),
        Mutation(
            "classroom/exercises/notebook_04",
            "spec_model.to(torch.float64)",
            "spec_model.to(torch.float32)",
            "solution-2",
        ),
    ),
    (
        Mutation(
            "classroom/explorers/fraction_bits",
            "(now == digits()",
            "(now != digits()",
            "slider slider-table",
        ),
    ),
)
