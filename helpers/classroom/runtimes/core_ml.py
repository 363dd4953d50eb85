"""Convert for Core ML, Apple's runtime: from PyTorch, since it does not read ONNX files."""

import platform
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

# Before coremltools does it, with warnings.
from helpers.classroom.runtimes.torchao_import import torchao  # noqa: F401
from helpers.quiet import leave_out

MOST = 64  # images at once, which the converted model accepts
# What coremltools says where nothing is wrong: which versions it was not tested with,
# what only a Mac has, and how far it is.
STRAY_LINES = {
    "coremltools": (
        r"^scikit-learn version .* is not supported|^Torch version .* has not been tested"
        r"|^Failed to load _ML"
    )
}
STRAY_WARNINGS = (r"`isinstance\(treespec, LeafSpec\)` is deprecated",)  # torch's own code
PROGRESS = (r"(Converting|Running) .*:\s+\d+%\|", r"\s*$")


def missing() -> str:
    """Say why nothing can be converted here; an empty text if it can."""
    if find_spec("coremltools"):
        return ""
    return "coremltools is not installed: `make runtimes` installs it"


def runs_here() -> bool:
    """Tell whether this machine can also run the result: only macOS can."""
    return platform.system() == "Darwin" and not missing()


def convert(model: nn.Module, images: torch.Tensor, path: Path):
    """Write a Core ML package in float32; return coremltools' model.

    Args:
        model: in eval mode, from (N, 1, 8, 8).
        images: (N, 1, 8, 8), two or more, as an example.
        path: a folder that ends in .mlpackage.
    """
    batch = torch.export.Dim("batch", min=1, max=MOST)
    program = torch.export.export(model, (images,), dynamic_shapes=({0: batch},))
    with leave_out(STRAY_LINES, STRAY_WARNINGS, PROGRESS):
        import coremltools

        converted = coremltools.convert(
            program.run_decompositions({}),
            convert_to="mlprogram",
            compute_precision=coremltools.precision.FLOAT32,
        )
        converted.save(str(path))
    return converted


def answer(converted, images: torch.Tensor) -> torch.Tensor:
    """Map images to logits (N, 10) by a converted model, MOST at once; needs macOS.

    Args:
        converted: what `convert` returned.
        images: (N, 1, 8, 8).
    """
    ((name, output),) = ((i.name, o.name) for i, o in _places(converted))
    parts = [converted.predict({name: some.numpy()})[output] for some in images.split(MOST)]
    return torch.cat([torch.from_numpy(part) for part in parts])


def _places(converted):
    description = converted.get_spec().description
    return zip(description.input, description.output, strict=True)
