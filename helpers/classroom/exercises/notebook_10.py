"""The checks for notebook 10's exercises."""

import copy
import math
from collections.abc import Callable

import torch
from torch import nn
from torch.nn.utils import prune

from helpers.classroom.data.digits import load_digits
from helpers.classroom.data.networks import load_reference_model
from helpers.classroom.data.pruning import prunable_layers
from helpers.classroom.exercises.checking import Exercise, no_answer
from helpers.training import accuracy


def most_percent(answer: object) -> str | None:
    """Find the most pruning, in steps of 10 %, that keeps 97 % without training."""
    if isinstance(answer, bool) or not isinstance(answer, int | float):
        return "expected a number of percent, such as 20."
    if 0 < answer < 1:
        return f"that is a share; in percent it would be {100 * answer:g}."
    if answer % 10 or not 0 <= answer <= 90:
        return f"expected one of 0, 10, 20 to 90; got {answer:g}."
    here, more = _pruned_accuracy(answer), _pruned_accuracy(min(answer + 10, 99))
    if here < 0.97:
        return f"with {answer:g} % pruned, {here:.1%} are right: that is too much."
    if more > 0.97:
        return f"{here:.1%} are right, and there is room: try {answer + 10:g} %."
    return None


def _pruned_accuracy(percent: float) -> float:
    model, digits = copy.deepcopy(load_reference_model()), load_digits()
    for layer in prunable_layers(model).values():
        prune.l1_unstructured(layer, "weight", amount=percent / 100)
    return accuracy(model, digits.test_images, digits.test_labels)


def loss_of_a_teacher(function: Callable) -> str | None:
    """Return the distillation loss, written out."""
    generator = torch.Generator().manual_seed(3)
    for temperature in (1.0, 4.0):
        student, teacher = torch.randn(2, 5, 4, generator=generator)
        found = function(student.clone(), teacher.clone(), temperature)
        if found is None:
            return no_answer(function)
        if not isinstance(found, torch.Tensor) or found.dim():
            return "expected one number for the batch: a tensor without shape."
        right = _slow_loss(student, teacher, temperature)
        if math.isclose(found, right, rel_tol=1e-4):
            continue
        known = {
            right / temperature**2: "the factor temperature**2 is missing.",
            right * len(student): "that is the sum over the batch; take its mean.",
            right / student.shape[1]: "sum over the classes, then mean over the batch.",
            _slow_loss(teacher, student, temperature): "teacher and student have changed "
            "places: p belongs to the teacher.",
            -right: "the sign is the other way round: log p - log q.",
            temperature**2 * _slow_loss(student, teacher, 1.0): "divide the logits by the "
            "temperature before the softmax.",
        }
        for wrong, hint in known.items():
            if math.isclose(found, wrong, rel_tol=1e-4):
                return hint
        return f"at temperature {temperature:g} expected {right:.4f}; got {found:.4f}."
    return None


def _slow_loss(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> float:
    total = 0.0
    for s, t in zip(student.tolist(), teacher.tolist(), strict=True):
        q = [math.exp(v / temperature) for v in s]
        p = [math.exp(v / temperature) for v in t]
        for a, b in zip(p, q, strict=True):
            total += a / sum(p) * math.log(a / sum(p) / (b / sum(q)))
    return temperature**2 * total / len(student)


def cut_layers(function: Callable) -> str | None:
    """Return two Linear layers with only the kept hidden units."""
    generator = torch.Generator().manual_seed(4)
    first, second = nn.Linear(3, 6), nn.Linear(6, 2)
    with torch.no_grad():
        for parameter in (*first.parameters(), *second.parameters()):
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    before = copy.deepcopy((first, second))
    kept = torch.tensor([0, 2, 5])
    answer = function(first, second, kept)
    if answer is None:
        return no_answer(function)
    if not isinstance(answer, tuple | list) or not all(
        isinstance(layer, nn.Linear) for layer in answer
    ):
        return "expected two Linear layers: return new_first, new_second."
    if len(answer) != 2:
        return f"expected two layers; got {len(answer)}."
    for old, new in zip(before, (first, second), strict=True):
        if not torch.equal(old.weight, new.weight) or old.weight.shape != new.weight.shape:
            return "the old layers have changed; build new ones and copy into them."
    new_first, new_second = answer
    shapes = tuple(new_first.weight.shape), tuple(new_second.weight.shape)
    if shapes != ((3, 3), (2, 3)):
        return (
            f"3 of 6 units are kept, so the weights have shapes (3, 3) and (2, 3); yours "
            f"have {shapes[0]} and {shapes[1]}."
        )
    if not torch.equal(new_first.weight, first.weight[kept]):
        return "the first layer's rows are not those of the kept units: weight[kept]."
    if new_first.bias is None or not torch.equal(new_first.bias, first.bias[kept]):
        return "a unit has a bias too: bias[kept]."
    if not torch.equal(new_second.weight, second.weight[:, kept]):
        return "the second layer's inputs are its columns: weight[:, kept]."
    if new_second.bias is None or not torch.equal(new_second.bias, second.bias):
        return "the second layer's bias stays as it is: copy it too."
    return None


EXERCISES = {
    "10.1": Exercise(most_percent, "no training, and yet so many weights were idle."),
    "10.2": Exercise(
        loss_of_a_teacher,
        "a slow loop finds the same, at two temperatures.",
        of_function=True,
    ),
    "10.3": Exercise(
        cut_layers,
        "rows of one layer, columns of the next.",
        of_function=True,
    ),
}

QUIZZES = {
    "10.q1": (
        "A phone has to run the model faster. Which pruning do you try first?",
        [
            (
                "90 % of the weights to zero",
                False,
                "A dense kernel multiplies by zero as fast as by anything else.",
            ),
            (
                "half of the channels away",
                True,
                "The tensors are smaller, so there is less to multiply, on any engine.",
            ),
            (
                "a higher temperature",
                False,
                "It changes what the student learns, not what the phone computes.",
            ),
        ],
    ),
}
