"""From a PyTorch model to an ONNX file, to a smaller one, and to answers.

Begin with `exporting.py`. `running.py` runs the file in ONNX Runtime, `parity.py` compares
it with the model, `describing.py` says what is in it, and `files.py` reads and writes it.
`runtime_quantization.py`, with its `calibration.py` and `nodes.py`, and `float16.py` make
it smaller.

Save, Load, Ship 0.2.0: helpers/onnx_export/__init__.py · repairs: CHANGELOG.md
"""

from helpers.onnx_export.describing import Description, describe
from helpers.onnx_export.exporting import export_onnx
from helpers.onnx_export.files import read_onnx
from helpers.onnx_export.float16 import to_float16_onnx
from helpers.onnx_export.parity import Parity, check_parity
from helpers.onnx_export.running import run, session
from helpers.onnx_export.runtime_quantization import (
    quantize_4bit_onnx,
    quantize_dynamic_onnx,
    quantize_static_onnx,
)

__all__ = [
    "Description",
    "Parity",
    "check_parity",
    "describe",
    "export_onnx",
    "quantize_4bit_onnx",
    "quantize_dynamic_onnx",
    "quantize_static_onnx",
    "read_onnx",
    "run",
    "session",
    "to_float16_onnx",
]
