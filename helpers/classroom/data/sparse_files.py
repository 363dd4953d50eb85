"""The file that `sparse_bytes` counts, written for real: a zero weight costs one bit.

No runtime of the course reads it; it is here so that a count can be held against a file.
"""

import json
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import nn

from helpers.atomic import atomic_write
from helpers.classroom.data.pruning import sparse_layer_bytes
from helpers.quantization import (
    QParams,
    Scheme,
    choose_qparams,
    dequantize,
    fold_batch_norm,
    quantizable_layers,
    quantize,
)
from helpers.quantization.packing import pack_bits, unpack_bits


def save_sparse(path: str | Path, model: nn.Module, scheme: Scheme) -> int:
    """Write the folded model with packed weights to a safetensors file; return its bytes.

    Args:
        path: of the file; one that is there is replaced.
        model: folded or to be folded.
        scheme: of the weights; symmetric, so that a zero stays zero.

    Raises:
        ValueError: the scheme is not symmetric.
    """
    if not scheme.symmetric:
        raise ValueError(
            "scheme is not symmetric; expected one, in which 0.0 is the integer 0"
        )
    folded = fold_batch_norm(model)
    tensors = dict(folded.state_dict())
    for name in quantizable_layers(folded):
        weight = tensors.pop(f"{name}.weight")
        qparams = choose_qparams(weight, scheme)
        numbers = quantize(weight, qparams).flatten()
        stored = (weight != 0).flatten()
        sparse, dense = sparse_layer_bytes(weight, scheme.bits)
        if sparse < dense:
            tensors[f"{name}.stored"] = pack_bits(stored, 1)
            numbers = numbers[stored]
        tensors[f"{name}.numbers"] = pack_bits(numbers, scheme.bits)
        tensors[f"{name}.scale"] = qparams.scale.flatten()
    data = safetensors.torch.save(tensors, {"bits": json.dumps(scheme.bits)})
    with atomic_write(path, len(data)) as file:
        file.write(data)
    return len(data)


def load_sparse(path: str | Path, model: nn.Module) -> nn.Module:
    """Return a folded copy of the model, in eval mode, with the weights of the file.

    Args:
        path: of a file that `save_sparse` wrote.
        model: one of the same architecture; its own weights do not matter.
    """
    with safetensors.safe_open(path, framework="pt") as file:
        bits = int(json.loads(file.metadata()["bits"]))
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    folded, most = fold_batch_norm(model), 2 ** (bits - 1) - 1
    for name, layer in quantizable_layers(folded).items():
        shape, count = layer.weight.shape, layer.weight.numel()
        numbers = torch.zeros(count, dtype=torch.int32)
        stored = torch.ones(count, dtype=torch.bool)
        if f"{name}.stored" in tensors:
            packed = tensors.pop(f"{name}.stored")
            stored = unpack_bits(packed, 1, (count,), signed=False).bool()
        packed = tensors.pop(f"{name}.numbers")
        numbers[stored] = unpack_bits(packed, bits, (int(stored.sum()),), signed=True)
        scale = tensors.pop(f"{name}.scale").reshape(-1, *[1] * (len(shape) - 1))
        qparams = QParams(scale, torch.zeros_like(scale, dtype=torch.int32), -most, most)
        tensors[f"{name}.weight"] = dequantize(numbers.reshape(shape), qparams)
    folded.load_state_dict(tensors)
    return folded
