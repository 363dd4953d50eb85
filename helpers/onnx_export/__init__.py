"""From a PyTorch model to an ONNX file, to a smaller one, and to answers.

Begin with `exporting.py`. `runtime_quantization.py` makes the file smaller,
`running.py` runs it in ONNX Runtime, `parity.py` compares it with the model,
`describing.py` says what is in it, and `files.py` reads and writes it. `listening.py`
collects what the exporter says.
"""

from helpers.onnx_export.describing import Description, describe
from helpers.onnx_export.exporting import export_onnx
from helpers.onnx_export.files import read_onnx
from helpers.onnx_export.listening import listening
from helpers.onnx_export.parity import Parity, check_parity
from helpers.onnx_export.running import run, session
from helpers.onnx_export.runtime_quantization import (
    quantize_4bit_onnx,
    quantize_dynamic_onnx,
    quantize_static_onnx,
    to_float16_onnx,
)

__all__ = [
    "Description",
    "Parity",
    "check_parity",
    "describe",
    "export_onnx",
    "listening",
    "quantize_4bit_onnx",
    "quantize_dynamic_onnx",
    "quantize_static_onnx",
    "read_onnx",
    "run",
    "session",
    "to_float16_onnx",
]
