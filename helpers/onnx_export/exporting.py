"""Export a PyTorch model to ONNX: one call, with everything around it that is forgotten."""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import onnx
import onnx_ir
import torch
from torch import nn

from helpers import stray_lines
from helpers.onnx_export.files import replacing
from helpers.onnx_export.running import session
from helpers.training import evaluating

# What the exporter says on a machine where nothing is wrong.
STRAY_LINES = {
    "torch.onnx._internal.exporter._registration": (
        r"^torchvision is not installed\. Skipping"
    ),
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
        input_names: one for each input.
        output_names: one for each output.
        dynamic_batch: axis 0 of every input may have any length in the file; otherwise
            only that of the example.
        opset: the version of ONNX's operators; the exporter's choice where None.
        external_data: keep the weights in a file of their own, `<path>.<digest>.data`
            beside the model's; needed from 2 GB on.
        metadata: stored in the file beside "course_version", "torch_version" and
            "opset"; texts as they are, anything else, such as a list of classes, as JSON.

    Raises:
        FileNotFoundError: the folder of the path does not exist.
        TypeError: model or example_inputs are of another type, or a value of the metadata
            cannot be written as JSON.
        ValueError: the model does not accept the example, the number of names is not that
            of inputs or outputs, or the exporter cannot give the opset asked for.
    """
    path = Path(path)
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is a {type(model).__name__}; expected a torch.nn.Module")
    inputs = _checked(example_inputs, dynamic_batch)
    _require_names("input", input_names, len(inputs))
    with replacing(path) as new, evaluating(model):
        _require_names("output", output_names, _outputs(model, inputs))
        with stray_lines.without(STRAY_LINES, STRAY_WARNINGS):
            program = torch.onnx.export(
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
            raise ValueError(
                f"opset is {opset}, but this model came out in {given}: the exporter "
                f"could not convert it; leave opset out, or ask for {given} or more"
            )
        _remove_traces(program.model)
        program.model.metadata_props.update(_texts(metadata or {}, given))
        weights = f"{path.name}.{_digest(program.model)}.data" if external_data else None
        onnx_ir.save(program.model, new, external_data=weights)
        onnx.checker.check_model(str(new))
        session(new)
    _remove_old_weights(path, weights)
    return path


def _checked(example_inputs, dynamic_batch: bool) -> tuple[torch.Tensor, ...]:
    if isinstance(example_inputs, torch.Tensor):
        example_inputs = (example_inputs,)
    found = type(example_inputs).__name__
    if isinstance(example_inputs, list | tuple):
        others = [t for t in example_inputs if not isinstance(t, torch.Tensor)]
        found += f" holding a {type(others[0]).__name__}" if others else ""
    if not isinstance(example_inputs, list | tuple) or others or not example_inputs:
        raise TypeError(
            f"example_inputs is a {found}; expected a tensor, or a tuple of tensors, one "
            "for each input of the model's forward"
        )
    inputs = tuple(tensor.detach() for tensor in example_inputs)
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
    if isinstance(names, str) or len(names) != count or len(set(names)) != count:
        raise ValueError(
            f"{kind}_names is {names!r}; the model has {count} {kind}(s), expected as many "
            "different names in a tuple"
        )


def _outputs(model: nn.Module, inputs: tuple[torch.Tensor, ...]) -> int:
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
    return len(_tensors(outputs))


def _tensors(outputs: object) -> list[torch.Tensor]:
    if isinstance(outputs, torch.Tensor):
        return [outputs]
    if isinstance(outputs, Mapping):
        outputs = outputs.values()
    return [tensor for output in outputs or () for tensor in _tensors(output)]


def _texts(metadata: Mapping[str, object], opset: int) -> dict[str, str]:
    ours = {
        "course_version": version("save-load-ship"),
        "torch_version": str(torch.__version__),
        "opset": str(opset),
    }
    if taken := sorted(ours.keys() & metadata.keys()):
        raise ValueError(f"metadata holds {', '.join(taken)}, which export_onnx fills in")
    return ours | {
        str(key): value if isinstance(value, str) else json.dumps(value)
        for key, value in metadata.items()
    }


def _remove_traces(model: onnx_ir.Model) -> None:
    # The exporter notes for every node which lines of Python it came from, with the paths
    # of this machine: nothing to hand out, and a third of a small file.
    for graph in model.graphs():
        graph.metadata_props.clear()
        for node in graph:
            for part in (node, *node.outputs):
                part.metadata_props.clear()
        for value in (*graph.inputs, *graph.initializers.values()):
            value.metadata_props.clear()


def _digest(model: onnx_ir.Model) -> str:
    # Named after its content, so that old model and old weights stay a pair until the new
    # model takes the name, and the same weights always lie in a file of the same name.
    sha = hashlib.sha256()
    for name, value in sorted(model.graph.initializers.items()):
        sha.update(name.encode() + value.const_value.tobytes())
    return sha.hexdigest()[:8]


def _remove_old_weights(path: Path, keep: str | None) -> None:
    ours = re.compile(re.escape(path.name) + r"\.[0-9a-f]{8}\.data")
    for file in path.parent.iterdir():
        if ours.fullmatch(file.name) and file.name != keep:
            file.unlink()
