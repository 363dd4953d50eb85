"""A quantized model in one safetensors file: its integers packed, its scales beside them.

Save, Load, Ship 0.2.0: helpers/quantization/packed_files.py · repairs: CHANGELOG.md
"""

import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from helpers.atomic import atomic_write
from helpers.quantization.folding import fold_batch_norm
from helpers.quantization.layers import kept_layers, layer_weights, weight_schemes
from helpers.quantization.models import quantize_model
from helpers.quantization.packing import PARTS, pack_weight, unpack_weight
from helpers.quantization.schemes import QParams, Scheme, dequantize

KEY, VERSION = "helpers.quantization", 1


def save_quantized(
    path: str | os.PathLike,
    model: nn.Module,
    scheme: Scheme | Mapping[str, Scheme],
    keep_float: Iterable[str] = (),
    ranges: Mapping[str, QParams] | None = None,
) -> None:
    """Write a model as `quantize_model` rounds it: a safetensors file, weights packed.

    It holds the tensors of the folded model, a tied one once. For a quantized weight NAME
    these are its integers, output channels first (see `pack_weight`), NAME.scale in the
    scheme's dtype (e8m0: the exponents, uint8; e4m3: with NAME.tensor_scale) and, where
    the scheme is asymmetric, NAME.zero_point. The metadata have the scheme. A crash leaves
    the old file or the new one.

    Args:
        path: where the file goes; its folder must exist.
        model: the float model; it is not touched.
        scheme: of the weights, or a mapping: see `quantize_model`.
        keep_float: see `quantize_model`.
        ranges: of the layers' inputs, from `calibrate`; None keeps these in float.

    Raises:
        TypeError: scheme or ranges are of another type.
        ValueError: see `quantize_model`; or the model holds what is no plain tensor.
        OSError: see `atomic_write`.

    >>> from tempfile import TemporaryDirectory
    >>> model = nn.Sequential(nn.Linear(64, 10))
    >>> with TemporaryDirectory() as folder:
    ...     save_quantized(f"{folder}/model.safetensors", model, Scheme(bits=4))
    ...     loaded = load_quantized(f"{folder}/model.safetensors", model)
    >>> torch.equal(loaded[0].weight, quantize_model(model, Scheme(bits=4))[0].weight)
    True
    """
    kept = sorted(kept_layers(model, keep_float))
    folded = fold_batch_norm(model)
    if ranges is not None:
        if not all(isinstance(each, QParams) for each in dict(ranges).values()):
            raise TypeError("ranges are not what calibrate returns: name -> QParams")
        quantize_model(folded, None, Scheme(), ranges, kept)  # refuses where one lacks
    state = folded.state_dict()
    first, weights, schemes = _first_names(state), {}, {}
    tensors: dict[str, torch.Tensor] = {}
    for found, own in weight_schemes(folded, scheme, kept):
        name, weight = first[found.name], found.to_channels(found.parameter.detach())
        with _named(f"weights of {found.layers[0]}"):
            packed = pack_weight(weight, own)
        weights[name], schemes[name] = (list(weight.shape), str(weight.dtype)), asdict(own)
        tensors |= {f"{name}{part}": tensor.cpu() for part, tensor in packed.items()}
    tensors |= {
        name: state[name].cpu().clone(memory_format=torch.contiguous_format)
        for name in first.values()
        if name not in weights
    }
    header = {
        "version": VERSION,
        "layers": None if isinstance(scheme, Scheme) else [*scheme],
        "scheme": asdict(scheme) if isinstance(scheme, Scheme) else schemes,
        "keep_float": kept,
        "weights": weights,
        "ties": {name: one for name, one in first.items() if name != one},
        "ranges": None if ranges is None else {n: _plain(r) for n, r in ranges.items()},
    }
    header["crc32"] = _checksum(tensors)
    text = json.dumps(header, separators=(",", ":"))
    data = safetensors.torch.save(tensors, {KEY: text})
    with atomic_write(path, len(data)) as file:
        file.write(data)


def load_quantized(path: str | os.PathLike, model: nn.Module) -> nn.Module:
    """Return a copy of the model, in eval mode, with what `save_quantized` wrote.

    Its weights are those of `quantize_model`, bit for bit. An example is there.

    Args:
        path: the file.
        model: of the same class, with any values, its norms folded or not; not touched.

    Raises:
        ValueError: the file is damaged, of another kind, version or model: it says how.
        OSError: the file cannot be read.

    >>> load_quantized("no such file", nn.Linear(2, 2))
    Traceback (most recent call last):
    FileNotFoundError: [Errno 2] No such file or directory: 'no such file'
    """
    header, tensors = _read(path)
    packed = _unpacked(path, header, tensors)
    folded = fold_batch_norm(model)
    first = _first_names(folded.state_dict())
    with _named(f"{path} is of another model"):
        kept, ties = header["keep_float"], header["ties"]
        found = layer_weights(folded, kept, header.get("layers"))
        weights = {first[each.name]: each for each in found}
        if different := sorted(weights.keys() ^ packed.keys()):
            raise ValueError(f"{different[0]} is quantized in one of them alone")
        dtypes = {name: str(tensor.dtype) for name, tensor in tensors.items()}
        for name, (integers, qparams) in packed.items():
            tensors[name] = weights[name].from_channels(dequantize(integers, qparams))
            dtypes[name] = header["weights"][name][1]
        for name, tensor in folded.state_dict().items():
            if dtypes.get(name, str(tensor.dtype)) != str(tensor.dtype):
                raise ValueError(f"{name} is {dtypes[name]} there and {tensor.dtype} here")
            if name in tensors.keys() | ties and first[name] != ties.get(name, name):
                raise ValueError(f"{name} is tied to another tensor in one of them alone")
        folded.load_state_dict(tensors | {name: tensors[ties[name]] for name in ties})
        if header["ranges"] is None:
            return folded
        ranges = {
            name: QParams(torch.tensor(scale), torch.tensor(zero, dtype=torch.int32), *rest)
            for name, (scale, zero, *rest) in header["ranges"].items()
        }
        return quantize_model(folded, None, Scheme(), ranges, kept)


def read_quantized(path: str | os.PathLike) -> dict[str, tuple[torch.Tensor, QParams]]:
    """Return the packed weights by name: plain integers, and what makes floats of them.

    No model is needed. The integers, int32, have their output channels along axis 0.
    Errors are those of `load_quantized`.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     save_quantized(f"{folder}/it", nn.Sequential(nn.Linear(64, 10)), Scheme(bits=4))
    ...     integers, qparams = read_quantized(f"{folder}/it")["0.weight"]
    >>> integers.abs().max(), dequantize(integers, qparams).shape
    (tensor(7, dtype=torch.int32), torch.Size([10, 64]))
    """
    return _unpacked(path, *_read(path))


def _read(path: str | os.PathLike) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    Path(path).open("rb").close()  # fails in the system's own words
    try:
        with safetensors.safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is damaged or no safetensors file: {error}") from error
    if text is None:
        raise ValueError(f"{path} is a safetensors file, but not of save_quantized")
    with _named(f"{path} has a damaged header"):
        header = json.loads(text)
        # A file of before has none.
        if (saved := header.get("crc32")) is not None and saved != _checksum(tensors):
            raise ValueError("its tensors are not those that were saved")
        if header["version"] == VERSION:
            scheme = header["scheme"]  # one for all weights, or for each its own
            schemes = {n: Scheme(**scheme.get(n, scheme)) for n in header["weights"]}
            return header | {"scheme": schemes, "weights": {**header["weights"]}}, tensors
    raise ValueError(f"{path} has version {header['version']}; this code reads {VERSION}")


def _unpacked(
    path: str | os.PathLike, header: dict[str, Any], tensors: dict[str, torch.Tensor]
) -> dict[str, tuple[torch.Tensor, QParams]]:
    """Take what belongs to packed weights out of the tensors."""
    found = {}
    for name, (shape, _) in header["weights"].items():
        whole = {part: f"{name}{part}" for part in PARTS if f"{name}{part}" in tensors}
        parts = {part: tensors.pop(each) for part, each in whole.items()}
        with _named(f"{path} has a damaged weight {name}"):
            found[name] = unpack_weight(parts, shape, header["scheme"][name])
    return found


def _checksum(tensors: Mapping[str, torch.Tensor]) -> int:
    found = 0
    for _, tensor in sorted(tensors.items()):
        found = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, found)
    return found


def _plain(qparams: QParams) -> list[Any]:
    return [qparams.scale.item(), qparams.zero_point.item(), *qparams[2:]]


def _first_names(state: Mapping[str, Any]) -> dict[str, str]:
    """Return for each name the first one of the same tensor."""
    first: dict[str, str] = {}
    names: dict[object, str] = {}
    for name, each in state.items():
        plain = isinstance(each, torch.Tensor) and each.layout == torch.strided
        if not plain or each.is_meta or hasattr(each, "__tensor_flatten__"):
            raise ValueError(
                f"{name} is no plain tensor with values: {type(each).__name__}"
            )
        place = each.data_ptr(), each.dtype, each.shape, each.stride()
        first[name] = names.setdefault(place if each.numel() else name, name)
    return first


@contextmanager
def _named(what: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError, RuntimeError) as error:
        raise ValueError(f"{what}: {error}") from error
