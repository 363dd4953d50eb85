"""Named formats against torchao, and against formulas of ggml written again in NumPy."""

import numpy as np
import pytest
import torch
from torch import nn
from torchao.prototype.mx_formats.mx_tensor import MXTensor
from torchao.prototype.mx_formats.nvfp4_tensor import NVFP4Tensor, per_tensor_amax_to_scale
from torchao.quantization import (
    Float8WeightOnlyConfig,
    IntxWeightOnlyConfig,
    PerGroup,
    quantize_,
)
from torchao.quantization.quantize_.workflows.nf4.nf4_tensor import to_nf4

from helpers.quantization import (
    PRESETS,
    Scheme,
    bits_per_weight,
    choose_qparams,
    fake_quantize,
    packed_bytes,
    quantize,
)
from helpers.quantization.level_sets import VALUES

RANDOM = torch.randn(64, 256, generator=torch.Generator().manual_seed(0))
TENSORS = {
    "normal": RANDOM,
    "cubed": RANDOM**3,
    "positive": RANDOM.abs(),
    "shifted": RANDOM / 10 + 1,
    "a block of zeros": RANDOM * (torch.arange(256) >= 64),
}
each_tensor = pytest.mark.parametrize("weight", TENSORS.values(), ids=TENSORS)


def test_the_bits_that_a_weight_takes():
    found = {name: bits_per_weight(Scheme.preset(name)) for name in PRESETS}
    assert found == {
        "Q4_0": 4.5,
        "Q8_0": 8.5,
        "int4 group 32 (torchao)": 4.5,
        "int8 per channel (ONNX Runtime)": 8 + 32 / 4096,
        "fp8 per channel (torchao)": 8 + 32 / 4096,
        "MXFP4": 4.25,
        "NVFP4": 4.5 + 32 / 4096**2,
        "NF4": 4.5,
    }
    assert all(source for _, source in PRESETS.values())


@pytest.mark.parametrize("name", PRESETS)
def test_the_bits_are_those_of_a_model(name):
    model, scheme = nn.Sequential(nn.Linear(70, 30, bias=False)), Scheme.preset(name)
    assert packed_bytes(model, scheme) * 8 == bits_per_weight(scheme, (30, 70)) * 2100


def test_an_unknown_name_is_told_which_there_are():
    with pytest.raises(ValueError) as caught:
        Scheme.preset("Q4_K_M")
    assert str(caught.value) == (
        "preset is 'Q4_K_M'; expected one of 'Q4_0', 'Q8_0', 'int4 group 32 (torchao)', "
        "'int8 per channel (ONNX Runtime)', 'fp8 per channel (torchao)', 'MXFP4', 'NVFP4', "
        "'NF4'"
    )


def test_a_preset_can_be_changed():
    assert Scheme.preset("Q8_0", group_size=64) == Scheme(
        8, granularity="group", group_size=64, scale_dtype="float16"
    )


def blocks_of_ggml(weight, name):
    """Return scale and integers as ggml's own loops find them."""
    blocks = weight.numpy().reshape(-1, 32)
    if name == "Q8_0":
        scale = np.abs(blocks).max(axis=1, keepdims=True) / np.float32(127)
    else:
        farthest = np.abs(blocks).argmax(axis=1)[:, None]
        scale = np.take_along_axis(blocks, farthest, axis=1) / np.float32(-8)
    with np.errstate(divide="ignore"):
        inverse = np.where(scale == 0, 0, 1 / scale).astype(np.float32)
    if name == "Q8_0":
        scaled = blocks * inverse
        integers = np.sign(scaled) * np.floor(np.abs(scaled) + 0.5)
    else:
        integers = np.trunc(blocks * inverse + np.float32(8.5)).clip(0, 15) - 8
    return scale.astype(np.float16).astype(np.float32), integers.astype(np.int32)


@each_tensor
@pytest.mark.parametrize(("name", "most"), [("Q4_0", 0.003), ("Q8_0", 0.03)])
def test_ggmls_scales_are_equal_and_its_integers_all_but_a_few(name, most, weight):
    scale, integers = blocks_of_ggml(weight, name)
    ours = choose_qparams(weight, Scheme.preset(name))
    steps = ours.scale[:, ::32].reshape(-1, 1).numpy()
    assert np.array_equal(steps[scale != 0], scale[scale != 0])
    found = quantize(weight, ours).reshape(-1, 32).numpy()
    apart = np.abs(found - integers)
    assert apart.max() <= 1 and (apart > 0).mean() <= most
    assert found.min() >= ours.qmin and found.max() <= ours.qmax
    # Not worse for it: ours are rounded by the scale that is stored.
    blocks = weight.reshape(-1, 32).numpy()
    error, theirs = (((i * steps - blocks) ** 2).sum() for i in (found, integers))
    assert error <= theirs * (1 + 1e-6)


def test_ggmls_step_is_negative_where_the_farthest_value_is_positive():
    for sign in (1, -1):
        weight = sign * torch.tensor([[8.0, -6.0, 3.0, 0.0]])
        qparams = choose_qparams(weight, Scheme.preset("Q4_0"))
        assert qparams.scale[0, 0] == -sign
        assert quantize(weight, qparams).tolist() == [[-8, 6, -3, 0]]
        assert torch.equal(fake_quantize(weight, Scheme.preset("Q4_0")), weight)


@each_tensor
def test_torchaos_int4_scales_are_equal_and_its_integers_all_but_a_few(weight):
    model = nn.Sequential(nn.Linear(256, 64))
    model[0].weight.data = weight.clone()
    quantize_(
        model, IntxWeightOnlyConfig(torch.int4, PerGroup(32), scale_dtype=torch.bfloat16)
    )
    theirs, ours = (
        model[0].weight,
        choose_qparams(weight, preset := Scheme.preset("int4 group 32 (torchao)")),
    )
    few, blocks = ours.scale[:, ::32], weight.reshape(64, 8, 32).abs().amax(dim=2)
    assert preset.scale_dtype == "bfloat16"
    assert torch.equal(few[blocks > 0], theirs.scale.float()[blocks > 0])
    apart = (quantize(weight, ours) - theirs.qdata).abs()
    assert apart.max() <= 1 and (apart > 0).float().mean() < 0.02


@each_tensor
def test_torchaos_int4_with_float32_scales_is_equal_but_on_the_borders(weight):
    model = nn.Sequential(nn.Linear(256, 64))
    model[0].weight.data = weight.clone()
    quantize_(model, IntxWeightOnlyConfig(torch.int4, PerGroup(32)))
    ours = choose_qparams(weight, Scheme(4, True, "group", 32, signed_range="full"))
    apart = quantize(weight, ours) != model[0].weight.qdata
    quotient = weight.double() / ours.scale
    assert ((quotient[apart] - quotient[apart].floor() - 0.5).abs() < 1e-5).all()
    # The largest value of a block lies on one: at 7.5 steps.
    assert apart.sum() <= 64 * 8


@each_tensor
def test_equal_to_torchaos_fp8_bit_for_bit(weight):
    model = nn.Sequential(nn.Linear(256, 64))
    model[0].weight.data = weight.clone()
    quantize_(model, Float8WeightOnlyConfig())
    ours = fake_quantize(weight, Scheme.preset("fp8 per channel (torchao)"))
    assert torch.equal(ours, model[0].weight.dequantize())


@each_tensor
@pytest.mark.parametrize(
    ("dtype", "form"),
    [
        (torch.float4_e2m1fn_x2, "e2m1"),
        (torch.float8_e4m3fn, "e4m3"),
        (torch.float8_e5m2, "e5m2"),
    ],
)
def test_equal_to_torchaos_mx_formats_bit_for_bit(dtype, form, weight):
    theirs = MXTensor.to_mx(weight, dtype, 32).dequantize(torch.float32)
    scheme = Scheme(
        4 if form == "e2m1" else 8, True, "group", 32, scale_dtype="e8m0", format=form
    )
    assert torch.equal(fake_quantize(weight, scheme), theirs)
    assert form != "e2m1" or scheme == Scheme.preset("MXFP4")


@each_tensor
def test_equal_to_torchaos_nvfp4_bit_for_bit(weight):
    whole = per_tensor_amax_to_scale(weight.abs().max())
    theirs = NVFP4Tensor.to_nvfp4(weight, per_tensor_scale=whole).dequantize(torch.float32)
    assert torch.equal(fake_quantize(weight, Scheme.preset("NVFP4")), theirs)


def test_nf4_takes_the_level_that_torchao_takes():
    theirs = to_nf4(RANDOM, block_size=64, scaler_block_size=256)
    # Its table has four decimals.
    torch.testing.assert_close(VALUES["nf4"], theirs.nf4, rtol=0, atol=5e-5)
    codes = quantize(RANDOM, choose_qparams(RANDOM, Scheme.preset("NF4")))
    high, low = theirs.quantized_data >> 4, theirs.quantized_data & 15
    packed = torch.stack([high, low], dim=1).flatten().reshape(RANDOM.shape)
    # It rounds by scales that are quantized once more: near the borders they differ.
    assert (codes - packed.int()).abs().max() <= 1
    assert (codes != packed).float().mean() < 0.01
