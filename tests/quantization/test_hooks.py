"""Hooks: each call of a layer is seen, and none stays in the model."""

import pytest
import torch
from torch import nn

from helpers.quantization import Scheme, calibrate
from helpers.quantization.hooks import forward_hooks


def test_calibration_leaves_no_hook_also_where_the_model_fails():
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    assert list(calibrate(model, Scheme(), torch.ones(5, 4))) == ["0", "1"]
    broken = nn.Sequential(nn.Linear(4, 3), nn.Linear(4, 2))  # 3 values do not fit into 4
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        calibrate(broken, Scheme(), torch.ones(5, 4))
    modules = [*model.modules(), *broken.modules()]
    assert [m for m in modules if m._forward_hooks or m._forward_pre_hooks] == []


def test_a_hook_gets_name_layer_inputs_and_output_and_none_stays():
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    layers = {name: layer for name, layer in model.named_children() if name != "1"}
    seen, inputs = [], torch.ones(5, 4)
    with pytest.raises(KeyboardInterrupt), forward_hooks(layers, lambda *a: seen.append(a)):
        outputs = model(inputs)
        raise KeyboardInterrupt
    assert [(name, layer) for name, layer, *_ in seen] == list(layers.items())
    assert seen[0][2][0] is inputs and seen[1][3] is outputs
    model(inputs)
    assert len(seen) == 2
