"""Export a PyTorch model to ONNX: one call, with everything around it that is forgotten.

Save, Load, Ship 0.2.0: helpers/onnx_export/exporting.py · repairs: CHANGELOG.md
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import onnx
import onnx_ir
import torch
from torch import nn

from helpers.arguments import require_module, whole_number
from helpers.onnx_export.files import atomic_path
from helpers.onnx_export.running import input_tensors, output_tensors, session
from helpers.quiet import leave_out
from helpers.training import eval_mode

# What the exporter says on a machine where nothing is wrong.
STRAY_LINES = {
    "torch.onnx._internal.exporter._registration": (
        r"^torchvision is not installed\. Skipping"
    )
}
STRAY_WARNINGS = (
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # torch's own code, by itself
    "_check_is_size will be removed",  # the same, where it exports an LSTM
    r"The tensor attributes .*\b_flat_weights\[",  # how torch's LSTM keeps its parameters
    "# The axis name: batch will not be used, .* another axis: batch",  # shared by inputs
)


def export_onnx(
    model: nn.Module,
    example_inputs: torch.Tensor | Sequence[torch.Tensor],
    path: str | os.PathLike,
    *,
    input_names: Sequence[str] = ("input",),
    output_names: Sequence[str] = ("output",),
    dynamic_batch: bool = True,
    opset: int | None = None,
    external_data: bool = False,
    metadata: Mapping[str, object] | None = None,
) -> Path:
    """Write a model to an ONNX file, checked, all or nothing; return the path.

    The model is in eval mode while it is exported, and every module is back in its own
    mode afterwards. The file has passed `onnx.checker` and was loaded by ONNX Runtime
    before it takes its name; a failed export leaves what was at the path.

    Args:
        model: on the CPU or not; its own errors while it is exported are passed on.
        example_inputs: a tensor, or a tuple of one for each input of `forward`.
        path: the file to write.
        input_names: one for each input; no name stands for two things in a file, be they
            inputs, outputs or weights.
        output_names: one for each output, likewise.
        dynamic_batch: axis 0 of every input may have any length in the file; otherwise
            only that of the example.
        opset: the version of ONNX's operators; the exporter's choice where None.
        external_data: keep the weights in a file of their own, `<path>.<digest>.data`
            beside the model's; needed from 2 GB on.
        metadata: stored in the file beside "torch_version", "opset" and, in the course,
            "course_version"; texts as they are, anything else, such as a list of classes,
            as JSON.

    Raises:
        FileNotFoundError: the folder of the path does not exist.
        TypeError: model or example_inputs are of another type, or a value of the metadata
            cannot be written as JSON.
        ValueError: the model does not accept the example, the number of names is not that
            of inputs or outputs, a name is taken, or the exporter cannot give the opset
            asked for.

    >>> import tempfile
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = export_onnx(model, torch.rand(1, 4), Path(folder) / "model.onnx")
    ...     print(session(path).run(None, {"input": torch.rand(7, 4).numpy()})[0].shape)
    (7, 2)
    """
    path = Path(path)
    require_module(model)
    inputs = _example_batch(example_inputs, dynamic_batch)
    _require_names("input", input_names, len(inputs))
    texts = _texts(metadata or {})
    if opset is not None:
        opset = whole_number("opset", opset, least=1)
    with atomic_path(path) as new, eval_mode(model):
        _require_names("output", output_names, _count_outputs(model, inputs))
        _require_no_name_twice(model, [*input_names, *output_names])
        with leave_out(STRAY_LINES, STRAY_WARNINGS):
            program: Any = torch.onnx.export(
                model,
                inputs,
                dynamo=True,
                input_names=list(input_names),
                output_names=list(output_names),
                # A string names the axis in the file.
                dynamic_shapes=({0: "batch"},) * len(inputs) if dynamic_batch else None,
                opset_version=opset,
                verbose=False,
            )
        given = program.model.opset_imports[""]
        if opset not in (None, given):
            more = " or more" if opset < given else ""
            raise ValueError(
                f"opset is {opset}, but this model came out in {given}: the exporter "
                f"could not convert it; leave opset out, or ask for {given}{more}"
            )
        _remove_traces(program.model)
        program.model.metadata_props.update(texts | {"opset": str(given)})
        weights = f"{path.name}.{_digest(program.model)}.data" if external_data else None
        onnx_ir.save(program.model, new, external_data=weights)
        onnx.checker.check_model(str(new))
        session(new)
    _remove_old_weights(path, weights)
    return path


def _example_batch(example_inputs: object, dynamic_batch: bool) -> tuple[torch.Tensor, ...]:
    given = input_tensors("example_inputs", example_inputs)
    inputs = tuple(tensor.detach() for tensor in given)
    if not dynamic_batch:
        return inputs
    if any(tensor.dim() == 0 or len(tensor) == 0 for tensor in inputs):
        raise ValueError(
            "example_inputs has no batch: with dynamic_batch, axis 0 of every input is "
            "the batch and holds at least one example"
        )
    # torch.export takes a length of 1 for a constant of the model.
    if all(len(tensor) == 1 for tensor in inputs):
        inputs = tuple(torch.cat([tensor, tensor]) for tensor in inputs)
    return inputs


def _require_names(kind: str, names: Sequence[str], count: int) -> None:
    listed = isinstance(names, list | tuple) and len(names) == count
    if not listed or not all(isinstance(name, str) and name for name in names):
        raise ValueError(
            f"{kind}_names is {names!r}; the model has {count} {kind}(s), expected as many "
            "different names in a tuple"
        )


def _require_no_name_twice(model: nn.Module, names: list[str]) -> None:
    # The exporter takes an input that is named like a weight for that weight.
    weights = {*dict(model.named_parameters()), *dict(model.named_buffers())}
    for name in names:
        if name in weights or names.count(name) > 1:
            other = "a weight of the model" if name in weights else "another one"
            raise ValueError(
                f"{name!r} of input_names and output_names is also the name of {other}; "
                "expected a name for each input and output that nothing else has"
            )


def _count_outputs(model: nn.Module, inputs: tuple[torch.Tensor, ...]) -> int:
    """Run the model once and count the tensors that it returns."""
    try:
        with torch.no_grad():
            outputs = model(*inputs)
    except Exception as error:
        shapes = ", ".join(f"{t.dtype} {tuple(t.shape)}" for t in inputs)
        raise ValueError(
            f"the model does not accept example_inputs of {shapes}. "
            f"{type(error).__name__}: {error}"
        ) from error
    return len(output_tensors(outputs))


def _texts(metadata: Mapping[str, object]) -> dict[str, str]:
    """Return the metadata as texts, with our own; "opset" is empty until it is known."""
    texts = {"torch_version": str(torch.__version__), "opset": ""}
    with suppress(PackageNotFoundError):  # where this helper was copied out of the course
        texts["course_version"] = version("save-load-ship")
    if taken := sorted(texts.keys() & metadata.keys()):
        raise ValueError(f"metadata holds {', '.join(taken)}, which export_onnx fills in")
    for key, value in metadata.items():
        try:
            texts[str(key)] = value if isinstance(value, str) else json.dumps(value)
        except TypeError as error:
            raise TypeError(
                f"metadata[{key!r}] is a {type(value).__name__}; expected a text, or what "
                f"JSON can hold: numbers, lists, dicts. {error}"
            ) from error
    return texts


def _remove_traces(model: onnx_ir.Model) -> None:
    # The exporter notes for every node which lines of Python it came from, with the paths
    # of this machine: nothing to hand out, and a third of a small file.
    for graph in model.graphs():
        graph.metadata_props.clear()
        for node in graph:
            node.metadata_props.clear()
            for output in node.outputs:
                output.metadata_props.clear()
        for value in (*graph.inputs, *graph.initializers.values()):
            value.metadata_props.clear()


def _digest(model: onnx_ir.Model) -> str:
    # Named after its content, so that old model and old weights stay a pair until the new
    # model takes the name, and the same weights always lie in a file of the same name.
    sha = hashlib.sha256()
    for name, value in sorted(model.graph.initializers.items()):
        weight: Any = value.const_value
        sha.update(name.encode() + weight.tobytes())
    return sha.hexdigest()[:8]


def _remove_old_weights(path: Path, keep: str | None) -> None:
    ours = re.compile(re.escape(path.name) + r"\.[0-9a-f]{8}\.data")
    for file in path.parent.iterdir():
        if ours.fullmatch(file.name) and file.name != keep:
            file.unlink()
