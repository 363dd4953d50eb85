"""Our scale, zero point and integers against those of ONNX Runtime's quantizer.

ONNX Runtime computes the scale in float64 and stores float32, so scales agree to the last
bit or the one before. Where it has other rules, a test below says so.
"""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import TensorProto
from onnxruntime.quantization.quant_utils import (
    compute_scale_zp,
    get_qmin_qmax_for_qType,
    quantize_data,
)

from helpers.quantization import Scheme, choose_qparams, quantize

LAST_BIT = 2**-22
SYMMETRIC = {8: TensorProto.INT8, 16: TensorProto.INT16}
ASYMMETRIC = {8: TensorProto.UINT8, 16: TensorProto.UINT16, 4: TensorProto.UINT4}

SCHEMES = [
    *((Scheme(bits=bits), kind, True) for bits, kind in SYMMETRIC.items()),
    *(
        (Scheme(bits=bits, symmetric=False), kind, False)
        for bits, kind in ASYMMETRIC.items()
    ),
]
each_scheme = pytest.mark.parametrize(("scheme", "kind", "symmetric"), SCHEMES)
# Multiples of 2^-10, so that no range is so small that the two treat it differently.
values = st.integers(-(2**20), 2**20).map(lambda n: n / 1024)
tensors = arrays(np.float32, st.integers(1, 40), elements=values)


def assert_agree(tensor: np.ndarray, scheme: Scheme, kind: int, symmetric: bool):
    ours = choose_qparams(torch.from_numpy(tensor), scheme)
    zero_point, scale, integers = quantize_data(tensor, kind, symmetric)
    assert ours.scale.item() == pytest.approx(scale.item(), rel=LAST_BIT)
    assert abs(ours.zero_point.item() - int(zero_point)) <= 1
    if ours.scale.item() == scale.item() and ours.zero_point.item() == int(zero_point):
        found = quantize(torch.from_numpy(tensor), ours).numpy()
        assert np.array_equal(found, np.asarray(integers).astype(int))


@each_scheme
@given(tensor=tensors)
def test_any_tensor_gets_the_same_scale_zero_point_and_integers(
    scheme, kind, symmetric, tensor
):
    assert_agree(tensor, scheme, kind, symmetric)


@each_scheme
def test_a_thousand_random_weights_agree_exactly(scheme, kind, symmetric):
    generator = torch.Generator().manual_seed(0)
    tensor = torch.randn(1000, generator=generator) * 0.3 + 0.05
    ours = choose_qparams(tensor, scheme)
    zero_point, scale, integers = quantize_data(tensor.numpy(), kind, symmetric)
    assert ours.scale.item() == pytest.approx(scale.item(), rel=LAST_BIT)
    assert ours.zero_point.item() == int(zero_point)
    assert (ours.qmin, ours.qmax) == tuple(
        int(end) for end in get_qmin_qmax_for_qType(kind, symmetric=symmetric)
    )
    theirs = torch.from_numpy(np.asarray(integers).astype(np.int32))
    # A last bit of the scale may move a value that lies between two integers.
    assert (quantize(tensor, ours) - theirs).abs().max() <= 1
    assert (quantize(tensor, ours) != theirs).sum() <= 2


@each_scheme
def test_per_channel_is_their_rule_for_each_channel(scheme, kind, symmetric):
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(6, 4, 3, 3, generator=generator)
    weight *= torch.logspace(-3, 2, 6).reshape(6, 1, 1, 1)
    scheme = Scheme(scheme.bits, scheme.symmetric, granularity="channel")
    ours = choose_qparams(weight, scheme)
    for channel, row in enumerate(weight.numpy()):
        zero_point, scale, _ = quantize_data(row, kind, symmetric)
        found = ours.scale[channel].item()
        assert found == pytest.approx(scale.item(), rel=LAST_BIT)
        assert ours.zero_point[channel].item() == int(zero_point)


@pytest.mark.parametrize(
    "row", [[1.0, 2.0, 5.0], [-5.0, -1.0], [-1.0, 3.0], [0.0, 4.0], [0.0, 0.0]]
)
@each_scheme
def test_zero_is_in_every_range_as_with_them(scheme, kind, symmetric, row):
    assert_agree(np.array(row, dtype=np.float32), scheme, kind, symmetric)


# ---- Where ONNX Runtime has other rules


def test_symmetric_4_bits_use_the_16th_level_with_them_and_not_with_us():
    row = np.array([-1.0, 0.5, 1.0], dtype=np.float32)
    low, high = get_qmin_qmax_for_qType(TensorProto.INT4, symmetric=True)
    assert (int(low), int(high)) == (-8, 7)
    zero_point, scale, _ = quantize_data(row, TensorProto.INT4, True)
    # Their zero point would be -0.5; rounded to 0 it puts 1.0 beyond the largest level, 7.
    assert int(zero_point) == 0 and scale.item() == pytest.approx(2 / 15)
    ours = choose_qparams(torch.from_numpy(row), Scheme(bits=4))
    assert (ours.qmin, ours.qmax, ours.zero_point.item()) == (-7, 7, 0)
    assert ours.scale.item() == pytest.approx(1 / 7)


def test_signed_asymmetric_integers_are_ours_shifted_by_128():
    row = np.array([-1.0, 0.5, 3.0], dtype=np.float32)
    ends = get_qmin_qmax_for_qType(TensorProto.INT8)
    zero_point, scale = compute_scale_zp(row.min(), row.max(), *ends)
    ours = choose_qparams(torch.from_numpy(row), Scheme(symmetric=False))
    assert ours.scale.item() == pytest.approx(float(scale), rel=LAST_BIT)
    assert ours.zero_point.item() == int(zero_point) + 128


def test_reduced_range_has_seven_bits_of_their_own_kind():
    ends = get_qmin_qmax_for_qType(TensorProto.INT8, reduce_range=True, symmetric=True)
    assert [int(end) for end in ends] == [-64, 64]  # our 7 bits are -63 to 63
    ours = choose_qparams(torch.tensor([1.0]), Scheme(bits=7))
    assert (ours.qmin, ours.qmax) == (-63, 63)


def test_a_range_below_float32_s_normal_numbers_is_nothing_with_them():
    row = np.array([1e-39, -1e-39], dtype=np.float32)
    _, scale, integers = quantize_data(row, TensorProto.INT8, True)
    assert scale.item() == 1.0 and not integers.any()
    # Ours has the smallest normal step instead; both turn the values into zeros.
    ours = choose_qparams(torch.from_numpy(row), Scheme())
    assert ours.scale.item() == torch.finfo(torch.float32).tiny
    assert not quantize(torch.from_numpy(row), ours).any()
