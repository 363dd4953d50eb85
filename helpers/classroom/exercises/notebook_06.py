"""The checks for notebook 06's exercises."""

import math
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from helpers.classroom.data.digits import load_digits
from helpers.classroom.data.networks import load_reference_model
from helpers.classroom.exercises.checking import Exercise, NotTried, is_stub, no_answer
from helpers.onnx_export import export_onnx, run, session
from helpers.quiet import capture_output

# Between what rounding does to the reference model's logits, and what float16 does.
ROUNDING, FLOAT16 = 1e-5, 1e-2


def worst(function: Callable) -> str | None:
    """Find the largest absolute difference, and the input where it is."""
    expected = torch.zeros(5, 3)
    for row, column, miss in ((3, 1, 0.5), (0, 2, -2.0), (4, 0, -0.25)):
        found = expected.clone()
        found[1] += 0.1  # small misses everywhere in one input
        found[row, column] += miss
        answer = function(expected, found)
        if answer is None:
            return no_answer(function)
        if not isinstance(answer, tuple | list) or len(answer) != 2:
            return "expected two results: return largest, number."
        largest, number = (float(part) for part in answer)
        case = f"for a miss of {miss:g} at input {row}, output {column},"
        is_largest = math.isclose(largest, abs(miss), rel_tol=1e-5)
        if is_largest and number == row:
            continue
        signed = [(expected - found).max().item(), (found - expected).max().item()]
        if not is_largest and any(math.isclose(largest, v, abs_tol=1e-6) for v in signed):
            return (
                f"{case} you report {largest:g}: take the absolute value, then the largest."
            )
        if is_largest:
            if number == row * 3 + column:
                return (
                    f"{case} you return {number:g}, counted over all numbers; which input?"
                )
            if number == column:
                return f"{case} you return {number:g}: that is the output, not the input."
            return f"{case} the difference is right, the input is {row}, not {number:g}."
        if largest < abs(miss):
            return f"{case} you report {largest:.3g}. A mean hides it; take the largest."
        return f"{case} you report {largest:.3g}; expected {abs(miss):g}."
    return None


def tolerance(answer: object) -> str | None:
    """Choose a tolerance between rounding and float16."""
    if isinstance(answer, bool) or not isinstance(answer, int | float):
        return "expected one number, such as 0.5."
    if not answer > 0:
        return (
            f"{answer:g} would ask for equality to the last bit; no other runtime gives it."
        )
    if answer < 2 * ROUNDING:
        return (
            f"{answer:g} leaves no room: rounding alone comes to about {ROUNDING:g} here, "
            "and to a bit more on another processor."
        )
    if answer >= FLOAT16:
        return f"{answer:g} lets the float16 file pass, which misses by about {FLOAT16:g}."
    if answer > FLOAT16 / 2:
        return (
            f"{answer:g} is so near to float16's {FLOAT16:g} that chance decides; go lower."
        )
    return None


def scaled(answer: object) -> str | None:
    """Rewrite a module with a data-dependent branch so that it can be exported."""
    module = _built(answer)
    if isinstance(module, str):
        return module
    bright, dark = torch.rand(3, 1, 8, 8) * 16, torch.rand(3, 1, 8, 8)
    mixed = torch.cat([dark[:1], bright[:1]])
    cases = {"raw ink": bright, "ink from 0 to 1": dark, "a batch of both": mixed}
    for name, x in cases.items():
        found = module(x)
        if not isinstance(found, torch.Tensor):
            return f"for {name} your module returns {_kind(found)}; expected a tensor."
        wanted = x / 16 if x.max() > 1 else x
        if found.shape != wanted.shape or not torch.allclose(found, wanted):
            more = ": Scale decides once for the whole batch" if x is mixed else ""
            return f"for {name} your module returns something else than Scale{more}."
    return _exported(module, bright, cases)


def reader(answer: object) -> str | None:
    """Wrap the model with its pre-processing and return the class."""
    module = _built(answer, load_reference_model())
    if isinstance(module, str):
        return module
    images = load_digits().test_images[:64]
    pictures = (255 * (1 - images)).round().to(torch.uint8).permute(0, 2, 3, 1)
    with torch.no_grad():
        wanted = load_reference_model()(images).argmax(dim=1)
    found = module(pictures)
    if found is None and is_stub(getattr(answer, "forward", None)):
        raise NotTried
    if not isinstance(found, torch.Tensor):
        return f"your module returns {_kind(found)}; expected a tensor of classes."
    if found.shape == (64, 10):
        return "you return a number for each class; the class is where the largest is."
    if found.shape != wanted.shape or found.dtype != torch.int64:
        return (
            f"you return {str(found.dtype).removeprefix('torch.')} {tuple(found.shape)}; "
            "expected int64 (64,)."
        )
    right = (found == wanted).double().mean().item()
    if right < 1:
        return (
            f"{right:.0%} of the classes are the model's: it wants ink, 0 for paper and 1 "
            "for the darkest, and here paper is 255. Are they divided, and inverted?"
        )
    return _exported(module, pictures, {"the test images": pictures})


def _built(answer: object, *arguments) -> nn.Module | str:
    """Return a module, made from the learner's class, or a hint."""
    if isinstance(answer, nn.Module):
        return answer.eval()
    if not isinstance(answer, type) or not issubclass(answer, nn.Module):
        return "expected your class, a torch.nn.Module, without brackets behind its name."
    return answer(*arguments).eval()


def _exported(module: nn.Module, example: torch.Tensor, cases: dict) -> str | None:
    """Export the module and compare it with its file; return a hint where that fails."""
    with tempfile.TemporaryDirectory() as folder, capture_output("torch", "onnxscript"):
        try:
            path = export_onnx(module, example[:2], Path(folder) / "answer.onnx")
        except torch.onnx.OnnxExporterError as error:
            if "data-dependent" in str(error):
                return "the numbers are right, but there is still an if that looks at data."
            return f"it cannot be exported: {str(error).partition('.')[0]}."
        ort_session = session(path)
        for name, x in cases.items():
            with torch.no_grad():
                wanted = module(x)
            found = run(ort_session, x)
            if not torch.allclose(wanted, found, atol=1e-4):
                return f"for {name} the file answers otherwise than the module."
    return None


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"


EXERCISES = {
    "06.1": Exercise(
        worst,
        "one number and one place: with these you know whether, and where to look.",
        of_function=True,
    ),
    "06.2": Exercise(
        tolerance,
        "above what rounding explains, well below what another format does.",
    ),
    "06.3": Exercise(
        scaled,
        "raw, scaled and mixed batches agree, in PyTorch and in the file.",
    ),
    "06.4": Exercise(
        reader,
        "64 pictures as the camera sends them, and the file answers with the same classes.",
    ),
}

QUIZZES = {
    "06.q1": (
        "The file's output has the right shape, and 5 images get the right class. Enough?",
        [
            (
                "yes, the shape and the classes are right",
                False,
                "A model in training mode does as well. Compare numbers, over many inputs.",
            ),
            (
                "no, the numbers must be equal to the last bit",
                False,
                "No two runtimes add in the same order. Choose a tolerance beforehand.",
            ),
            (
                "no, compare all numbers in several batch sizes",
                True,
                "A wrong mode, a fixed batch or another precision shows only there.",
            ),
        ],
    ),
    "06.q2": (
        "You receive model.onnx of 900 bytes, said to be a network of 4 MB. What is wrong?",
        [
            (
                "its weights are in a second file that was not sent",
                True,
                "The small file holds the graph and the name of the other one.",
            ),
            (
                "nothing, ONNX compresses well",
                False,
                "It does not compress at all: 4 bytes for each float32.",
            ),
            (
                "graph optimisation removed the weights",
                False,
                "Optimisation leaves the weights in place.",
            ),
        ],
    ),
}
