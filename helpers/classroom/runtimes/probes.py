"""Two quick probes of one core: how fast bytes arrive, and how fast it multiplies."""

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime

from helpers.classroom.runtimes.ceiling import Machine
from helpers.measurement import time_interleaved

ROWS, WIDTH = 256, 512  # all of it fits into a cache, so that only the arithmetic counts
# Less is read in hardly more time than a call takes.
LEAST_BYTES = 2**18
_PRODUCTS = {
    "float32": ("MatMul", onnx.TensorProto.FLOAT, np.float32, np.float32),
    "int8": ("MatMulInteger", onnx.TensorProto.INT32, np.uint8, np.int8),
}


def measure_machine(size: int, *, rounds: int = 10) -> Machine:
    """Measure what one core does at most, in about a tenth of a second.

    The products are those of ONNX Runtime on one thread. Least times count, which nothing
    else on the machine has disturbed.

    Args:
        size: bytes of what is read. What fits into a cache is read from there, so give
            the size of the weights that you want to compare with.
        rounds: of each probe, at least 2.

    Raises:
        ValueError: the size is below 1.
    """
    if size < 1:
        raise ValueError(f"size is {size}; expected bytes, at least 1")
    # For its maximum numpy reads an array once, in wide vectors, on one thread.
    numbers = np.ones(max(size, LEAST_BYTES) // 4, np.int32)
    probes = {"read": numbers.max, **{kind: _product(kind) for kind in _PRODUCTS}}
    # torch takes no part, and may be at work in another thread.
    table = time_interleaved(probes, rounds=rounds, threads=None)
    least = table["min ms"] * 1e6  # nanoseconds, so that a byte in each is a GB/s
    operations = 2 * ROWS * WIDTH * WIDTH
    return Machine(
        bandwidth=float(numbers.nbytes / least["read"]),
        float32=float(operations / least["float32"]),
        int8=float(operations / least["int8"]),
    )


def _product(kind: str) -> Callable[[], list]:
    """Open a product of matrices in ONNX Runtime."""
    operator, answer, left_type, right_type = _PRODUCTS[kind]
    generator = np.random.default_rng(0)
    left = generator.integers(0, 127, (ROWS, WIDTH)).astype(left_type)
    right = generator.integers(-63, 63, (WIDTH, WIDTH)).astype(right_type)
    weights = onnx.numpy_helper.from_array(right, "weights")
    given = onnx.helper.np_dtype_to_tensor_dtype(left.dtype)
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(operator, ["rows", "weights"], ["answer"])],
        "product",
        [onnx.helper.make_tensor_value_info("rows", given, left.shape)],
        [onnx.helper.make_tensor_value_info("answer", answer, (ROWS, WIDTH))],
        [weights],
    )
    opset = onnx.helper.make_opsetid("", 18)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    opened = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda: opened.run(None, {"rows": left})
