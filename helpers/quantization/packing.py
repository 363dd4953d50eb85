"""How many bytes a model needs with its weights packed into few bits.

Save, Load, Ship 0.2.0: helpers/quantization/packing.py · repairs: CHANGELOG.md
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from helpers.quantization.folding import fold_batch_norm
from helpers.quantization.layers import weight_schemes
from helpers.quantization.observers import choose_qparams
from helpers.quantization.schemes import (
    QParams,
    Scheme,
    dequantize,
    quantize,
    require_scheme,
)

PARTS = ("", ".scale", ".tensor_scale", ".zero_point")
_SCALE_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "e8m0": 1, "e4m3": 1}


def packed_bytes(
    model: nn.Module,
    scheme: Scheme | Mapping[str, Scheme] | None,
    keep_float: Iterable[str] = (),
) -> int:
    """Return the bytes that the folded model needs with its weights packed.

    Counted are the weights, each once, at their bit width (rounded up to whole bytes), a
    scale for each tensor, channel or group, zero points of that bit width where the scheme
    is asymmetric, and whatever stays in float, biases included: what `save_quantized`
    writes. Not counted are names and headers of a file. Arguments: see `quantize_model`.

    Raises:
        TypeError: the model is not a module, or the scheme is not a `Scheme`.
        ValueError: a name in keep_float is not a layer's.

    >>> model = nn.Sequential(nn.Linear(64, 10, bias=False))
    >>> packed_bytes(model, None), packed_bytes(model, Scheme(bits=4))
    (2560, 324)
    """
    folded = fold_batch_norm(model)
    total = held_bytes(folded)
    if scheme is None:
        return total
    for found, own in weight_schemes(folded, scheme, keep_float):
        weight = found.to_channels(found.parameter)
        total += _weight_bytes(weight.shape, own) - weight.nbytes
    return total


def held_bytes(model: nn.Module) -> int:
    """Return the bytes of a model's parameters and saved buffers, a shared one once.

    >>> model = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 9, bias=False))
    >>> model[1].weight = model[0].weight
    >>> held_bytes(model)
    144
    """
    found: dict[object, int] = {}
    for tensor in model.state_dict(keep_vars=True).values():
        if isinstance(tensor, torch.Tensor):
            plain = type(tensor) in (torch.Tensor, nn.Parameter) and tensor.numel()
            key = tensor.data_ptr() if plain and not tensor.is_meta else f"{id(tensor)}"
            found[key] = max(found.get(key, 0), tensor_bytes(tensor))
    return sum(found.values())


def tensor_bytes(tensor: torch.Tensor) -> int:
    """Return the bytes of a tensor; one made of others (torchao's) holds what they hold.

    >>> tensor_bytes(torch.ones(3))
    12
    """
    if not hasattr(tensor, "__tensor_flatten__"):
        return tensor.nbytes
    return sum(
        tensor_bytes(getattr(tensor, name)) for name in tensor.__tensor_flatten__()[0]
    )


def bits_per_weight(scheme: Scheme, shape: Sequence[int] = (4096, 4096)) -> float:
    """Return the bits that a weight really takes, with its share of all that goes with it.

    >>> bits_per_weight(Scheme.preset("Q4_0")), bits_per_weight(Scheme.preset("MXFP4"))
    (4.5, 4.25)
    """
    require_scheme(scheme)
    return _weight_bytes(shape, scheme) * 8 / math.prod(shape)


def pack_weight(weight: torch.Tensor, scheme: Scheme) -> dict[str, torch.Tensor]:
    """Return a quantized weight as a file keeps it, by PARTS of its name.

    Integers and zero points are in streams of bits: see `pack_bits`.

    Raises:
        ValueError: see `choose_qparams`; or scales do not fit their dtype.

    >>> pack_weight(torch.tensor([[1.0, -1.0, 7.0]]), Scheme(bits=4))
    {'': tensor([241,   7], dtype=torch.uint8), '.scale': tensor(1.)}
    """
    qparams = choose_qparams(weight, scheme)
    scale = _stored(_compact(qparams.scale, scheme), scheme.scale_dtype)
    packed = {"": pack_bits(quantize(weight, qparams), scheme.bits)}
    packed |= zip(PARTS[1:3], scale, strict=False)
    if not scheme.symmetric:
        packed[".zero_point"] = pack_bits(_compact(qparams.zero_point, scheme), scheme.bits)
    return packed


def unpack_weight(
    parts: Mapping[str, torch.Tensor], shape: Sequence[int], scheme: Scheme
) -> tuple[torch.Tensor, QParams]:
    """Return the integers of a packed weight, int32, and what makes floats of them.

    Raises:
        KeyError: a part is missing.
        ValueError: a part has another size, or a value is not finite.

    >>> weight, scheme = torch.linspace(-1, 1, 36).reshape(9, 4), Scheme(bits=2)
    >>> integers, qparams = unpack_weight(pack_weight(weight, scheme), (9, 4), scheme)
    >>> dequantize(integers, qparams).unique()
    tensor([-1.,  0.,  1.])
    """
    ends = choose_qparams(torch.ones(()), replace(scheme, granularity="tensor"))
    few, zero_point = _scales_shape(shape, scheme), ends.zero_point
    integers, scale = (
        unpack_bits(parts[""], scheme.bits, shape, ends.qmin < 0),
        parts[".scale"],
    )
    if scheme.scale_dtype == "e8m0":
        scale = (scale.int() << 23).view(torch.float32)
    if scheme.scale_dtype == "e4m3":
        scale = scale.float() * parts[".tensor_scale"]
    if scale.shape != few:
        raise ValueError(f"it has {tuple(scale.shape)} scales; expected {few}")
    if not scheme.symmetric:
        zero_point = unpack_bits(parts[".zero_point"], scheme.bits, few, signed=False)
    scale, zero_point = (
        _spread(each.expand(few), shape, scheme) for each in (scale.float(), zero_point)
    )
    qparams = ends._replace(scale=scale, zero_point=zero_point)
    if not dequantize(integers, qparams).isfinite().all():
        raise ValueError("not all of its values are finite")
    return integers, qparams


def _stored(scale: torch.Tensor, scale_dtype: str) -> tuple[torch.Tensor, ...]:
    """Return the scales without loss, as the file has them."""
    if scale_dtype == "e8m0":
        return ((scale.contiguous().view(torch.int32) >> 23).to(torch.uint8),)
    if scale_dtype != "e4m3":
        return (scale.to(getattr(torch, scale_dtype)),)
    # The largest block has 448: by it the tensor's own scale is found, to a last bit.
    guess, far = (scale.amax() / each for each in (448, 0))
    for whole in (guess, guess.nextafter(-far), guess.nextafter(far)):
        blocks = (scale / whole).to(torch.float8_e4m3fn)
        if torch.equal(blocks.float() * whole, scale):
            return blocks, whole
    raise ValueError("they are too small for scale_dtype 'e4m3'")


def _compact(each: torch.Tensor, scheme: Scheme) -> torch.Tensor:
    """Return one value for each tensor, channel or group."""
    if scheme.granularity == "group":
        return each.flatten(1)[:, :: scheme.group_size].contiguous()
    return each.flatten() if scheme.granularity == "channel" else each


def _spread(few: torch.Tensor, shape: Sequence[int], scheme: Scheme) -> torch.Tensor:
    """Return such values in the shape that `QParams` has."""
    if scheme.granularity == "group":
        each = few.repeat_interleave(scheme.group_size, dim=1)
        return each[:, : torch.Size(shape[1:]).numel()].reshape(tuple(shape))
    return few.reshape([-1] + [1] * (len(shape) - 1)) if few.dim() else few


def pack_bits(integers: torch.Tensor, bits: int) -> torch.Tensor:
    """Return integers as a stream of bits, uint8: low bits first, in two's complement.

    So 8 bits are int8 (or uint8), 16 are int16, and of 4 the first is the lower half.

    >>> pack_bits(torch.tensor([3, 12]), bits=4)
    tensor([195], dtype=torch.uint8)
    """
    words = integers.cpu().numpy().astype("<i2", casting="unsafe").reshape(-1, 1)
    found = np.unpackbits(words.view(np.uint8), axis=1, count=bits, bitorder="little")
    return torch.from_numpy(np.packbits(found, bitorder="little"))


def unpack_bits(
    stream: torch.Tensor, bits: int, shape: Sequence[int], signed: bool
) -> torch.Tensor:
    """Return a stream's integers, int32; a ValueError where it has not their length.

    >>> unpack_bits(torch.tensor([195], dtype=torch.uint8), 4, (2,), signed=False)
    tensor([ 3, 12], dtype=torch.int32)
    """
    count, width = math.prod(shape), 1 if bits <= 8 else 2
    size = _stream_bytes(count, bits)
    if stream.dtype != torch.uint8 or stream.shape != (size,):
        raise ValueError(
            f"{count} integers of {bits} bits take {size} bytes in one row of torch.uint8; "
            f"found {stream.dtype} of shape {tuple(stream.shape)}"
        )
    words = np.zeros((count, 8 * width), dtype=np.uint8)
    read = np.unpackbits(stream.numpy(), count=count * bits, bitorder="little")
    words[:, :bits] = read.reshape(count, bits)
    if signed:
        words[:, bits:] = words[:, bits - 1 : bits]
    kind = f"<{'i' if signed else 'u'}{width}"
    packed = np.packbits(words, axis=1, bitorder="little").view(kind)
    return torch.from_numpy(packed.astype(np.int32)).reshape(tuple(shape))


def _scales_shape(shape: Sequence[int], scheme: Scheme) -> tuple[int, ...]:
    if scheme.granularity == "tensor":
        return ()
    if scheme.granularity == "channel":
        return (shape[0],)
    return shape[0], math.ceil(math.prod(shape[1:]) / scheme.group_size)


def _weight_bytes(shape: Sequence[int], scheme: Scheme) -> int:
    scales = math.prod(_scales_shape(shape, scheme))
    size = _stream_bytes(math.prod(shape), scheme.bits)
    size += scales * _SCALE_BYTES[scheme.scale_dtype] + 4 * (scheme.scale_dtype == "e4m3")
    return size if scheme.symmetric else size + _stream_bytes(scales, scheme.bits)


def _stream_bytes(count: int, bits: int) -> int:
    return math.ceil(count * bits / 8)
