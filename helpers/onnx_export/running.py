"""Run an ONNX file in ONNX Runtime, on the CPU.

Save, Load, Ship 0.2.0: helpers/onnx_export/running.py · repairs: CHANGELOG.md
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

import onnxruntime
import torch
from onnxruntime.capi import onnxruntime_pybind11_state as errors

from helpers.arguments import require_one_of, type_of, whole_number
from helpers.onnx_export.files import read_onnx, require_onnx
from helpers.state_dicts.kinds import in_words, is_empty_shell, kind_of

# Of some other types ONNX Runtime gives the bytes out, as if those were the numbers.
_NUMBERS = r"tensor\((float|float16|double|bool|u?int(8|16|32|64))\)"
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

    >>> session("missing.onnx")
    Traceback (most recent call last):
    FileNotFoundError: missing.onnx: there is no such file; export the model first.
    """
    require_one_of("optimization", optimization, OPTIMIZATION)
    require_onnx(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = whole_number("threads", threads, least=1)
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
    session: onnxruntime.InferenceSession, inputs: torch.Tensor | Sequence[torch.Tensor]
) -> torch.Tensor | tuple[torch.Tensor, ...]:
    """Run the file on a tensor, or on one for each input, in the order of the file.

    Returns:
        A tensor where the file has one output, otherwise a tuple of them.

    Raises:
        TypeError: the inputs are not tensors.
        ValueError: the number, the type or the shape of the inputs is not the file's,
            they are not dense tensors of numbers, or an output of the file is none.

    >>> from tempfile import TemporaryDirectory
    >>> from helpers.onnx_export import export_onnx
    >>> with TemporaryDirectory() as folder:
    ...     path = export_onnx(torch.nn.Linear(4, 2), torch.rand(1, 4), f"{folder}/m.onnx")
    ...     run(session(path), torch.rand(7, 4)).shape
    torch.Size([7, 2])
    """
    given = input_tensors("inputs", inputs)
    require_numbers("inputs holds", given)
    wanted = session.get_inputs()
    expected = ", ".join(f"{i.name}: {i.type} {i.shape}" for i in wanted)
    got = ", ".join(f"{tensor.dtype} {list(tensor.shape)}" for tensor in given)
    message = f"the file expects {expected}; got {got}"
    if len(given) != len(wanted):
        raise ValueError(message)
    for output in session.get_outputs():
        if not re.fullmatch(_NUMBERS, output.type):
            raise ValueError(
                f"the file's output {output.name!r} is {output.type}; expected a tensor of "
                "numbers that NumPy knows: make the file without it, or with a Cast to "
                f"float, or read it yourself: session.run([{output.name!r}], feed)"
            )
    try:
        feed = {
            place.name: tensor.detach().cpu().numpy()
            for place, tensor in zip(wanted, given, strict=True)
        }
        outputs = session.run(None, feed)
    except (errors.InvalidArgument, TypeError) as error:  # NumPy has no bfloat16
        raise ValueError(message) from error
    tensors = tuple(torch.from_numpy(output) for output in outputs)
    return tensors[0] if len(tensors) == 1 else tensors


def input_tensors(argument: str, value: object) -> tuple[torch.Tensor, ...]:
    """Return what was given for the inputs of a model as a tuple.

    Raises:
        TypeError: it is neither a tensor nor a list or tuple of one or more.

    >>> input_tensors("inputs", torch.tensor([1.0]))
    (tensor([1.]),)
    >>> input_tensors("inputs", [1.0])
    Traceback (most recent call last):
    TypeError: inputs is of type list holding a float; expected a tensor, or a tuple of \
tensors, one for each input of the model
    """
    if isinstance(value, torch.Tensor):
        return (value,)
    found = type_of(value)
    if isinstance(value, list | tuple):
        others = [part for part in value if not isinstance(part, torch.Tensor)]
        if value and not others:
            return tuple(value)
        found += f" holding a {type(others[0]).__name__}" if others else ""
    raise TypeError(
        f"{argument} is {found}; expected a tensor, or a tuple of tensors, one for each "
        "input of the model"
    )


def require_numbers(holds: str, tensors: Iterable[torch.Tensor]) -> None:
    """Raise for a tensor that is not made of real numbers, element by element.

    Args:
        holds: how the error begins.
        tensors: of any kind.

    Raises:
        ValueError: one is sparse, quantized, nested, complex, packed, or without values.

    >>> require_numbers("inputs holds", [torch.eye(2).to_sparse()])
    Traceback (most recent call last):
    ValueError: inputs holds a tensor sparse COO float32 (2, 2); ONNX knows dense tensors \
of real numbers: give it as one, such as x.to_dense() or torch.view_as_real(x)
    """
    for tensor in tensors:
        is_dense = not kind_of(tensor) and not is_empty_shell(tensor)
        if is_dense and not tensor.is_complex():
            with suppress(RuntimeError):  # of packed bits
                torch.zeros(1, dtype=tensor.dtype)[[0]].double()
                continue
        what = "on the meta device, without values" if tensor.is_meta else in_words(tensor)
        raise ValueError(
            f"{holds} a tensor {what}; ONNX knows dense tensors of real numbers: give it "
            "as one, such as x.to_dense() or torch.view_as_real(x)"
        )


def output_tensors(outputs: object, where: str = "the output") -> list[torch.Tensor]:
    """Return the tensors that a model returned, out of whatever they are nested in.

    Raises:
        TypeError: something in it is not a tensor; the text says which, from `where` on.

    >>> output_tensors({"logits": torch.zeros(2), "hidden": (torch.ones(1), None)})
    [tensor([0., 0.]), tensor([1.])]
    """
    if isinstance(outputs, torch.Tensor):
        return [outputs]
    if outputs is None:
        return []
    if isinstance(outputs, str | bytes) or not isinstance(outputs, Iterable):
        raise TypeError(
            f"{where} of the model is {type_of(outputs)}; expected tensors: wrap the model "
            "in a module whose forward() returns those alone"
        )
    parts = outputs.items() if isinstance(outputs, Mapping) else enumerate(outputs)
    return [t for k, part in parts for t in output_tensors(part, f"{where}[{k!r}]")]
