"""The checks for notebook 07's exercises."""

import math
from collections.abc import Callable, Mapping

import torch

from helpers.classroom.exercises.checking import Exercise, no_answer

# Largest errors of the reference model's logits on the test images: notebook 07 measures
# them, with runtimes and with rounded numbers.
FLOAT32, FLOAT16, BFLOAT16 = 1e-5, 0.012, 0.06


def tolerance(answer: object) -> str | None:
    """Choose a tolerance that tells float32 from float16 and bfloat16."""
    if isinstance(answer, bool) or not isinstance(answer, int | float):
        return "expected a number, such as 0.5."
    if math.isnan(answer) or answer <= 0:
        return "expected a number above 0: no two runtimes add in the same order."
    if answer <= FLOAT32:
        return f"{answer:g} refuses float32 itself, whose error is near {FLOAT32:g}."
    if answer < 2 * FLOAT32:
        return f"{answer:g} leaves no room: another processor's float32 may fail."
    if answer >= BFLOAT16:
        return f"{answer:g} lets bfloat16 pass, whose error is {BFLOAT16:g} or more."
    if answer >= FLOAT16 / 2:
        return f"{answer:g} is too near the error of float16, about {FLOAT16:g}, or above."
    return None


def agrees(function: Callable) -> str | None:
    """Write a parity check for a runtime of which only `run` is known."""
    images = torch.linspace(0, 1, 130).reshape(65, 2)
    weights = torch.tensor([[1.0, -2.0], [0.5, 3.0]])

    def expected(x: torch.Tensor) -> torch.Tensor:
        return x @ weights

    answer = function(expected, images, expected(images))
    if answer is None:
        return no_answer(function)
    if not isinstance(answer, bool):
        return f"expected True or False, got a {type(answer).__name__}: use bool(...)."
    if not answer:
        return "it refuses a runtime whose answers are the same to the last bit."
    if not function(lambda x: expected(x) + 2e-6, images, expected(images)):
        return "it refuses a difference of 2e-06: == is too strict, use a tolerance."
    wrong = {
        "logits that are all 0.1 too large, and keep their class": lambda x: (
            expected(x) + 0.1
        ),
        "logits that are too small: take abs() before max()": lambda x: expected(x) - 0.1,
        "a runtime that fails in one image of 65": lambda x: (
            expected(x) + (x[:, :1] == images[64, 0]) * 0.1
        ),
        "a runtime whose answer is NaN": lambda x: expected(x) * math.nan,
        "a runtime that is wrong at batch 1 only": lambda x: (
            expected(x) + 0.1 * (len(x) == 1)
        ),
    }
    for what, run in wrong.items():
        if function(run, images, expected(images)):
            return f"it passes {what}."
    return None


def threads(function: Callable) -> str | None:
    """Choose the threads of a session for the most answers in a second."""
    cases = (
        ({1: 0.40, 2: 0.25, 4: 0.20}, 4, 1),
        ({1: 8.0, 2: 3.9, 4: 2.2}, 4, 2),
        ({1: 8.0, 2: 4.1, 4: 1.5}, 4, 4),
        ({1: 9.0, 2: 4.0, 8: 0.5}, 2, 2),
    )
    for times, cores, right in cases:
        answer = _chosen(function, times, cores)
        if answer is None:
            return no_answer(function)
        if answer == right:
            continue
        case = f"for {times} on {cores} cores"
        if answer not in times:
            return f"{case} you return {answer!r}; expected one of {list(times)}."
        if answer > cores:
            return f"{case} you return {answer}: more threads than cores."
        if answer == min(times, key=times.get):
            return (
                f"{case} {answer} threads are the fastest for one image, but only "
                f"{cores // answer} such sessions fit side by side. Count answers."
            )
        return f"{case} {right} gives the most answers; you return {answer}."
    return None


def _chosen(function: Callable, times: Mapping[int, float], cores: int) -> object:
    return function(dict(times), cores)


EXERCISES = {
    "07.1": Exercise(
        tolerance,
        "float32 passes with room to spare, float16 and bfloat16 are refused.",
    ),
    "07.2": Exercise(
        agrees,
        "five broken runtimes are refused, and rounding is forgiven.",
        of_function=True,
    ),
    "07.3": Exercise(
        threads,
        "the fastest single answer and the most answers are different settings.",
        of_function=True,
    ),
}

QUIZZES = {
    "07.q1": (
        "A runtime gives the right class for all 719 images. Is it the same model?",
        [
            (
                "yes, the classes are what counts",
                False,
                "bfloat16 gives them, too. Its logits are off by more than 0.05, and an "
                "image near the edge will tip over.",
            ),
            (
                "not shown: compare the logits",
                True,
                "The class hides all but the largest number, and all but its rank.",
            ),
            (
                "no, runtimes never agree",
                False,
                "Those that compute in float32 agree to 1e-4 here.",
            ),
        ],
    ),
    "07.q2": (
        "Your model must run on an iPhone. What do you keep?",
        [
            (
                "the .onnx file alone",
                False,
                "Core ML's converter takes PyTorch, not ONNX.",
            ),
            (
                "the .mlpackage alone",
                False,
                "The next target will need another file, made from PyTorch again.",
            ),
            (
                "the weights and the code of the model",
                True,
                "Every conversion starts there: an export is a copy, not the source.",
            ),
        ],
    ),
}
