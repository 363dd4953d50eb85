"""Make an ONNX file smaller with ONNX Runtime's own tools: int8, float16, 4-bit weights.

Source of the settings: ONNX Runtime's documentation, "Quantize ONNX models", sections
"Method selection" and "When to use reduce-range and per-channel quantization?".
"""

import io
import logging
import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path

import onnx
import torch
from onnxruntime import quantization
from onnxruntime.quantization.onnx_model import ONNXModel
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from helpers.measurement.processor import has_int8_dot_product
from helpers.onnx_export.calibration import Calibration
from helpers.onnx_export.files import read_onnx, replacing
from helpers.onnx_export.running import session

CALIBRATION_METHODS = {
    "minmax": quantization.CalibrationMethod.MinMax,
    "entropy": quantization.CalibrationMethod.Entropy,
    "percentile": quantization.CalibrationMethod.Percentile,
}
QUANTIZED = {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulNBits"}


def quantize_dynamic_onnx(
    source: str | os.PathLike,
    target: str | os.PathLike,
    *,
    per_channel: bool = True,
    exclude: Sequence[str] = (),
    reduce_range: bool | None = None,
) -> Path:
    """Write an int8 copy of a model that measures its activations anew in every run.

    Args:
        source: the float32 file.
        target: the file to write, all or nothing.
        per_channel: a scale for each output channel of a weight.
        exclude: names of layers, as in the PyTorch model, or of nodes, that stay float.
        reduce_range: see `quantize_static_onnx`.

    Raises:
        FileNotFoundError: there is no source, or no folder for the target.
        ValueError: the source is not an ONNX file or is quantized already, a name in
            exclude is not in it, or its weights hold NaN or infinity.
    """
    model = _matmuls(_prepared(source))
    with replacing(target) as new, _explaining(source):
        quantization.quantize_dynamic(
            model,
            new,
            per_channel=per_channel,
            reduce_range=_reduce_range(reduce_range),
            weight_type=quantization.QuantType.QInt8,
            nodes_to_exclude=nodes_of(model, exclude),
        )
        session(new)
    return Path(target)


def quantize_static_onnx(
    source: str | os.PathLike,
    target: str | os.PathLike,
    calibration: torch.Tensor | Sequence[torch.Tensor],
    *,
    per_channel: bool = True,
    method: str = "minmax",
    exclude: Sequence[str] = (),
    reduce_range: bool | None = None,
) -> Path:
    """Write an int8 copy of a model whose activations got their ranges beforehand (QDQ).

    Activations are unsigned, weights signed.

    Args:
        source: the float32 file.
        target: the file to write, all or nothing.
        calibration: typical inputs (N, ...), or a tuple with one tensor for each input.
        per_channel: a scale for each output channel of a weight.
        method: how the range of an activation is chosen: "minmax", "entropy" or
            "percentile".
        exclude: names of layers, as in the PyTorch model, or of nodes, that stay float.
        reduce_range: weights use 7 bits, so that the sum of two products fits into 16
            bits; where None, on x86 processors without VNNI, which need it.

    Raises:
        FileNotFoundError: there is no source, or no folder for the target.
        ValueError: the source is not an ONNX file or is quantized already, a name in
            exclude is not in it, the method is unknown, the calibration does not fit the
            model's inputs, or it or the weights hold NaN or infinity.
    """
    if method not in CALIBRATION_METHODS:
        listed = ", ".join(map(repr, CALIBRATION_METHODS))
        raise ValueError(f"method is {method!r}; expected one of {listed}")
    model = _prepared(source)
    # The methods that make histograms print how far they are.
    quiet = nullcontext() if method == "minmax" else redirect_stdout(io.StringIO())
    with replacing(target) as new, quiet, _explaining(source):
        quantization.quantize_static(
            model,
            new,
            Calibration(source, calibration),
            per_channel=per_channel,
            reduce_range=_reduce_range(reduce_range),
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            nodes_to_exclude=nodes_of(model, exclude),
            calibrate_method=CALIBRATION_METHODS[method],
        )
        session(new)
    return Path(target)


def to_float16_onnx(source: str | os.PathLike, target: str | os.PathLike) -> Path:
    """Write a float16 copy of a model; its inputs and outputs stay float32.

    Weights beyond float16's largest number, 65,504, become that number.

    Raises:
        FileNotFoundError: there is no source, or no folder for the target.
        ValueError: the source is not an ONNX file.
    """
    from onnxruntime.transformers import float16

    small = ONNXModel(
        float16.convert_float_to_float16(read_onnx(source), keep_io_types=True)
    )
    # The converter puts the casts of the inputs at the end, where ONNX forbids them.
    small.topological_sort()
    with replacing(target) as new:
        onnx.save(small.model, new)
        session(new)
    return Path(target)


def quantize_4bit_onnx(
    source: str | os.PathLike,
    target: str | os.PathLike,
    *,
    block_size: int = 32,
    exclude: Sequence[str] = (),
) -> Path:
    """Write a copy of a model with 4-bit weights in its linear layers (MatMulNBits).

    The weights are symmetric, with a scale for each block of them within an output
    channel; activations are rounded to int8 while a layer runs (accuracy level 4).
    Convolutions stay as they are.

    Args:
        source: the float32 file.
        target: the file to write, all or nothing.
        block_size: weights that share a scale: 16, 32, 64, 128 or 256.
        exclude: names of layers, as in the PyTorch model, or of nodes, that stay float.

    Raises:
        FileNotFoundError: there is no source, or no folder for the target.
        ValueError: the source is not an ONNX file or is quantized already, a name in
            exclude is not in it, the block size is another, or no layer is linear.
    """
    if block_size not in (sizes := (16, 32, 64, 128, 256)):
        listed = ", ".join(map(str, sizes))
        raise ValueError(f"block_size is {block_size}; expected one of {listed}")
    model = _matmuls(_prepared(source))
    if not any(node.op_type == "MatMul" for node in model.graph.node):
        raise ValueError(f"{source} has no linear layer, so no weights for 4 bits")
    quantizer = _nbits_quantizer()(
        model,
        bits=4,
        block_size=block_size,
        is_symmetric=True,
        accuracy_level=4,
        nodes_to_exclude=nodes_of(model, exclude),
    )
    quantizer.process()
    with replacing(target) as new:
        onnx.save(quantizer.model.model, new)
        session(new)
    return Path(target)


def nodes_of(model: onnx.ModelProto, names: Sequence[str]) -> list[str]:
    """Return the names of the nodes that are meant by names of layers or of nodes.

    A layer "blocks.0" means every node that reads a parameter whose name begins with
    "blocks.0.".

    Raises:
        ValueError: a name means no node.
    """
    if isinstance(names, str):
        raise ValueError(f"exclude is {names!r}; expected a tuple of names")
    parameters = {tensor.name for tensor in model.graph.initializer}
    reads = {
        node.name: [name for name in node.input if name in parameters]
        for node in model.graph.node
    }
    found = []
    for name in names:
        nodes = [
            node
            for node, inputs in reads.items()
            if node == name or any(some.startswith(f"{name}.") for some in inputs)
        ]
        if not nodes:
            layers = sorted(
                {some.rpartition(".")[0] for inputs in reads.values() for some in inputs}
                - {""}
            )
            raise ValueError(
                f"exclude names {name!r}, which is no layer or node of the model; its "
                f"layers are {', '.join(layers)}"
            )
        found += nodes
    return found


def _prepared(source: str | os.PathLike) -> onnx.ModelProto:
    model = read_onnx(source)
    if found := sorted({node.op_type for node in model.graph.node} & QUANTIZED):
        raise ValueError(
            f"{source} is quantized already: it holds {', '.join(found)}; start from the "
            "float32 file"
        )
    # The exporter has already done what ONNX Runtime asks for before quantization, fusing
    # and inferring shapes; without this mark it would tell the learner to do it again.
    add_pre_process_metadata(model)
    return model


@contextmanager
def _explaining(source: str | os.PathLike) -> Iterator[None]:
    try:
        yield
    except AssertionError as error:
        if str(error) != "scale issue":
            raise
        raise ValueError(
            f"{source}: its weights or activations hold NaN or infinity, so no scale can "
            "be chosen; repair them before quantizing"
        ) from error


def _matmuls(model: onnx.ModelProto) -> onnx.ModelProto:
    """Write Gemm as MatMul and Add: there is no integer or 4-bit Gemm."""
    rewritten = ONNXModel(model)
    rewritten.replace_gemm_with_matmul()
    return rewritten.model


def _reduce_range(reduce_range: bool | None) -> bool:
    if reduce_range is not None:
        return reduce_range
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    return x86 and not has_int8_dot_product()


def _nbits_quantizer() -> type:
    # The module makes the root logger write every INFO line, for good, unless the root
    # already has a handler.
    handler = logging.NullHandler()
    logging.root.addHandler(handler)
    try:
        from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
    finally:
        logging.root.removeHandler(handler)
    return MatMulNBitsQuantizer
