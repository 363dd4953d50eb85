"""Runtimes that this course does not run: what they take, what they need, what was seen."""

from typing import NamedTuple

from helpers.classroom.runtimes import tensorrt


class Elsewhere(NamedTuple):
    """One of them.

    Attributes:
        takes: the kind of file.
        takes_onnx: whether an .onnx file is enough.
        needs: to convert and to run.
        seen: what happened when it was tried, with date and versions.
    """

    takes: str
    takes_onnx: bool
    needs: str
    seen: str


# Tried on 24 November 2026, on Linux with Python 3.11, each in an environment of its own
# except Core ML. Whoever changes a row tries it again.
ELSEWHERE = {
    "TensorRT": Elsewhere(
        takes=".onnx",
        takes_onnx=True,
        needs="an NVIDIA GPU; trtexec builds an engine for just that GPU",
        seen=f"untried, no GPU at hand; the list of {tensorrt.VERSION} has every operator",
    ),
    "Core ML": Elsewhere(
        takes=".mlpackage, from PyTorch",
        takes_onnx=False,
        needs="coremltools to convert, macOS or iOS to run",
        seen="coremltools 9.0 converts it from torch 2.13.0, which it warns is too new",
    ),
    "LiteRT": Elsewhere(
        takes=".tflite, from PyTorch or .onnx",
        takes_onnx=False,
        needs="litert-torch or onnx2tf to convert, ai-edge-litert to run",
        seen="litert-torch 0.10.0: 719 of 719 alike, error 7e-06, fixed batch; "
        "onnx2tf 1.29.24: 719 of 719, 8e-06, any batch, images as N x 8 x 8 x 1",
    ),
}
