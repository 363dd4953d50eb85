"""What is in an ONNX file: inputs, outputs, operators, parameters, bytes.

Save, Load, Ship 0.2.0: helpers/onnx_export/describing.py · repairs: CHANGELOG.md
"""

import math
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import onnx

from helpers.onnx_export.files import external_files, read_onnx

# A string is the name of an axis of any length, an int the length of a fixed one.
Shape = tuple[int | str, ...]
OWN = ("", "ai.onnx")  # both name ONNX's own set of operators


@dataclass(frozen=True)
class Description:
    """What `describe` found.

    Attributes:
        inputs: name -> (type such as "float32", shape); where it is not a tensor, its
            kind, such as "sequence", and an empty shape.
        outputs: likewise.
        opset: version of ONNX's own operators; 0 if the file uses none of them.
        operators: operator -> how often, the most frequent first.
        parameters: numbers in the weights.
        bytes: of the file, and of the files of weights beside it.
        metadata: what was stored with it.

    >>> places = {"x": ("float32", ("batch", 4))}, {"y": ("float32", ("batch", 2))}
    >>> print(Description(*places, 20, {"Gemm": 1}, 10, 250, {}))
    input x: float32 [batch, 4]
    output y: float32 [batch, 2]
    opset 20
    operators: Gemm 1
    parameters: 10
    """

    inputs: dict[str, tuple[str, Shape]]
    outputs: dict[str, tuple[str, Shape]]
    opset: int
    operators: dict[str, int]
    parameters: int
    bytes: int
    metadata: dict[str, str] = field(repr=False)

    def __str__(self) -> str:
        """Return a line for each thing found."""
        lines = [
            f"{kind} {name}: {type_} [{', '.join(map(str, shape))}]"
            for kind, places in (("input", self.inputs), ("output", self.outputs))
            for name, (type_, shape) in places.items()
        ]
        operators = ", ".join(f"{name} {count}" for name, count in self.operators.items())
        lines += [
            f"opset {self.opset}",
            f"operators: {operators}",
            f"parameters: {self.parameters:,}",
        ]
        return "\n".join(lines)


def describe(path: str | os.PathLike) -> Description:
    """Read an ONNX file and return what is in it, without running it.

    Raises:
        FileNotFoundError, ValueError: as `read_onnx`.

    >>> import tempfile
    >>> graph = onnx.parser.parse_model('''<ir_version: 10, opset_import: ["" : 20]>
    ...     net (float[batch, 4] x) => (float[batch, 4] y) {y = Relu(x)}''')
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     onnx.save(graph, path := f"{folder}/relu.onnx")
    ...     found = describe(path)
    >>> found.inputs, found.operators, found.opset
    ({'x': ('float32', ('batch', 4))}, {'Relu': 1}, 20)
    """
    path = Path(path)
    model = read_onnx(path)
    graph = model.graph
    weights = {tensor.name for tensor in graph.initializer}
    beside = external_files(onnx.load(path, load_external_data=False))
    return Description(
        # Old files list their weights among the inputs.
        inputs={i.name: _type(i) for i in graph.input if i.name not in weights},
        outputs={output.name: _type(output) for output in graph.output},
        opset=next((o.version for o in model.opset_import if o.domain in OWN), 0),
        operators=dict(Counter(node.op_type for node in graph.node).most_common()),
        parameters=sum(math.prod(tensor.dims) for tensor in graph.initializer),
        bytes=path.stat().st_size
        + sum((path.parent / name).stat().st_size for name in beside),
        metadata={entry.key: entry.value for entry in model.metadata_props},
    )


def _type(place: onnx.ValueInfoProto) -> tuple[str, Shape]:
    kind = place.type.WhichOneof("value") or "unknown"
    if kind != "tensor_type":
        return kind.removesuffix("_type"), ()
    tensor = place.type.tensor_type
    shape = tuple(axis.dim_param or axis.dim_value or "?" for axis in tensor.shape.dim)
    return str(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)), shape
