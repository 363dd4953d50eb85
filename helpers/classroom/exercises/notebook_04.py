"""The checks for notebook 04's exercises."""

import copy
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from helpers.classroom.data.networks import SimpleNet
from helpers.classroom.exercises.checking import Exercise, NotTried, is_stub, no_answer

State = dict[str, torch.Tensor]


def anywhere(function: Callable) -> str | None:
    """Keep on the CPU what came from any CUDA device; return None for every other name."""
    storage = torch.ones(2).untyped_storage()
    answers = {}
    for name in ("cuda:0", "cuda:1", "cuda:12", "cuda", "cpu", "mps", "xpu:0", "meta"):
        try:
            answers[name] = function(storage, name)
        except KeyError as error:
            return (
                f"your function raises KeyError: {error}; there may be any number of GPUs."
            )
    if all(answer is None for answer in answers.values()):
        if is_stub(function):
            raise NotTried
        return "your function returns None for 'cuda:0'; return the storage itself there."
    for name, answer in answers.items():
        from_cuda = name.split(":")[0] == "cuda"
        if isinstance(answer, str | torch.device):
            return (
                f"for {name!r} your function returns {answer!r}. A dictionary answers "
                "with a name, a function with the storage, placed: return storage."
            )
        if from_cuda and answer is None:
            return f"{name!r} is a CUDA device too; compare how the name begins."
        if not from_cuda and answer is not None:
            return f"{name!r} is not CUDA; return None there, and torch goes by the file."
        if from_cuda and answer is not storage:
            return f"for {name!r}, return the storage that your function was given."
    return None


def move(function: Callable) -> str | None:
    """Move the model, and bring the optimizer's state along."""
    batch = torch.arange(6.0).reshape(2, 3)
    torch.manual_seed(0)
    model = SimpleNet(3, 4, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    for _ in range(2):
        _step(model, optimizer, batch)
    parameters = list(model.parameters())
    averages = [optimizer.state[p]["exp_avg"].clone() for p in parameters]
    # The obvious way: every tensor by hand, in a copy of both.
    spec_model, spec_optimizer = copy.deepcopy((model, optimizer))
    spec_model.to(torch.float64)
    for state in spec_optimizer.state.values():
        for name in ("exp_avg", "exp_avg_sq"):
            state[name] = state[name].to(torch.float64)

    function(model, optimizer, torch.float64)

    if any(p.dtype != torch.float64 for p in model.parameters()):
        if is_stub(function):
            raise NotTried("nothing has moved yet; begin with model.to(where).")
        return "the model is still in float32: call model.to(where)."
    if any(a is not b for a, b in zip(model.parameters(), parameters, strict=True)):
        return "the model has other parameters now; model.to(where) changes the old ones."
    states = [optimizer.state.get(p, {}) for p in parameters]
    if any("exp_avg" not in state for state in states):
        return "the optimizer's averages are gone: it would start anew. Move them as well."
    if any(state["exp_avg"].dtype != torch.float64 for state in states):
        return (
            "the optimizer's averages are still in float32. optimizer.load_state_dict puts "
            "what it loads where the parameters are, so call it after model.to, with the "
            "optimizer's own state."
        )
    if any(state["exp_avg_sq"].dtype != torch.float64 for state in states):
        return "the optimizer has two averages; exp_avg_sq is still in float32."
    if any(
        not torch.equal(state["exp_avg"].float(), old)
        for state, old in zip(states, averages, strict=True)
    ):
        return "the optimizer's averages have other values now; they should only move."
    _step(spec_model, spec_optimizer, batch.double())
    _step(model, optimizer, batch.double())
    pairs = zip(model.parameters(), spec_model.parameters(), strict=True)
    if not all(torch.equal(a, b) for a, b in pairs):
        return (
            "the next step differs from the one with every tensor moved by hand; move the "
            "whole state, and leave the step counters as they are."
        )
    return None


def _step(model: SimpleNet, optimizer: torch.optim.Optimizer, batch: torch.Tensor) -> None:
    optimizer.zero_grad()
    model(batch).square().sum().backward()
    optimizer.step()


def save_half(function: Callable) -> str | None:
    """Save floats in float16 where they fit, and all the rest unchanged."""
    state: State = {
        "weight": torch.tensor([[0.1, -2.0], [3.5, 65504.0]]),
        "running_var": torch.tensor([1.0, 70_000.0]),
        "running_mean": torch.tensor([-70_000.0, 0.5]),
        "num_batches_tracked": torch.tensor(2049),
    }
    before = {name: tensor.clone() for name, tensor in state.items()}
    spec = {name: before[name] for name in before} | {"weight": before["weight"].half()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "half.pt"
        function(state, path)
        if not path.exists():
            hint = "nothing was saved at path: call torch.save(..., path)."
            return no_answer(function, hint)
        try:
            saved = torch.load(path, weights_only=True)
        except Exception:
            return "torch.load cannot read the file; write it with torch.save."
    if any(state.get(k) is None or not _equal(state[k], before[k]) for k in before):
        return "the state dict that you were given has changed; fill a new dictionary."
    if not isinstance(saved, dict):
        return f"expected a dictionary in the file; it holds a {type(saved).__name__}."
    if missing := [name for name in spec if name not in saved]:
        return f"{missing[0]!r} is missing in the file; what does not fit stays as it is."
    for name in spec:
        if not isinstance(saved[name], torch.Tensor):
            kind = type(saved[name]).__name__
            return f"{name!r} holds a {kind} in the file; it has to stay a tensor."
    counter = saved["num_batches_tracked"]
    if counter.is_floating_point():
        return (
            f"the counter 2049 has become {counter.item():g}: integers stay as they "
            "are. Ask tensor.is_floating_point()."
        )
    if saved["weight"].dtype == torch.float32:
        return "'weight' is still in float32; its largest number, 65504, fits into float16."
    if saved["weight"].dtype == torch.bfloat16:
        return "'weight' is in bfloat16; the task says float16: tensor.half()."
    for name, which in (("running_var", "70,000"), ("running_mean", "-70,000")):
        if bool(saved[name].isinf().any()):
            sign = " (look at abs())" if name == "running_mean" else ""
            return (
                f"{which} has become infinite in {name!r}. The largest float16 is "
                f"torch.finfo(torch.float16).max{sign}: keep such a tensor in float32."
            )
    for name, tensor in spec.items():
        if not _equal(saved[name], tensor):
            return f"{name!r} has another dtype, or other values, than it should have."
    return None


def _equal(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.dtype == b.dtype and torch.equal(a, b)


EXERCISES = {
    "04.1": Exercise(
        anywhere,
        "every CUDA device leads to the CPU, and all other names are left to torch.",
        of_function=True,
    ),
    "04.2": Exercise(
        move,
        "the next step is the one that follows when each tensor is moved by hand.",
        of_function=True,
    ),
    "04.3": Exercise(
        save_half,
        "what fits takes two bytes, and nothing became infinite or lost its count.",
        of_function=True,
    ),
}

QUIZZES = {
    "04.q1": (
        "On a laptop, torch.load says: Attempting to deserialize object on a CUDA device. "
        "What is wrong?",
        [
            (
                "nothing said where else to put the tensors",
                True,
                "map_location='cpu' says it. The file named the GPU it came from.",
            ),
            (
                "the file is damaged",
                False,
                "Every number is there. The file names a place that this machine lacks.",
            ),
            (
                "the weights only work on a GPU",
                False,
                "Numbers are numbers. Only the place they are put first is missing.",
            ),
            (
                "weights_only refused it",
                False,
                "That error begins with: Weights only load failed. Notebook 03 has it.",
            ),
        ],
    ),
}
