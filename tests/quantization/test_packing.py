"""Bytes of a packed model."""

from torch import nn

from helpers.quantization import (
    Scheme,
    packed_bytes,
)


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
