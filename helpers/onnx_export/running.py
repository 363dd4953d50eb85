"""Run an ONNX file in ONNX Runtime, on the CPU."""

import os
from collections.abc import Sequence

import onnxruntime
import torch
from onnxruntime.capi import onnxruntime_pybind11_state as errors

from helpers.onnx_export.files import read_onnx

OPTIMIZATION = {
    "off": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
}


def session(
    path: str | os.PathLike, *, threads: int = 1, optimization: str = "all"
) -> onnxruntime.InferenceSession:
    """Open an ONNX file for running.

    Args:
        path: the file.
        threads: for the work inside one operator; one makes timings comparable.
        optimization: of the graph, while it is loaded: "off", "basic" or "all".

    Raises:
        FileNotFoundError: there is no such file, or the file of its weights is missing.
        ValueError: ONNX Runtime cannot load the file, or an argument is wrong.
    """
    if optimization not in OPTIMIZATION:
        listed = ", ".join(map(repr, OPTIMIZATION))
        raise ValueError(f"optimization is {optimization!r}; expected one of {listed}")
    if threads < 1:
        raise ValueError(f"threads is {threads}; expected at least 1")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = OPTIMIZATION[optimization]
    try:
        return onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # its errors have no common base class
        read_onnx(path)  # says it better, where the file itself is at fault
        raise ValueError(f"{path}: ONNX Runtime cannot load it. {error}") from error


def run(
    session: onnxruntime.InferenceSession,
    inputs: torch.Tensor | Sequence[torch.Tensor],
) -> torch.Tensor | tuple[torch.Tensor, ...]:
    """Return the outputs for the inputs, which are given in the order of the file.

    Args:
        session: an opened file.
        inputs: one tensor, or one for each input.

    Returns:
        A tensor where the file has one output, otherwise a tuple of them.

    Raises:
        ValueError: the number, the type or the shape of the inputs is not the file's.
    """
    given = [inputs] if isinstance(inputs, torch.Tensor) else list(inputs)
    wanted = session.get_inputs()
    expected = ", ".join(f"{i.name}: {i.type} {i.shape}" for i in wanted)
    got = ", ".join(f"{tensor.dtype} {list(tensor.shape)}" for tensor in given)
    message = f"the file expects {expected}; got {got}"
    if len(given) != len(wanted):
        raise ValueError(message)
    feed = {
        place.name: tensor.detach().cpu().numpy()
        for place, tensor in zip(wanted, given, strict=True)
    }
    try:
        outputs = session.run(None, feed)
    except errors.InvalidArgument as error:
        raise ValueError(message) from error
    tensors = tuple(torch.from_numpy(output) for output in outputs)
    return tensors[0] if len(tensors) == 1 else tensors
