"""Formats of today by name: the settings of a Scheme, and whose format it is.

Save, Load, Ship 0.2.0: helpers/quantization/presets.py · repairs: CHANGELOG.md
"""

_BLOCKS = {"bits": 4, "granularity": "group", "group_size": 32}

# ggml and torchao's int4 divide by the scale before they have rounded it, or by its inverse
# in bfloat16: a few integers in a thousand (Q8_0: in a hundred) are one off from ours.
PRESETS: dict[str, tuple[dict, str]] = {
    "Q4_0": (
        _BLOCKS | {"scale_dtype": "float16", "signed_range": "ggml"},
        "ggml-quants.c: quantize_row_q4_0_ref",
    ),
    "Q8_0": (
        _BLOCKS | {"bits": 8, "scale_dtype": "float16"},
        "ggml-quants.c: quantize_row_q8_0_ref",
    ),
    "int4 group 32 (torchao)": (
        _BLOCKS | {"scale_dtype": "bfloat16", "signed_range": "full"},
        "IntxWeightOnlyConfig(torch.int4, PerGroup(32), scale_dtype=torch.bfloat16)",
    ),
    "int8 per channel (ONNX Runtime)": (
        {"bits": 8, "granularity": "channel"},
        "quantize_static(per_channel=True), weights QInt8",
    ),
    "fp8 per channel (torchao)": (
        {"bits": 8, "granularity": "channel", "format": "e4m3"},
        "Float8WeightOnlyConfig()",
    ),
    "MXFP4": (
        _BLOCKS | {"scale_dtype": "e8m0", "format": "e2m1"},
        "Open Compute Project: Microscaling Formats (MX) Specification 1.0, section 6.3",
    ),
    "NVFP4": (
        _BLOCKS | {"group_size": 16, "scale_dtype": "e4m3", "format": "e2m1"},
        "torchao.prototype.mx_formats: nvfp4_quantize with a scale of the tensor",
    ),
    "NF4": (
        _BLOCKS | {"group_size": 64, "format": "nf4"},
        "bitsandbytes: blocks of 64; its scales are not quantized once more here",
    ),
}
