"""Bytes of a packed model, and integers as a stream of bits."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from helpers.quantization import (
    GRANULARITIES,
    PRESETS,
    Scheme,
    bits_per_weight,
    choose_qparams,
    fake_quantize,
    packed_bytes,
    quantize,
)
from helpers.quantization.packing import pack_bits, pack_weight, unpack_bits, unpack_weight


def test_packed_bytes_by_hand():
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Linear(5, 7, bias=False))
    conv, linear, bias = 54, 35, 3
    assert packed_bytes(net, None) == 4 * (conv + linear + bias)
    # 27 and 18 bytes of weights (17.5 rounded up), a scale each, the bias.
    assert packed_bytes(net, Scheme(bits=4)) == 27 + 18 + 2 * 4 + 4 * bias
    per_channel = Scheme(bits=4, granularity="channel")
    assert packed_bytes(net, per_channel) == 27 + 18 + (3 + 7) * 4 + 4 * bias
    # 18 weights a channel make 3 groups of 8; 5 make one short group.
    groups = Scheme(bits=4, granularity="group", group_size=8)
    assert packed_bytes(net, groups) == 27 + 18 + (3 * 3 + 7) * 4 + 4 * bias
    asymmetric = Scheme(bits=4, symmetric=False)
    assert packed_bytes(net, asymmetric) == 27 + 18 + 2 * (4 + 1) + 4 * bias
    kept = packed_bytes(net, Scheme(bits=4), keep_float=["2"])
    assert kept == 27 + 4 + 4 * bias + 4 * linear


def test_folded_norms_are_not_counted():
    net = nn.Sequential(nn.Conv2d(1, 4, 1, bias=False), nn.BatchNorm2d(4))
    assert packed_bytes(net, None) == 4 * (4 + 4)  # the weights, and the bias it gains


def test_scales_are_counted_in_their_dtype_and_zero_points_in_their_bits():
    net = nn.Sequential(nn.Linear(32, 6, bias=False))  # 192 weights, 12 groups
    groups = {"granularity": "group", "group_size": 16}
    assert packed_bytes(net, Scheme(bits=4, scale_dtype="float16", **groups)) == 96 + 12 * 2
    assert packed_bytes(net, Scheme(bits=4, symmetric=False, **groups)) == 96 + 12 * 4 + 6
    assert packed_bytes(net, Scheme(bits=3, symmetric=False, **groups)) == 72 + 12 * 4 + 5
    one = Scheme(bits=16, symmetric=False)
    assert packed_bytes(net, one) == 2 * 192 + 4 + 2
    assert packed_bytes(net, Scheme.preset("NVFP4")) == 96 + 12 + 4
    assert packed_bytes(net, Scheme.preset("MXFP4")) == 96 + 6  # 6 groups of 32


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_a_model_of_another_dtype_is_counted_as_it_is(dtype):
    net = nn.Sequential(nn.Linear(32, 6)).to(dtype)
    assert packed_bytes(net, None) == (192 + 6) * dtype.itemsize
    assert packed_bytes(net, Scheme(bits=4)) == 96 + 4 + 6 * dtype.itemsize


def test_a_tied_weight_is_counted_once():
    net = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 9, bias=False))
    net[1].weight = net[0].weight
    assert packed_bytes(net, Scheme(bits=8)) == 36 + 4


def test_bits_per_weight_asks_for_a_scheme():
    with pytest.raises(TypeError, match="scheme is of type str; expected one such as Sch"):
        bits_per_weight("Q4_0")


# Streams of bits


@given(st.integers(2, 16), st.booleans(), st.integers(0, 40), st.integers(0, 99))
@settings(deadline=None)
def test_every_integer_comes_back(bits, signed, count, seed):
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else (0, 2**bits)
    generator = torch.Generator().manual_seed(seed)
    integers = torch.randint(low, high, (count,), generator=generator, dtype=torch.int32)
    if count > 1:
        integers[0], integers[1] = low, high - 1
    stream = pack_bits(integers, bits)
    assert stream.dtype == torch.uint8 and len(stream) == -(-count * bits // 8)
    back = unpack_bits(stream, bits, (count,), signed)
    assert torch.equal(back, integers) and back.dtype == torch.int32
    # By hand: one large number, whose lowest bits are the first integer.
    number = sum((v % 2**bits) << (i * bits) for i, v in enumerate(integers.tolist()))
    assert bytes(stream.tolist()) == number.to_bytes(len(stream), "little")


def test_whole_bytes_are_plain_integers():
    eight = torch.tensor([[-128, 127, -1]])
    assert pack_bits(eight, 8).view(torch.int8).tolist() == [-128, 127, -1]
    sixteen = torch.tensor([-32768, 32767, 5])
    assert pack_bits(sixteen, 16).view(torch.int16).tolist() == [-32768, 32767, 5]
    assert pack_bits(torch.tensor([3, 12]), 4).tolist() == [3 + 16 * 12]


@pytest.mark.parametrize("stream", [torch.zeros(4), torch.zeros(5, dtype=torch.uint8)])
def test_a_stream_of_another_size_is_refused(stream):
    with pytest.raises(ValueError) as caught:
        unpack_bits(stream, 3, (2, 5), signed=True)
    assert str(caught.value) == (
        "10 integers of 3 bits take 4 bytes in one row of torch.uint8; found "
        f"{stream.dtype} of shape ({len(stream)},)"
    )


SCHEMES = [
    Scheme(bits, symmetric, granularity, 8)
    for bits in (2, 3, 4, 5, 8, 16)
    for symmetric in (True, False)
    for granularity in GRANULARITIES
] + [
    *(Scheme.preset(name) for name in PRESETS),
    *(
        Scheme(4, True, each, 8, scale_dtype="e4m3", format="e2m1")
        for each in GRANULARITIES
    ),
    Scheme(4, True, "group", 8, "mse", scale_dtype="e4m3", format="e2m1"),
    Scheme(4, False, "channel", scale_dtype="bfloat16"),
    Scheme(8, format="e5m2"),
]


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
@pytest.mark.parametrize("shape", [(6, 20), (3, 2, 3, 3), (1, 1)])
def test_a_weight_comes_back_as_it_was_rounded_and_takes_what_is_counted(scheme, shape):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    parts = pack_weight(weight, scheme)
    integers, qparams = unpack_weight(parts, shape, scheme)
    expected = choose_qparams(weight, scheme)
    for found, right in zip(qparams, expected, strict=True):
        assert (
            torch.equal(found, right) if isinstance(found, torch.Tensor) else found == right
        )
    assert torch.equal(integers, quantize(weight, expected))
    counted = bits_per_weight(scheme, shape) * weight.numel() / 8
    assert sum(part.nbytes for part in parts.values()) == round(counted, 3)
    dtype = {"e8m0": torch.uint8, "e4m3": torch.float8_e4m3fn}.get(scheme.scale_dtype)
    assert parts[".scale"].dtype == (dtype or getattr(torch, scheme.scale_dtype))


@pytest.mark.parametrize("seed", range(200))
def test_the_two_scales_of_nvfp4_are_found_again(seed):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(8, 40, generator=generator) * 10.0 ** ((seed % 60) - 30)
    weight[0] *= seed % 2
    scheme = Scheme.preset("NVFP4")
    _, qparams = unpack_weight(pack_weight(weight, scheme), (8, 40), scheme)
    assert torch.equal(qparams.scale, choose_qparams(weight, scheme).scale)


def test_zeros_and_what_is_too_small_for_nvfp4():
    scheme, zeros = Scheme.preset("NVFP4"), torch.zeros(2, 32)
    integers, _ = unpack_weight(pack_weight(zeros, scheme), (2, 32), scheme)
    assert torch.equal(integers, torch.zeros(2, 32, dtype=torch.int32))
    assert torch.equal(fake_quantize(zeros, scheme), zeros)
    with pytest.raises(ValueError, match="too small for scale_dtype 'e4m3'"):
        pack_weight(torch.full((2, 32), 1e-37), scheme)


def test_a_tie_on_the_meta_device_is_counted_once():
    with torch.device("meta"):
        net = nn.Sequential(nn.Embedding(20, 16), nn.Linear(16, 20, bias=False))
    net[1].weight = net[0].weight
    assert packed_bytes(net, None) == 4 * 20 * 16
