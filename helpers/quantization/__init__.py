"""The affine quantizer, written out so that it can be read aloud.

Begin with `schemes.py`, one tensor to integers and back, and `observers.py`, which chooses
scale and zero point; formats of today are in `presets.py`, small floats in `level_sets.py`.
`models.py` does it to the `layers.py` of a whole model, its batch norms folded by
`folding.py`; `coverage.py` says what stays in float, and why. `packing.py` packs and counts
the bytes, `packed_files.py` saves and loads them. `noise.py` measures what rounding costs,
`scoring.py` what the answers are worth by one of the `metrics.py`, `evaluation.py` does all
of it for one setting, and `comparison.py` tells which model is the better one. `hooks.py`
looks at what goes through a model's layers, `inputs.py` hands it its inputs in any form.

Save, Load, Ship 0.2.0: helpers/quantization/__init__.py · repairs: CHANGELOG.md
"""

from helpers.quantization.comparison import pareto_front, wilson_interval
from helpers.quantization.coverage import coverage
from helpers.quantization.evaluation import Evaluation, Evaluator, Setting
from helpers.quantization.folding import fold_batch_norm
from helpers.quantization.hooks import forward_hooks
from helpers.quantization.layers import quantizable_layers
from helpers.quantization.metrics import METRICS, Metric
from helpers.quantization.models import calibrate, quantize_model
from helpers.quantization.noise import layer_sensitivity, sqnr_db
from helpers.quantization.observers import choose_qparams, fake_quantize
from helpers.quantization.packed_files import load_quantized, read_quantized, save_quantized
from helpers.quantization.packing import bits_per_weight, packed_bytes
from helpers.quantization.presets import PRESETS
from helpers.quantization.schemes import (
    FORMATS,
    GRANULARITIES,
    OBSERVERS,
    QParams,
    Scheme,
    dequantize,
    quantize,
    round_trip,
)

__all__ = [
    "FORMATS",
    "GRANULARITIES",
    "METRICS",
    "OBSERVERS",
    "PRESETS",
    "Evaluation",
    "Evaluator",
    "Metric",
    "QParams",
    "Scheme",
    "Setting",
    "bits_per_weight",
    "calibrate",
    "choose_qparams",
    "coverage",
    "dequantize",
    "fake_quantize",
    "fold_batch_norm",
    "forward_hooks",
    "layer_sensitivity",
    "load_quantized",
    "packed_bytes",
    "pareto_front",
    "quantizable_layers",
    "quantize",
    "quantize_model",
    "read_quantized",
    "round_trip",
    "save_quantized",
    "sqnr_db",
    "wilson_interval",
]
