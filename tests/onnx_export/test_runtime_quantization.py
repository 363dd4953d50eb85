"""ONNX Runtime's quantizers: as small as counted, close, exact about what stays float."""

import logging
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from helpers.classroom.data.digits import load_digits
from helpers.classroom.data.networks import load_reference_model
from helpers.onnx_export import (
    export_onnx,
    float16,
    quantize_4bit_onnx,
    quantize_static_onnx,
    read_onnx,
    run,
    runtime_quantization,
    session,
)
from tests.onnx_export.quantizing import WIDTH, Mlp, constants, error, quantize, rows


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("digits") / "digits.onnx"
    return export_onnx(load_reference_model(), torch.zeros(2, 1, 8, 8), path)


def operators(path: Path) -> Counter:
    return Counter(node.op_type for node in read_onnx(path).graph.node)


# ---- Bytes and answers


@pytest.mark.parametrize(
    ("kind", "bytes_a_weight", "most"),
    [
        ("dynamic", 1, 0.02),
        ("static", 1, 0.04),
        ("float16", 2, 0.001),
        # Half a byte, and 4 bytes of scale for 32 of them.
        ("4bit", 0.625, 0.15),
    ],
)
def test_the_file_shrinks_as_counted_and_the_answers_stay_close(
    kind, bytes_a_weight, most, mlp, tmp_path
):
    path = quantize(kind, mlp, tmp_path / "small.onnx")
    weights = 2 * WIDTH * WIDTH
    # Biases, and a scale and a zero point for each channel of both, come on top.
    assert 0 < path.stat().st_size - bytes_a_weight * weights < 14_000
    assert 0 < error(path, mlp, rows(33)) < most
    opened = session(path)
    assert [i.type for i in opened.get_inputs() + opened.get_outputs()] == [
        "tensor(float)",
        "tensor(float)",
    ]


def test_each_kind_uses_the_operators_that_it_is_known_by(mlp, tmp_path):
    found = {
        kind: operators(quantize(kind, mlp, tmp_path / f"{kind}.onnx"))
        for kind in ("dynamic", "static", "float16", "4bit")
    }
    assert found["dynamic"]["MatMulInteger"] == 2
    assert found["dynamic"]["DynamicQuantizeLinear"] == 2
    assert found["static"]["DequantizeLinear"] >= 6  # two inputs, weights, biases
    assert found["float16"]["Cast"] == 2
    assert found["4bit"]["MatMulNBits"] == 2


@pytest.mark.parametrize("method", ["minmax", "entropy", "percentile"])
def test_static_int8_keeps_the_accuracy_of_the_digits(method, digits, tmp_path, capfd):
    data = load_digits()
    path = tmp_path / "small.onnx"
    quantize_static_onnx(digits, path, data.train_images[:256], method=method)
    right = run(session(path), data.test_images).argmax(1) == data.test_labels
    assert right.float().mean() > 0.97
    assert path.stat().st_size < 0.55 * digits.stat().st_size
    assert capfd.readouterr() == ("", "")


def test_convolutions_get_one_scale_for_each_channel_unless_told_otherwise(
    digits, tmp_path
):
    images = load_digits().train_images[:64]
    for per_channel, length in [(True, (24,)), (False, ())]:
        path = tmp_path / f"{per_channel}.onnx"
        quantize_static_onnx(digits, path, images, per_channel=per_channel)
        assert constants(path)["stem.0.weight_scale"].shape == length


def test_a_larger_block_is_smaller_and_less_exact(mlp, tmp_path):
    paths = [
        quantize_4bit_onnx(mlp, tmp_path / f"{size}.onnx", block_size=size)
        for size in (16, 32, 128)
    ]
    sizes = [path.stat().st_size for path in paths]
    errors = [error(path, mlp, rows(33)) for path in paths]
    assert sizes == sorted(sizes, reverse=True) and errors == sorted(errors)


# ---- The range that the processor needs


@pytest.mark.parametrize(
    ("machine", "dot_product", "expected"),
    [
        ("x86_64", True, 127),
        ("x86_64", False, 64),
        ("AMD64", False, 64),
        ("arm64", False, 127),
    ],
)
@pytest.mark.parametrize("kind", ["static", "dynamic"])
def test_x86_without_vnni_gets_weights_of_seven_bits(
    machine, dot_product, expected, kind, mlp, tmp_path, monkeypatch
):
    monkeypatch.setattr(runtime_quantization.platform, "machine", lambda: machine)
    monkeypatch.setattr(runtime_quantization, "has_int8_dot_product", lambda: dot_product)
    assert largest_weight(quantize(kind, mlp, tmp_path / "s.onnx")) == expected
    # What is asked for goes before what the processor has.
    path = quantize(kind, mlp, tmp_path / "s.onnx", reduce_range=expected == 127)
    assert largest_weight(path) != expected


def largest_weight(path: Path) -> int:
    weights = [array for array in constants(path).values() if array.dtype == np.int8]
    return max(int(np.abs(array.astype(int)).max()) for array in weights)


# ---- What stays float


@pytest.mark.parametrize("kind", ["dynamic", "static", "4bit"])
def test_an_excluded_layer_keeps_its_weights_and_the_other_does_not(kind, mlp, tmp_path):
    path = quantize(kind, mlp, tmp_path / "small.onnx", exclude=("second",))
    original = constants(mlp)
    kept = [
        array
        for array in constants(path).values()
        if array.dtype == np.float32 and array.shape == (WIDTH, WIDTH)
    ]
    assert len(kept) == 1
    weight = original["second.weight"]
    assert np.array_equal(kept[0], weight) or np.array_equal(kept[0], weight.T)
    whole = quantize(kind, mlp, tmp_path / "whole.onnx")
    assert error(path, mlp, rows(33)) < error(whole, mlp, rows(33))


# ---- Errors, and what is left alone


def test_nothing_is_logged_or_printed(mlp, tmp_path, caplog, capfd):
    for kind in ("dynamic", "static", "float16", "4bit"):
        quantize(kind, mlp, tmp_path / "small.onnx")
    for method in ("entropy", "percentile"):
        quantize("static", mlp, tmp_path / "small.onnx", method=method)
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.INFO] == []
    assert capfd.readouterr() == ("", "")


def test_the_root_logger_is_left_as_it_was(mlp, tmp_path):
    # In a fresh process, as ONNX Runtime's module changes it when it is first imported.
    code = f"""
import logging
from helpers.onnx_export import quantize_4bit_onnx
quantize_4bit_onnx({str(mlp)!r}, {str(tmp_path / "small.onnx")!r})
print(logging.root.level == logging.WARNING, logging.root.handlers)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("True []\n", "")


@pytest.mark.parametrize("kind", ["dynamic", "static", "float16", "4bit"])
def test_a_failure_leaves_the_old_target_and_the_source(kind, mlp, tmp_path, monkeypatch):
    target = tmp_path / "small.onnx"
    target.write_bytes(b"old")
    before = mlp.read_bytes()

    def refuse(path):
        raise RuntimeError("not loaded")

    monkeypatch.setattr(runtime_quantization, "session", refuse)
    monkeypatch.setattr(float16, "session", refuse)
    with pytest.raises(RuntimeError, match="not loaded"):
        quantize(kind, mlp, target)
    assert target.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["small.onnx"]
    assert mlp.read_bytes() == before


@pytest.mark.parametrize("kind", ["dynamic", "static", "float16", "4bit"])
def test_source_and_folder_are_checked(kind, mlp, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.onnx: there is no such file"):
        quantize(kind, tmp_path / "gone.onnx", tmp_path / "small.onnx")
    text = tmp_path / "text.onnx"
    text.write_text("not a model")
    with pytest.raises(ValueError, match=r"text\.onnx is not an ONNX file"):
        quantize(kind, text, tmp_path / "small.onnx")
    with pytest.raises(FileNotFoundError, match=r"the folder .*gone does not exist"):
        quantize(kind, mlp, tmp_path / "gone" / "small.onnx")


@pytest.mark.filterwarnings("ignore:All-NaN axis")  # NumPy's, in the calibration
@pytest.mark.parametrize("kind", ["dynamic", "static"])
def test_weights_that_are_no_numbers_are_refused(kind, tmp_path):
    model = Mlp()
    with torch.no_grad():
        model.second.weight[0, 0] = torch.nan
    source = export_onnx(model, rows(2), tmp_path / "broken.onnx")
    with pytest.raises(ValueError, match=r"broken\.onnx: its weights or activations hold"):
        quantize(kind, source, tmp_path / "small.onnx")
    assert [file.name for file in tmp_path.iterdir()] == ["broken.onnx"]


def test_method_and_block_size_are_checked(mlp, digits, tmp_path):
    target = tmp_path / "small.onnx"
    with pytest.raises(ValueError, match="method is 'mse'; expected one of 'minmax', "):
        quantize_static_onnx(mlp, target, rows(9), method="mse")
    with pytest.raises(ValueError, match="block_size is 48; expected one of 16, 32, 64, "):
        quantize_4bit_onnx(mlp, target, block_size=48)
    only_relu = export_onnx(nn.ReLU(), torch.rand(2, 4), tmp_path / "relu.onnx")
    with pytest.raises(ValueError, match=r"relu\.onnx has no linear layer"):
        quantize_4bit_onnx(only_relu, target)


def test_a_quantized_file_passes_the_checker(mlp, tmp_path):
    for kind in ("dynamic", "static", "float16"):  # 4 bits: an operator of its own
        onnx.checker.check_model(str(quantize(kind, mlp, tmp_path / "small.onnx")))
