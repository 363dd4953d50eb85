"""The nodes of a float32 file, as ONNX Runtime's quantizers want them.

Save, Load, Ship 0.2.0: helpers/onnx_export/nodes.py · repairs: CHANGELOG.md
"""

import os
from collections.abc import Sequence
from itertools import chain

import onnx
from onnxruntime.quantization.onnx_model import ONNXModel
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from helpers.onnx_export.files import read_onnx

QUANTIZED = {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulNBits"}


def load_float_model(source: str | os.PathLike) -> onnx.ModelProto:
    """Read a file that is to be quantized.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not an ONNX file, or it is quantized already.

    >>> load_float_model("missing.onnx")
    Traceback (most recent call last):
    FileNotFoundError: missing.onnx: there is no such file; export the model first.
    """
    model = read_onnx(source)
    if found := sorted({node.op_type for node in model.graph.node} & QUANTIZED):
        raise ValueError(
            f"{source} is quantized already: it holds {', '.join(found)}; start from the "
            "float32 file"
        )
    # The exporter has already done what ONNX Runtime asks for before quantization, fusing
    # and inferring shapes; without this mark it would tell the user to do it again.
    add_pre_process_metadata(model)
    return model


def split_gemm(model: onnx.ModelProto) -> onnx.ModelProto:
    """Write Gemm as MatMul and Add: there is no integer or 4-bit Gemm.

    >>> linear = onnx.parser.parse_model('''<ir_version: 10, opset_import: ["" : 20]>
    ...     net (float[N, 2] x, float[2, 3] w, float[3] b) => (float[N, 3] y)
    ...     {[fc] y = Gemm(x, w, b)}''')
    >>> [node.op_type for node in split_gemm(linear).graph.node]
    ['MatMul', 'Add']
    """
    rewritten = ONNXModel(model)
    rewritten.replace_gemm_with_matmul()
    return rewritten.model


def node_names(model: onnx.ModelProto, names: Sequence[str]) -> list[str]:
    """Return the names of the nodes that are meant by names of layers or of nodes.

    A layer "blocks.0" means every node that reads a parameter whose name begins with
    "blocks.0.".

    Raises:
        ValueError: a name is not that of a layer or a node.

    >>> linear = onnx.parser.parse_model('''<ir_version: 10, opset_import: ["" : 20]>
    ...     net (float[1] x) => (float[1] y) <float[1] w={2.0}> {[first] y = Mul(x, w)}''')
    >>> linear.graph.initializer[0].name = linear.graph.node[0].input[1] = "fc.weight"
    >>> node_names(linear, ["fc"])
    ['first']
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
            layers = {some.rpartition(".")[0] for some in chain(*reads.values())} - {""}
            raise ValueError(
                f"exclude names {name!r}, which is not a layer or node of the model; its "
                f"layers are {', '.join(sorted(layers))}"
            )
        found += nodes
    return found
