"""ONNX Runtime and torchao are asked themselves, and their answers are told as they are."""

import pytest
import torch

from helpers.classroom.runtimes.weight_formats import in_onnx_runtime, in_torchao
from helpers.quantization import PRESETS, Scheme

NORMAL = torch.randn(64, 256, generator=torch.Generator().manual_seed(0))


def test_who_has_a_kernel_in_onnx_runtime():
    assert {name: in_onnx_runtime(Scheme.preset(name)) for name in PRESETS} == {
        "Q4_0": "yes",
        "Q8_0": "yes",
        "int4 group 32 (torchao)": "NotImplemented",
        "int8 per channel (ONNX Runtime)": "yes",
        "fp8 per channel (torchao)": "yes",
        "MXFP4": "NotImplemented",
        "NVFP4": "NotImplemented",
        "NF4": "yes",
    }


@pytest.mark.parametrize(
    ("scheme", "said"),
    [
        (Scheme.preset("int4 group 32 (torchao)", scale_dtype="float16"), "yes"),
        (Scheme.preset("Q4_0", scale_dtype="bfloat16"), "NotImplemented"),
        (Scheme.preset("MXFP4", scale_dtype="float32"), "NotImplemented"),
        (Scheme(bits=8, format="e5m2"), "yes"),
        (Scheme(bits=4, symmetric=False), "yes"),
    ],
)
def test_numbers_and_scales_decide(scheme, said):
    assert in_onnx_runtime(scheme) == said


def test_bits_that_onnx_has_not():
    with pytest.raises(ValueError) as caught:
        in_onnx_runtime(Scheme(bits=3))
    assert str(caught.value) == "ONNX has no integers of 3 bits, only 2, 4, 8 and 16"


def test_torchao_is_equal_but_where_it_divides_by_another_scale():
    shares = in_torchao(NORMAL)
    equal = {"fp8 per channel (torchao)", "MXFP4", "NVFP4"}
    assert {name for name, share in shares.items() if share == 0} == equal
    assert shares.keys() == equal | {"int4 group 32 (torchao)", "NF4"}
    assert 0 < shares["int4 group 32 (torchao)"] < 0.02
    assert 0 < shares["NF4"] < 0.01


def test_a_level_that_is_another_one_is_counted(monkeypatch):
    settings, source = PRESETS["MXFP4"]
    coarser = settings | {"group_size": 64}
    monkeypatch.setitem(PRESETS, "MXFP4", (coarser, source))
    assert in_torchao(NORMAL)["MXFP4"] > 0.01
