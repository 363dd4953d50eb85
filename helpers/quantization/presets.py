"""Formats of today by name: the settings of a scheme, and where they come from.

Save, Load, Ship 0.2.0: helpers/quantization/presets.py · repairs: CHANGELOG.md
"""

from typing import NamedTuple


class Preset(NamedTuple):
    """The settings of a `Scheme`, and whose format it is.

    >>> PRESETS["Q8_0"].settings["group_size"]
    32
    """

    settings: dict[str, object]
    source: str


PRESETS = {
    "Q4_0": Preset(
        dict(bits=4, granularity="group", group_size=32)
        | dict(scale_dtype="float16", signed_range="ggml"),
        "ggml, ggml-quants.c: quantize_row_q4_0_ref. It divides by the scale before that "
        "is rounded to float16, so some integers are one off",
    ),
    "Q8_0": Preset(
        dict(bits=8, granularity="group", group_size=32, scale_dtype="float16"),
        "ggml, ggml-quants.c: quantize_row_q8_0_ref. See Q4_0",
    ),
    "int4 group 32 (torchao)": Preset(
        dict(bits=4, granularity="group", group_size=32)
        | dict(scale_dtype="bfloat16", signed_range="full"),
        "torchao: IntxWeightOnlyConfig(torch.int4, PerGroup(32), "
        "scale_dtype=torch.bfloat16)",
    ),
    "int8 per channel (torchao)": Preset(
        dict(bits=8, granularity="channel", signed_range="full"),
        "torchao: Int8WeightOnlyConfig()",
    ),
    "int8 per channel (ONNX Runtime)": Preset(
        dict(bits=8, granularity="channel"),
        "onnxruntime.quantization: quantize_static(per_channel=True), QInt8 weights",
    ),
    "fp8 per channel (torchao)": Preset(
        dict(bits=8, granularity="channel", format="e4m3"),
        "torchao: Float8WeightOnlyConfig()",
    ),
    "MXFP4": Preset(
        dict(bits=4, granularity="group", group_size=32)
        | dict(scale_dtype="e8m0", format="e2m1"),
        "Open Compute Project: Microscaling Formats (MX) Specification 1.0, section 6.3",
    ),
    "NVFP4": Preset(
        dict(bits=4, granularity="group", group_size=16)
        | dict(scale_dtype="e4m3", format="e2m1"),
        "NVIDIA; torchao.prototype.mx_formats: nvfp4_quantize with a scale per tensor",
    ),
    "NF4": Preset(
        dict(bits=4, granularity="group", group_size=64, format="nf4"),
        "QLoRA, bitsandbytes: blocks of 64 with float32 scales, not quantized once more",
    ),
}
