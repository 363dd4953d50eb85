"""Typical inputs, from which ONNX Runtime learns the ranges of activations."""

import os
from collections.abc import Iterator, Sequence

import torch
from onnxruntime.quantization import CalibrationDataReader

from helpers.onnx_export.running import session


class Calibration(CalibrationDataReader):
    """Feeds tensors to ONNX Runtime's calibration, a batch at a time."""

    def __init__(
        self,
        source: str | os.PathLike,
        calibration: torch.Tensor | Sequence[torch.Tensor],
    ):
        """Check that the tensors fit the model.

        Raises:
            ValueError: they do not, or there are too few of them.
        """
        tensors = [calibration] if isinstance(calibration, torch.Tensor) else calibration
        inputs = session(source).get_inputs()
        wanted = ", ".join(f"{place.name} {place.shape}" for place in inputs)
        got = ", ".join(str(list(tensor.shape)) for tensor in tensors)
        if len(inputs) != len(tensors) or not all(map(_fits, inputs, tensors)):
            raise ValueError(f"calibration has the shape {got}; expected {wanted}")
        self._names = [place.name for place in inputs]
        batch = inputs[0].shape[0]
        size = 64 if isinstance(batch, str) else batch
        # A file with a fixed batch takes no smaller one at the end.
        kept = len(tensors[0]) if isinstance(batch, str) else len(tensors[0]) // size * size
        parts = (tensor[:kept].detach().cpu().split(size) for tensor in tensors)
        self._batches: Iterator = zip(*parts, strict=True)

    def get_next(self) -> dict | None:
        """Return the next batch by name, or None after the last."""
        batch = next(self._batches, None)
        if batch is None:
            return None
        return {n: t.numpy() for n, t in zip(self._names, batch, strict=True)}


def _fits(place, tensor: torch.Tensor) -> bool:
    # An axis of any length has a name in the file instead of a number.
    lengths = [1 if isinstance(n, str) else n for n in place.shape]
    return (
        tensor.dim() == len(lengths)
        and len(tensor) >= lengths[0]
        and all(
            isinstance(n, str) or n == got
            for n, got in zip(place.shape[1:], tensor.shape[1:], strict=True)
        )
    )
