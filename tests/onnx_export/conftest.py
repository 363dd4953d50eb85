"""Exported models that the tests of this folder share."""

from pathlib import Path

import pytest
import torch

from helpers.classroom.data.digits import load_digits
from helpers.classroom.data.networks import load_reference_model
from helpers.onnx_export import export_onnx
from tests.onnx_export.quantizing import WIDTH, Mlp


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("reference") / "digits.onnx"
    images = load_digits().test_images[:2]
    metadata = {"classes": list(range(10)), "trained_on": "digits"}
    return export_onnx(load_reference_model(), images, path, metadata=metadata)


@pytest.fixture(scope="module")
def mlp(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("mlp") / "mlp.onnx"
    return export_onnx(Mlp(), torch.rand(2, WIDTH), path)
