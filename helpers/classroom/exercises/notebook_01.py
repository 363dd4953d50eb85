"""The checks for notebook 01's exercises."""

import contextlib
import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from helpers.classroom.data.networks import DigitsNet
from helpers.classroom.exercises.checking import (
    Exercise,
    NotTried,
    is_stub,
    kind,
    no_answer,
)

State = dict[str, torch.Tensor]


def snapshot(function: Callable) -> str | None:
    """Return a state dict that stays as it is while the model trains on."""
    model = DigitsNet(width=2)
    spec = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    kept = function(model)
    if kept is None:
        return no_answer(function)
    if not isinstance(kept, dict):
        return (
            f"expected a state dict (a dictionary); your function returns a {kind(kept)}."
        )
    if missing := [name for name in spec if name not in kept]:
        return (
            f"{missing[0]!r} is missing. Batch-norm statistics are buffers, not "
            "parameters: start from model.state_dict()."
        )
    for name, tensor in spec.items():
        if not isinstance(kept[name], torch.Tensor):
            return f"{name!r} holds a {kind(kept[name])}; keep tensors, made by clone()."
        if not _equal(kept[name], tensor):
            return f"{name!r} has another dtype or other values in your copy."
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.add_(1)
    moved = [name for name in spec if not torch.equal(kept[name], spec[name])]
    if moved:
        return (
            f"your copy of {moved[0]!r} changed when the model did. A new dictionary is "
            "not enough: the tensors in it are still the model's own. Copy each tensor."
        )
    return None


def save_rows(function: Callable) -> str | None:
    """Save the first `count` rows of a big tensor, in a file no larger than they need."""
    weights = torch.arange(50_000.0).reshape(5_000, 10)
    count, spec = 7, torch.stack([weights[i] for i in range(7)])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.pt"
        function(weights, count, path)
        if not path.exists():
            hint = "nothing was saved at path: call torch.save(..., path)."
            return no_answer(function, hint)
        size = path.stat().st_size
        try:
            rows = torch.load(path, weights_only=True)
        except Exception:
            return (
                "torch.load finds no tensor in the file: save the tensor itself, with "
                "torch.save."
            )
    if not isinstance(rows, torch.Tensor):
        return f"expected one tensor in the file; it holds a {kind(rows)}."
    if rows.shape == weights.shape:
        return "the file holds every row; take the first `count`: weights[:count]."
    if rows.shape != spec.shape:
        found = f"the file holds shape {tuple(rows.shape)}; expected {tuple(spec.shape)}"
        if rows.shape in ((count - 1, 10), (count + 1, 10)):
            return f"{found}: a slice leaves out its end, so weights[:count]."
        return f"{found}: the first `count` rows are weights[:count]."
    if not _equal(rows, spec):
        return "the shape is right, but the dtype or the values are not those of the rows."
    smallest = io.BytesIO()
    torch.save(spec, smallest)
    if size > smallest.tell() + 1000:
        return (
            f"the rows are right, but the file has {size:,} bytes: a slice shares the big "
            "tensor's storage, and torch.save writes whole storages. detach() and "
            "contiguous() keep sharing it, copy.deepcopy copies all of it; clone() copies "
            "the rows alone."
        )
    return None


def same(function: Callable) -> str | None:
    """Say whether two state dicts are the same: names, shapes, dtypes and every value."""
    base: State = {"w": torch.tensor([[1.0, 2.0], [3.0, 4.0]]), "b": torch.zeros(2)}
    for other, missed in _others(base):
        if hint := _hint_for_a_pair(function, base, other, missed):
            return hint
    return None


def _others(base: State) -> list[tuple[State, str]]:
    """Return equal ones, one for each way to differ, and the hint for missing each."""
    return [
        (
            {name: tensor.clone() for name, tensor in base.items()},
            "two equal state dicts were called different.",
        ),
        (
            {"b": base["b"], "w": base["w"]},
            "the same entries in another order were called different: compare by name.",
        ),
        (
            base | {"w": base["w"] + 1},
            "other values under the same names were called equal.",
        ),
        (
            base | {"b": base["b"] + 1},
            "only the first name was compared: return True after the loop.",
        ),
        ({"w": base["w"]}, "a name that only the first one has went unnoticed."),
        (base | {"more": torch.ones(1)}, "a name that only the second has went unnoticed."),
        (
            base | {"w": base["w"] + torch.tensor([[0, 0], [0, 1e-6]])},
            "a difference of a millionth was called equal. The same means torch.equal, "
            "not torch.allclose.",
        ),
        (
            base | {"w": base["w"].half()},
            "float16 beside float32 was called equal. torch.equal on its own may cast: "
            "compare dtype as well.",
        ),
        (
            base | {"b": torch.zeros(1, 2)},
            "shape (2,) beside shape (1, 2) was called equal: they broadcast. torch.equal "
            "compares shapes, (a == b).all() does not.",
        ),
        (
            {"b": base["w"], "w": base["b"]},
            "values that had changed places under the names were called equal: compare by "
            "name.",
        ),
    ]


def _hint_for_a_pair(
    function: Callable, one: State, other: State, missed: str
) -> str | None:
    spec = _same_slowly(one, other)
    try:
        answer = function(dict(one), dict(other))
    except KeyError as error:
        return (
            f"your function raises KeyError: {error} where a name is missing from one "
            "side. That is an answer: False. Compare the names first."
        )
    except RuntimeError as error:
        if "ambiguous" not in str(error):
            raise
        return (
            "== between tensors gives many answers, not one. Go name by name, with "
            "torch.equal."
        )
    if answer is None:
        if is_stub(function):
            raise NotTried
        equal = "equal state dicts; end with return True."
        differ = "state dicts that differ; return False there."
        return f"your function returns nothing for two {equal if spec else differ}"
    if isinstance(answer, torch.Tensor) and answer.numel() != 1:
        return "expected True or False; your function returns a tensor of many values."
    with contextlib.suppress(TypeError, ValueError):
        if bool(answer) == spec:
            return None
    return missed


def _same_slowly(a: State, b: State) -> bool:
    if sorted(a) != sorted(b):
        return False
    for name in a:
        if a[name].dtype != b[name].dtype or a[name].shape != b[name].shape:
            return False
        for one, other in zip(a[name].flatten(), b[name].flatten(), strict=True):
            if one.item() != other.item():
                return False
    return True


def _equal(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.dtype == b.dtype and torch.equal(a, b)


EXERCISES = {
    "01.1": Exercise(
        snapshot,
        "every parameter and buffer stayed as it was while the model moved on.",
        of_function=True,
    ),
    "01.2": Exercise(
        save_rows,
        "the file holds the rows and a few hundred bytes around them.",
        of_function=True,
    ),
    "01.3": Exercise(
        same,
        "it agrees with a slow loop over every number, in ten kinds of pairs.",
        of_function=True,
    ),
}

QUIZZES = {
    "01.q1": (
        "A colleague sends best.pt, a state dict. What else do you need to use it?",
        [
            (
                "nothing, it is the model",
                False,
                "It holds tensors and names. Something must say how to compute with them.",
            ),
            (
                "the same kind of GPU",
                False,
                "Tensors can go anywhere: map_location says where. Notebook 04 has more.",
            ),
            (
                "the class and its arguments",
                True,
                "You build the same model from your own code, then fill it.",
            ),
        ],
    ),
}
