"""Make an ONNX file smaller with ONNX Runtime's own quantizers: int8, 4-bit weights.

Source of the settings: ONNX Runtime's documentation, "Quantize ONNX models", sections
"Method selection" and "When to use reduce-range and per-channel quantization?".

Save, Load, Ship 0.2.0: helpers/onnx_export/runtime_quantization.py · repairs: CHANGELOG.md
"""

import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import onnx
import torch
from onnxruntime import quantization

from helpers.arguments import require_one_of
from helpers.measurement.processor import has_int8_dot_product
from helpers.onnx_export.calibration import Calibration
from helpers.onnx_export.files import atomic_path
from helpers.onnx_export.nodes import load_float_model, node_names, split_gemm
from helpers.onnx_export.running import session
from helpers.quiet import keep_root_logger, leave_out

CALIBRATION_METHODS = {
    "minmax": quantization.CalibrationMethod.MinMax,
    "entropy": quantization.CalibrationMethod.Entropy,
    "percentile": quantization.CalibrationMethod.Percentile,
}
# The methods that make histograms print how far they are.
PROGRESS = (
    "Collecting tensor data and making histogram",
    "Finding optimal threshold for each tensor",
    "Number of (tensors|histogram bins|quantized bins) :",
    "Percentile :",
)
BLOCK_SIZES = (16, 32, 64, 128, 256)


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

    >>> from tempfile import TemporaryDirectory
    >>> from helpers.onnx_export import export_onnx
    >>> model, inputs = torch.nn.Linear(64, 64), torch.rand(100, 64)
    >>> with TemporaryDirectory() as folder:
    ...     large = export_onnx(model, inputs, f"{folder}/m.onnx")
    ...     small = quantize_dynamic_onnx(large, f"{folder}/m8.onnx")
    ...     small.stat().st_size < 0.5 * large.stat().st_size
    True
    """
    model = split_gemm(load_float_model(source))
    with atomic_path(target) as new, _explain_scale_error(source):
        quantization.quantize_dynamic(
            model,
            new,
            per_channel=per_channel,
            reduce_range=_reduce_range(reduce_range),
            weight_type=quantization.QuantType.QInt8,
            nodes_to_exclude=node_names(model, exclude),
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

    Activations are unsigned, weights signed. The other arguments are those of
    `quantize_dynamic_onnx`.

    Args:
        calibration: typical inputs (N, ...), or a tuple with one tensor for each input.
        method: how the range of an activation is chosen: "minmax", "entropy" or
            "percentile".
        reduce_range: weights use 7 bits, so that the sum of two products fits into 16
            bits; where None, on x86 processors without VNNI, which need it.

    Raises:
        FileNotFoundError, ValueError: as `quantize_dynamic_onnx`; also where the method is
            unknown, or the calibration does not fit the inputs or holds NaN or infinity.

    >>> from tempfile import TemporaryDirectory
    >>> from helpers.onnx_export import export_onnx
    >>> model, inputs = torch.nn.Linear(64, 64), torch.rand(100, 64)
    >>> with TemporaryDirectory() as folder:
    ...     large = export_onnx(model, inputs, f"{folder}/m.onnx")
    ...     small = quantize_static_onnx(large, f"{folder}/m8.onnx", inputs)
    ...     small.stat().st_size < 0.5 * large.stat().st_size
    True
    """
    require_one_of("method", method, CALIBRATION_METHODS)
    model = load_float_model(source)
    with (
        atomic_path(target) as new,
        _explain_scale_error(source),
        leave_out(printed=PROGRESS),
    ):
        quantization.quantize_static(
            model,
            new,
            Calibration(source, calibration, equal_batches=method != "minmax"),
            per_channel=per_channel,
            reduce_range=_reduce_range(reduce_range),
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            nodes_to_exclude=node_names(model, exclude),
            calibrate_method=CALIBRATION_METHODS[method],
        )
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
    Convolutions stay as they are. The other arguments are those of
    `quantize_dynamic_onnx`.

    Args:
        block_size: weights that share a scale: 16, 32, 64, 128 or 256.

    Raises:
        FileNotFoundError, ValueError: as `quantize_dynamic_onnx`; also if the block
            size is not one of these, or no layer is linear.

    >>> from tempfile import TemporaryDirectory
    >>> from helpers.onnx_export import export_onnx
    >>> model, inputs = torch.nn.Linear(64, 64), torch.rand(100, 64)
    >>> with TemporaryDirectory() as folder:
    ...     large = export_onnx(model, inputs, f"{folder}/m.onnx")
    ...     small = quantize_4bit_onnx(large, f"{folder}/m4.onnx")
    ...     small.stat().st_size < 0.4 * large.stat().st_size
    True
    """
    require_one_of("block_size", block_size, BLOCK_SIZES)
    model = split_gemm(load_float_model(source))
    if not any(node.op_type == "MatMul" for node in model.graph.node):
        raise ValueError(f"{source} has no linear layer, so no weights for 4 bits")
    with keep_root_logger():  # the module makes it write every INFO line, for good
        from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
    quantizer = MatMulNBitsQuantizer(
        model,
        bits=4,
        block_size=block_size,
        is_symmetric=True,
        accuracy_level=4,
        nodes_to_exclude=node_names(model, exclude),
    )
    quantizer.process()
    with atomic_path(target) as new:
        onnx.save(quantizer.model.model, new)
        session(new)
    return Path(target)


@contextmanager
def _explain_scale_error(source: str | os.PathLike) -> Iterator[None]:
    try:
        yield
    except AssertionError as error:
        if str(error) != "scale issue":
            raise
        raise ValueError(
            f"{source}: its weights or activations hold NaN or infinity, so no scale can "
            "be chosen; repair them before quantizing"
        ) from error


def _reduce_range(reduce_range: bool | None) -> bool:
    if reduce_range is not None:
        return reduce_range
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    return x86 and not has_int8_dot_product()
