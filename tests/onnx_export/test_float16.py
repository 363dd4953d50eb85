"""to_float16_onnx: what the smaller type cannot hold."""

import numpy as np
import torch

from helpers.onnx_export import export_onnx, to_float16_onnx
from tests.onnx_export.quantizing import Mlp, constants, rows


def test_float16_clips_what_it_cannot_hold(tmp_path):
    model = Mlp()
    with torch.no_grad():
        model.second.bias[0] = -1e6
    source = export_onnx(model, rows(2), tmp_path / "wide.onnx")
    small = constants(to_float16_onnx(source, tmp_path / "small.onnx"))
    assert small["second.bias"].dtype == np.float16
    assert small["second.bias"].min() == -65504
