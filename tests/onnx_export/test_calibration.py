"""Inputs for calibration: all of them are used, and what does not fit is refused."""

import numpy as np
import pytest
import torch
from torch import nn

from helpers.onnx_export import export_onnx, quantize_static_onnx
from helpers.onnx_export.calibration import Calibration
from tests.onnx_export.quantizing import WIDTH, Mlp, error, rows


@pytest.mark.parametrize(
    "calibration",
    [torch.rand(9, WIDTH + 1), torch.rand(WIDTH), torch.rand(0, WIDTH), (rows(2), rows(2))],
)
def test_calibration_that_does_not_fit_is_refused(calibration, mlp, tmp_path):
    message = rf"calibration has the shape .*; expected input \['batch', {WIDTH}\]"
    with pytest.raises(ValueError, match=message):
        quantize_static_onnx(mlp, tmp_path / "small.onnx", calibration)


@pytest.mark.parametrize("method", ["entropy", "percentile"])
@pytest.mark.parametrize("count", [7, 65, 96])
def test_histograms_are_made_of_any_number_of_inputs(count, method, mlp, tmp_path):
    path = tmp_path / "small.onnx"
    quantize_static_onnx(mlp, path, rows(count), method=method)
    assert error(path, mlp, rows(33)) < 0.2
    feed = Calibration(mlp, rows(count), equal_batches=True)
    batches = [batch["input"] for batch in iter(feed.get_next, None)]
    assert len({len(batch) for batch in batches}) == 1
    assert np.array_equal(np.concatenate(batches), rows(count).numpy())


@pytest.mark.parametrize(
    "calibration, says",
    [
        (
            None,
            "calibration is of type NoneType; expected a tensor, or a tuple with one ",
        ),
        (
            np.ones((9, WIDTH), np.float32),
            "calibration is of type ndarray; expected a tensor",
        ),
        (rows(9).double(), rf"file expects input: .* got torch.float64 \[9, {WIDTH}\]"),
        (
            rows(9) * torch.nan,
            "calibration holds NaN or infinity; repair it or leave it out",
        ),
        (rows(9) / 0, "calibration holds NaN or infinity"),
    ],
)
@pytest.mark.parametrize("method", ["minmax", "entropy"])
def test_calibration_that_gives_no_range_is_refused(
    calibration, says, method, mlp, tmp_path
):
    with pytest.raises(ValueError, match=says):
        quantize_static_onnx(mlp, tmp_path / "small.onnx", calibration, method=method)
    assert list(tmp_path.iterdir()) == []


class Sum(nn.Module):
    def forward(self, x, y):
        return x.sum() + y.sum()


def test_inputs_for_calibration_must_be_as_many_of_each(tmp_path):
    source = tmp_path / "sum.onnx"
    export_onnx(Sum(), (rows(2), rows(3)), source, input_names=("x", "y"))
    with pytest.raises(ValueError, match=r"calibration has the shape \[70, \d+\], \[9, "):
        quantize_static_onnx(source, tmp_path / "small.onnx", (rows(70), rows(9)))


def test_a_file_with_a_fixed_batch_is_calibrated_with_whole_batches(tmp_path):
    torch.manual_seed(0)
    source = tmp_path / "fixed.onnx"
    export_onnx(Mlp(), torch.rand(8, WIDTH), source, dynamic_batch=False)
    path = quantize_static_onnx(source, tmp_path / "small.onnx", rows(20))
    assert error(path, source, rows(8)) < 0.04
    with pytest.raises(ValueError, match=rf"\[7, {WIDTH}\]; expected input \[8, {WIDTH}\]"):
        quantize_static_onnx(source, path, rows(7))
