"""Who knows which weight format: asks ONNX Runtime for a kernel, torchao for its values.

Both are imported where they are asked: torchao alone takes seconds.
"""

import torch

from helpers.quantization import Scheme, choose_qparams, fake_quantize, quantize

# What ONNX calls a format's numbers and scales; e4m3 scales become floats by a node more.
_TYPES = {"e4m3": "float8e4m3fn", "e5m2": "float8e5m2", "e2m1": "float4e2m1"}
_SCALES = {"float32": "float", "e8m0": "float8e8m0", "e4m3": "float"}
_LINEAR = """<ir_version: 12, opset_import: ["": 25]>
g ({numbers}[8, {size}] q, {scale}[8, 1] s) => (float[8, {size}] w)
{{ w = DequantizeLinear<axis=1, block_size={size}, output_dtype=1>(q, s) }}"""
# NF4 is no type of ONNX: ONNX Runtime has an operator of its own for it.
_NF4 = """<ir_version: 10, opset_import: ["": 21, "com.microsoft": 1]>
g (float[1, 64] x, uint8[64] q, float[2] s) => (float[1, 2] y)
{ y = com.microsoft.MatMulBnb4<K=64, N=2, block_size=64, quant_type=1>(x, q, s) }"""


def in_onnx_runtime(scheme: Scheme) -> str:
    """Say whether ONNX Runtime's CPU has a kernel for such weights and their scales.

    It is handed a file of one operator that turns them into floats.

    Returns:
        "yes", or the name of its error: "NotImplemented" where there is no kernel.

    Raises:
        ValueError: ONNX has no integers of so many bits.
    """
    import onnx.parser
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as errors

    if scheme.bits not in (2, 4, 8, 16):
        raise ValueError(f"ONNX has no integers of {scheme.bits} bits, only 2, 4, 8 and 16")
    text = _NF4
    if scheme.format != "nf4":
        text = _LINEAR.format(
            numbers=_TYPES.get(
                scheme.format, f"{'u' * (not scheme.symmetric)}int{scheme.bits}"
            ),
            scale=_SCALES.get(scheme.scale_dtype, scheme.scale_dtype),
            size=scheme.group_size if scheme.granularity == "group" else 64,
        )
    file = onnx.parser.parse_model(text).SerializeToString()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except (errors.NotImplemented, errors.InvalidGraph, errors.Fail) as error:
        return type(error).__name__
    return "yes"


def in_torchao(weight: torch.Tensor) -> dict[str, float]:
    """Return which share of the weights torchao puts on another level, by preset it has.

    Another level is another value than ours; of NF4 another code, since torchao quantizes
    the scales once more.

    Args:
        weight: float32 (out, in), both multiples of 64.

    Returns:
        name of the preset -> share, 0 to 1.
    """
    from torchao.prototype.mx_formats import mx_tensor, nvfp4_tensor
    from torchao.quantization import (
        Float8WeightOnlyConfig,
        IntxWeightOnlyConfig,
        PerGroup,
        quantize_,
    )
    from torchao.quantization.quantize_.workflows.nf4.nf4_tensor import to_nf4

    def by_config(config: object) -> torch.Tensor:
        layer = torch.nn.Linear(*reversed(weight.shape), bias=False)
        layer.weight.data = weight.clone()
        quantize_(layer, config)
        return layer.weight.dequantize()

    int4 = IntxWeightOnlyConfig(torch.int4, PerGroup(32), scale_dtype=torch.bfloat16)
    whole = nvfp4_tensor.per_tensor_amax_to_scale(weight.abs().max())
    fp4 = nvfp4_tensor.NVFP4Tensor.to_nvfp4(weight, per_tensor_scale=whole)
    mxfp4 = mx_tensor.MXTensor.to_mx(weight, torch.float4_e2m1fn_x2, 32)
    theirs = {
        "int4 group 32 (torchao)": by_config(int4),
        "fp8 per channel (torchao)": by_config(Float8WeightOnlyConfig()),
        "MXFP4": mxfp4.dequantize(torch.float32),
        "NVFP4": fp4.dequantize(torch.float32),
    }
    shares = {
        name: values != fake_quantize(weight, Scheme.preset(name))
        for name, values in theirs.items()
    }
    pairs = to_nf4(weight, block_size=64, scaler_block_size=256).quantized_data
    codes = torch.stack([pairs >> 4, pairs & 15], dim=1).reshape(weight.shape)
    ours = quantize(weight, choose_qparams(weight, Scheme.preset("NF4")))
    shares["NF4"] = ours != codes
    return {name: apart.float().mean().item() for name, apart in shares.items()}
