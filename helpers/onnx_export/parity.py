"""Is the exported model the same model? Its numbers against PyTorch's, batch by batch.

Save, Load, Ship 0.2.0: helpers/onnx_export/parity.py · repairs: CHANGELOG.md
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import onnxruntime
import pandas as pd
import torch
from torch import nn

from helpers.arguments import require_module
from helpers.onnx_export.running import (
    input_tensors,
    output_tensors,
    require_numbers,
    run,
    session,
)
from helpers.state_dicts.trying import unchanged
from helpers.training import capture_rng, restore_rng


@dataclass(frozen=True)
class Parity:
    """How far a file's outputs are from the model's.

    Attributes:
        max_abs_error: largest absolute difference of any output number.
        max_rel_error: largest difference relative to the model's number, where that is
            not zero.
        class_agreement: share of the inputs, 0 to 1, for which the largest number is at
            the same place of the first output's last axis; where that output holds whole
            numbers, for which they are equal: they are classes already.
        worst_input: number of the input with the largest absolute difference, among
            those that were given.
        batch_sizes: those that were compared.
        passed: whether every number is within atol + rtol * |model's number|, in every
            batch size.
        table: a row for each batch size.
        gaps: absolute difference of every output number, (N, numbers of one input), the
            largest over the batch sizes.
        magnitudes: |model's number|, likewise.

    >>> errors = torch.tensor([[1e-6, 2e-6]]), torch.tensor([[1.0, 0.001]])
    >>> parity = Parity(2e-6, 2e-3, 1.0, 0, (1,), True, pd.DataFrame(), *errors)
    >>> parity.failing(rtol=1e-4, atol=1e-6)
    tensor([[False,  True]])
    """

    max_abs_error: float
    max_rel_error: float
    class_agreement: float
    worst_input: int
    batch_sizes: tuple[int, ...]
    passed: bool
    table: pd.DataFrame = field(repr=False, compare=False)
    gaps: torch.Tensor = field(repr=False, compare=False)
    magnitudes: torch.Tensor = field(repr=False, compare=False)

    def failing(self, *, rtol: float, atol: float) -> torch.Tensor:
        """Return which numbers would fail at another tolerance: bool, as `gaps`."""
        return _fails(self.gaps, self.magnitudes, rtol, atol)

    def _repr_html_(self) -> str:
        return self.table.to_html(index=False)


def check_parity(
    model: nn.Module,
    path: str | os.PathLike,
    inputs: torch.Tensor | Sequence[torch.Tensor],
    *,
    rtol: float = 1e-4,
    atol: float = 1e-5,
    batch_sizes: Sequence[int] = (1, 2, 7, 64),
) -> Parity:
    """Compare a model with its ONNX file, over all inputs, in batches of several sizes.

    The model is compared in the mode it is in: one that was left in training mode fails,
    as it should. Every input is part of every batch size; inputs are repeated where a
    batch is larger than their number, and to fill the last batch. Random numbers that the
    model draws, and whatever it changes in itself, are put back afterwards, also on an
    error; for that a copy of its state is held. The axis of the inputs is what grows from
    2 to 3 inputs, or, where the model does not take those, the first as long as the batch.

    Args:
        model: on the CPU.
        path: what `export_onnx` wrote.
        inputs: (N, ...), or a sequence of such tensors, one for each input of the model.
        rtol: tolerance relative to the model's number.
        atol: tolerance for numbers near zero.
        batch_sizes: each at least 1; a file with a fixed batch takes only its own.

    Raises:
        TypeError: model is not a torch.nn.Module, or the inputs are not tensors.
        FileNotFoundError, ValueError: the file is missing or not ONNX; it does not take
            such inputs or such a batch; there is nothing to compare; the shapes of the
            outputs differ, one has no axis for the batch, or is not dense and real.
        RuntimeError: the model cannot be run, or something of it cannot be put back.

    >>> from tempfile import TemporaryDirectory
    >>> from helpers.onnx_export import export_onnx
    >>> model = nn.Linear(4, 2).eval()
    >>> with TemporaryDirectory() as folder:
    ...     path = export_onnx(model, torch.rand(1, 4), f"{folder}/m.onnx")
    ...     check_parity(model, path, torch.rand(20, 4)).passed
    True
    """
    require_module(model)
    given = input_tensors("inputs", inputs)
    require_numbers("inputs holds", given)
    _require_something(given, batch_sizes)
    ort_session = session(path)
    count = len(given[0])
    rows, gaps, magnitudes = [], torch.zeros(()), torch.zeros(())
    axes = _input_axes(model, given)
    with unchanged(model), _same_chance(), torch.no_grad():
        for size in batch_sizes:
            batches = [
                _compare(model, ort_session, given, numbers, axes)
                for numbers in _batches(count, size)
            ]
            gap, magnitude, agree = (torch.cat(p) for p in zip(*batches, strict=True))
            relative = (gap / magnitude)[magnitude > 0]
            rows.append(
                {
                    "batch": size,
                    "max abs error": gap.max().item(),
                    "max rel error": relative.max().item() if len(relative) else 0.0,
                    "class agreement": agree.double().mean().item(),
                    "passed": not bool(_fails(gap, magnitude, rtol, atol).any()),
                }
            )
            # The batches hold the inputs in their order, and then some again.
            gaps = torch.maximum(gaps, gap[:count])
            magnitudes = torch.maximum(magnitudes, magnitude[:count])
    table = pd.DataFrame(rows)
    return Parity(
        max_abs_error=float(table["max abs error"].max()),
        max_rel_error=float(table["max rel error"].max()),
        class_agreement=float(table["class agreement"].min()),
        worst_input=int(gaps.amax(dim=1).argmax()),
        batch_sizes=tuple(batch_sizes),
        passed=bool(table["passed"].all()),
        table=table,
        gaps=gaps,
        magnitudes=magnitudes,
    )


@contextmanager
def _same_chance() -> Iterator[None]:
    before = capture_rng()
    try:
        yield
    finally:
        restore_rng(before)


def _require_something(given: tuple[torch.Tensor, ...], batch_sizes: Sequence[int]) -> None:
    shapes = [tuple(tensor.shape) for tensor in given]
    if len({shape[:1] for shape in shapes}) > 1 or shapes[0][:1] in ((), (0,)):
        raise ValueError(f"inputs have shapes {shapes}; expected the same N of at least 1")
    listed = isinstance(batch_sizes, Sequence) and len(batch_sizes) > 0
    if not listed or any(type(size) is not int or size < 1 for size in batch_sizes):
        raise ValueError(
            f"batch_sizes is {batch_sizes!r}; expected whole numbers of at least 1"
        )


def _batches(count: int, size: int) -> list[torch.Tensor]:
    """Return the numbers of the inputs in each batch; the last one is filled up."""
    return list((torch.arange(-(-count // size) * size) % count).split(size))


def _compare(
    model: nn.Module,
    ort_session: onnxruntime.InferenceSession,
    given: tuple[torch.Tensor, ...],
    numbers: torch.Tensor,
    axes: list[int] | None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    count, some = len(numbers), tuple(tensor[numbers] for tensor in given)
    # The file runs first: its errors say more clearly which input it rejects.
    found = output_tensors(run(ort_session, some))
    expected = output_tensors(model(*some))
    require_numbers("the model returns", expected)
    shapes, theirs = ([tuple(one.shape) for one in ones] for ones in (expected, found))
    if shapes != theirs:
        raise ValueError(
            f"the model returns shapes {shapes}, the file {theirs}; it is another model's "
            "file, or it was exported with a fixed batch"
        )
    if axes is None or len(axes) != len(shapes):
        axes = [shape.index(count) if count in shape else -1 for shape in shapes]
    if any(at < 0 or shape[at] != count for at, shape in zip(axes, shapes, strict=True)):
        raise ValueError(
            f"for {count} inputs the model returns shapes {shapes}; expected an axis of "
            f"{count}, that of the inputs, in every output, to compare input by input"
        )
    trios = zip(expected, found, axes, strict=True)
    pairs = [(mine.movedim(at, 0), its.movedim(at, 0)) for mine, its, at in trios]
    parts = [_gap(*pair) for pair in pairs]
    gap, magnitude = (torch.cat(each, dim=1) for each in zip(*parts, strict=True))
    return gap, magnitude, torch.eq(*map(_classes, pairs[0]))


def _gap(expected: torch.Tensor, found: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (absolute difference, |expected|), each (N, numbers of one input), float64."""
    wanted, got = (one.double().reshape(len(one), -1) for one in (expected, found))
    # NaN on one side only is as wrong as can be; on both sides it is the same answer.
    gap = (wanted - got).abs().nan_to_num(nan=torch.inf, posinf=torch.inf)
    gap[(wanted == got) | (wanted.isnan() & got.isnan())] = 0
    if not (expected.is_floating_point() or found.is_floating_point()):
        # Two whole numbers can be one float64.
        gap[(expected != found).reshape(gap.shape) & (gap == 0)] = 1
    return gap, wanted.abs()


def _input_axes(model: nn.Module, given: Sequence[torch.Tensor]) -> list[int] | None:
    """Return the axis of each output that grows with the inputs, or -1; None if unknown."""
    outputs = []
    with unchanged(model), _same_chance(), torch.no_grad(), suppress(Exception):
        for count in (2, 3):
            some = (tensor[torch.arange(count) % len(tensor)] for tensor in given)
            outputs.append([tuple(one.shape) for one in output_tensors(model(*some))])
        pairs = [list(zip(*both, strict=True)) for both in zip(*outputs, strict=True)]
        return [pair.index((2, 3)) if (2, 3) in pair else -1 for pair in pairs]
    return None  # it does not take such batches


def _classes(output: torch.Tensor) -> torch.Tensor:
    if not output.is_floating_point():
        return output
    rows = output.double() if output.dim() > 1 else output[:, None].double()
    return rows.argmax(dim=-1)


def _fails(
    gap: torch.Tensor, magnitude: torch.Tensor, rtol: float, atol: float
) -> torch.Tensor:
    # An infinite number of the model's must not make an infinite gap tolerable.
    within = gap.isfinite() & (gap <= atol + rtol * magnitude)
    # Infinite or NaN on both sides: the tolerance is not a number, the answer is the same.
    return ~(within | (gap == 0))
