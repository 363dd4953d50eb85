"""The affine quantizer, written out so that it can be read aloud.

Begin with `schemes.py`, one tensor to integers and back, and `observers.py`, which
chooses scale and zero point. `models.py` does it to the `layers.py` of a whole model,
`packing.py` counts the bytes, `noise.py` measures what rounding costs, `scoring.py` runs
a model and judges it by one of the `metrics.py`, `evaluation.py` does all of it for one
setting, and `comparison.py` tells which model is the better one. `hooks.py` looks at what
goes through a model's layers.

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
from helpers.quantization.packing import packed_bytes
from helpers.quantization.schemes import (
    GRANULARITIES,
    OBSERVERS,
    QParams,
    Scheme,
    dequantize,
    quantize,
    round_trip,
)

__all__ = [
    "GRANULARITIES",
    "METRICS",
    "OBSERVERS",
    "Evaluation",
    "Evaluator",
    "Metric",
    "QParams",
    "Scheme",
    "Setting",
    "calibrate",
    "choose_qparams",
    "coverage",
    "dequantize",
    "fake_quantize",
    "fold_batch_norm",
    "forward_hooks",
    "layer_sensitivity",
    "packed_bytes",
    "pareto_front",
    "quantizable_layers",
    "quantize",
    "quantize_model",
    "round_trip",
    "sqnr_db",
    "wilson_interval",
]
