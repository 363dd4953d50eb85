"""Typical inputs, from which ONNX Runtime learns the ranges of activations.

Save, Load, Ship 0.2.0: helpers/onnx_export/calibration.py · repairs: CHANGELOG.md
"""

import os
from collections.abc import Iterator, Sequence

import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader

from helpers.arguments import type_of
from helpers.onnx_export.running import run, session


class Calibration(CalibrationDataReader):
    """Feeds tensors to ONNX Runtime's calibration, a batch at a time.

    >>> import onnx, tempfile
    >>> graph = onnx.parser.parse_model('''<ir_version: 10, opset_import: ["" : 20]>
    ...     net (float[batch, 4] x) => (float[batch, 4] y) {y = Relu(x)}''')
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     onnx.save(graph, path := f"{folder}/relu.onnx")
    ...     calibration = Calibration(path, torch.rand(100, 4))
    >>> calibration.get_next()["x"].shape, calibration.get_next()["x"].shape
    ((64, 4), (36, 4))
    """

    def __init__(
        self,
        source: str | os.PathLike,
        calibration: torch.Tensor | Sequence[torch.Tensor],
        *,
        equal_batches: bool = False,
    ):
        """Check that the tensors fit the model.

        Args:
            source: the float32 file.
            calibration: typical inputs (N, ...), or one tensor for each input.
            equal_batches: make no batch smaller than the others, as the calibration
                methods with histograms need it.

        Raises:
            ValueError: they do not, there are too few of them, or they hold NaN or
                infinity.
        """
        tensors = [calibration] if isinstance(calibration, torch.Tensor) else calibration
        if not isinstance(tensors, list | tuple) or not all(
            isinstance(tensor, torch.Tensor) for tensor in tensors
        ):
            raise ValueError(
                f"calibration is {type_of(calibration)}; expected a tensor, or a "
                "tuple with one for each input"
            )
        ort_session = session(source)
        inputs = ort_session.get_inputs()
        wanted = ", ".join(f"{place.name} {place.shape}" for place in inputs)
        got = ", ".join(str(list(tensor.shape)) for tensor in tensors)
        same_length = len({len(tensor) for tensor in tensors if tensor.dim()}) == 1
        fit = len(inputs) == len(tensors) and all(map(_fits, inputs, tensors))
        if not same_length or not fit:
            raise ValueError(f"calibration has the shape {got}; expected {wanted}")
        if not all(torch.isfinite(tensor).all() for tensor in tensors):
            raise ValueError("calibration holds NaN or infinity; repair it or leave it out")
        self._names = [place.name for place in inputs]
        batch = inputs[0].shape[0]
        count = len(tensors[0])
        size = 64 if isinstance(batch, str) else batch
        if equal_batches and isinstance(batch, str):
            size = next(size for size in range(64, 0, -1) if count % size == 0)
        run(ort_session, [tensor[:size] for tensor in tensors])  # refuses another dtype
        # A file with a fixed batch size would reject a smaller last batch.
        kept = count if isinstance(batch, str) else count // size * size
        parts = (tensor[:kept].detach().cpu().split(size) for tensor in tensors)
        self._batches: Iterator = zip(*parts, strict=True)

    def get_next(self) -> dict | None:
        """Return the next batch by name, or None after the last."""
        batch = next(self._batches, None)
        if batch is None:
            return None
        return {n: t.numpy() for n, t in zip(self._names, batch, strict=True)}


def _fits(place: onnxruntime.NodeArg, tensor: torch.Tensor) -> bool:
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
