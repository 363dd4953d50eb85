"""The affine quantizer, written out so that it can be read aloud.

Begin with `schemes.py`: one tensor to integers and back. `models.py` does it to a whole
model and counts the bytes.
"""

from helpers.quantization.models import (
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
)

__all__ = [
    "GRANULARITIES",
    "OBSERVERS",
    "QParams",
    "Scheme",
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
    "sqnr_db",
    "worst_channel",
]
