"""The affine quantizer, written out so that it can be read aloud.

Begin with `schemes.py`: one tensor to integers and back. `models.py` does it to a whole
model and counts the bytes. `evaluation.py` measures what a setting costs. `watching.py`
looks at what goes through a model's layers.
"""

from helpers.quantization.evaluation import (
    Evaluation,
    Evaluator,
    Trail,
    wilson_interval,
)
from helpers.quantization.models import (
    calibrate,
    fold_batch_norm,
    layer_sensitivity,
    packed_bytes,
    pareto_front,
    quantizable_layers,
    quantize_model,
    sqnr_db,
    worst_channel,
)
from helpers.quantization.schemes import (
    GRANULARITIES,
    OBSERVERS,
    QParams,
    Scheme,
    choose_qparams,
    dequantize,
    fake_quantize,
    quantize,
    round_trip,
)
from helpers.quantization.settings import Setting

__all__ = [
    "GRANULARITIES",
    "OBSERVERS",
    "Evaluation",
    "Evaluator",
    "QParams",
    "Scheme",
    "Setting",
    "Trail",
    "calibrate",
    "choose_qparams",
    "dequantize",
    "fake_quantize",
    "fold_batch_norm",
    "layer_sensitivity",
    "packed_bytes",
    "pareto_front",
    "quantizable_layers",
    "quantize",
    "quantize_model",
    "round_trip",
    "sqnr_db",
    "wilson_interval",
    "worst_channel",
]
