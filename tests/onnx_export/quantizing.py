"""A small model, quantized in each way, and what the tests ask of its file."""

from pathlib import Path

import numpy as np
import torch
from onnx import numpy_helper
from torch import nn

from helpers.onnx_export import (
    quantize_4bit_onnx,
    quantize_dynamic_onnx,
    quantize_static_onnx,
    read_onnx,
    run,
    session,
    to_float16_onnx,
)

WIDTH = 256


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(WIDTH, WIDTH)
        self.second = nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        return self.second(torch.relu(self.first(x)))


def rows(count: int) -> torch.Tensor:
    return torch.rand(count, WIDTH, generator=torch.Generator().manual_seed(count))


def quantize(kind: str, source: Path, target: Path, **options) -> Path:
    make = {
        "dynamic": quantize_dynamic_onnx,
        "static": lambda *paths, **o: quantize_static_onnx(*paths, rows(200), **o),
        "float16": to_float16_onnx,
        "4bit": quantize_4bit_onnx,
    }
    return make[kind](source, target, **options)


def error(path: Path, source: Path, inputs: torch.Tensor) -> float:
    """Norm of the difference over the norm of what the float32 file answers."""
    exact = run(session(source), inputs)
    return float((run(session(path), inputs) - exact).norm() / exact.norm())


def constants(path: Path) -> dict[str, np.ndarray]:
    graph = read_onnx(path).graph
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
