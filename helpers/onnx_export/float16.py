"""Make an ONNX file half as large: float16, with ONNX Runtime's converter.

Save, Load, Ship 0.2.0: helpers/onnx_export/float16.py · repairs: CHANGELOG.md
"""

import os
from pathlib import Path

import onnx
from onnxruntime.quantization.onnx_model import ONNXModel

from helpers.onnx_export.files import atomic_path, read_onnx
from helpers.onnx_export.running import session


def to_float16_onnx(source: str | os.PathLike, target: str | os.PathLike) -> Path:
    """Write a float16 copy of a model; its inputs and outputs stay float32.

    Weights beyond float16's largest number, 65,504, become that number.

    Raises:
        FileNotFoundError: there is no source, or no folder for the target.
        ValueError: the source is not an ONNX file.

    >>> import tempfile
    >>> from torch import nn, rand
    >>> from helpers.onnx_export import export_onnx
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     large = export_onnx(nn.Linear(64, 64), rand(2, 64), f"{folder}/m.onnx")
    ...     small = to_float16_onnx(large, f"{folder}/m16.onnx")
    ...     small.stat().st_size < 0.7 * large.stat().st_size
    True
    """
    from onnxruntime.transformers import float16

    small = ONNXModel(
        float16.convert_float_to_float16(read_onnx(source), keep_io_types=True)
    )
    # The converter puts the casts of the inputs at the end, where ONNX forbids them.
    small.topological_sort()
    with atomic_path(target) as new:
        onnx.save(small.model, new)
        session(new)
    return Path(target)
