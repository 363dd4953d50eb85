"""torchao's own files, there and back, and what is in them without torchao."""

import pytest
import safetensors.torch
import torch
from torch import nn
from torchao.prototype.safetensors.safetensors_support import (
    flatten_tensor_state_dict,
    unflatten_tensor_state_dict,
)
from torchao.quantization import (
    Int8WeightOnlyConfig,
    IntxWeightOnlyConfig,
    PerGroup,
    quantize_,
)

from helpers.quantization import QParams, Scheme, choose_qparams, dequantize

CONFIGS = {8: Int8WeightOnlyConfig(), 4: IntxWeightOnlyConfig(torch.int4, PerGroup(32))}


def quantized(bits):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 10))
    exact = model[0].weight.detach().clone()
    quantize_(model, CONFIGS[bits])
    return model, exact


@pytest.mark.parametrize("bits", CONFIGS)
def test_torchao_there_and_back_by_way_of_plain_tensors(bits, tmp_path):
    model, exact = quantized(bits)
    path = tmp_path / "model.safetensors"
    tensors, metadata = flatten_tensor_state_dict(model.state_dict())
    safetensors.torch.save_file(tensors, path, metadata)

    # Plain integers and scales: no torchao is needed for these.
    plain = safetensors.torch.load_file(path)
    assert {name: each.dtype for name, each in plain.items()} == {
        "0._weight_qdata": torch.int8,
        "0._weight_scale": torch.float32,
        "0._weight_zero_point": torch.int8,
        "0.bias": torch.float32,
    }
    scale = plain["0._weight_scale"].repeat_interleave(64 if bits == 8 else 32, dim=1)
    qparams = QParams(scale, torch.zeros_like(scale).int(), -(2 ** (bits - 1)), 127)
    floats = dequantize(plain["0._weight_qdata"], qparams)
    assert torch.equal(floats, model[0].weight.dequantize())
    kind = "channel" if bits == 8 else "group"
    ours = choose_qparams(exact, Scheme(bits, True, kind, signed_range="full"))
    assert torch.equal(ours.scale.expand_as(scale), scale)

    with safetensors.safe_open(path, "pt") as file:
        state, rest = unflatten_tensor_state_dict(plain, file.metadata())
    assert not rest
    other = nn.Sequential(nn.Linear(64, 10))
    other.load_state_dict(state, assign=True)
    assert type(other[0].weight) is type(model[0].weight)
    inputs = torch.randn(3, 64)
    assert torch.equal(other(inputs), model(inputs))
