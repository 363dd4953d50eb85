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
from onnx import numpy_helper
from torch import nn

from helpers.classroom.data.digits import load_digits
from helpers.classroom.data.networks import load_reference_model
from helpers.onnx_export import (
    export_onnx,
    float16,
    quantize_4bit_onnx,
    quantize_dynamic_onnx,
    quantize_static_onnx,
    read_onnx,
    run,
    runtime_quantization,
    session,
    to_float16_onnx,
)
from helpers.onnx_export.calibration import Calibration
from helpers.onnx_export.nodes import node_names

WIDTH = 256


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(WIDTH, WIDTH)
        self.second = nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        return self.second(torch.relu(self.first(x)))


@pytest.fixture(scope="module")
def mlp(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("mlp") / "mlp.onnx"
    return export_onnx(Mlp(), torch.rand(2, WIDTH), path)


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("digits") / "digits.onnx"
    return export_onnx(load_reference_model(), torch.zeros(2, 1, 8, 8), path)


def rows(count: int) -> torch.Tensor:
    return torch.rand(count, WIDTH, generator=torch.Generator().manual_seed(count))


def quantize(kind: str, source: Path, target: Path, **options) -> Path:
    make = {
        "dynamic": quantize_dynamic_onnx,
        "static": lambda *paths, **o: quantize_static_onnx(*paths, rows(200), **o),
        "float16": to_float16_onnx,
        "4bit": quantize_4bit_onnx,
    }
    return make[kind](source, target, **options)


def operators(path: Path) -> Counter:
    return Counter(node.op_type for node in read_onnx(path).graph.node)


def error(path: Path, source: Path, inputs: torch.Tensor) -> float:
    """Norm of the difference over the norm of what the float32 file answers."""
    exact = run(session(source), inputs)
    return float((run(session(path), inputs) - exact).norm() / exact.norm())


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


def constants(path: Path) -> dict[str, np.ndarray]:
    graph = read_onnx(path).graph
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


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


def test_a_name_means_a_layer_a_block_of_layers_or_a_node(digits):
    model = read_onnx(digits)
    assert len(node_names(model, ["blocks.1"])) == 2
    [head] = node_names(model, ["head"])
    assert node_names(model, [head]) == [head]
    assert node_names(model, []) == []


@pytest.mark.parametrize("kind", ["dynamic", "static", "4bit"])
def test_a_name_that_is_not_in_the_model_is_refused_with_those_that_are(
    kind, mlp, tmp_path
):
    with pytest.raises(ValueError, match=r"exclude names 'third'.*layers are first, sec"):
        quantize(kind, mlp, tmp_path / "small.onnx", exclude=("third",))
    with pytest.raises(ValueError, match="exclude is 'first'; expected a tuple of names"):
        quantize(kind, mlp, tmp_path / "small.onnx", exclude="first")
    assert list(tmp_path.iterdir()) == []


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


@pytest.mark.parametrize("again", ["dynamic", "static", "4bit"])
@pytest.mark.parametrize("kind", ["dynamic", "static", "4bit"])
def test_a_quantized_file_is_not_quantized_again(kind, again, mlp, tmp_path):
    once = quantize(kind, mlp, tmp_path / "once.onnx")
    with pytest.raises(ValueError, match=r"once\.onnx is quantized already: it holds "):
        quantize(again, once, tmp_path / "twice.onnx")


def test_float16_clips_what_it_cannot_hold(tmp_path):
    model = Mlp()
    with torch.no_grad():
        model.second.bias[0] = -1e6
    source = export_onnx(model, rows(2), tmp_path / "wide.onnx")
    small = constants(to_float16_onnx(source, tmp_path / "small.onnx"))
    assert small["second.bias"].dtype == np.float16
    assert small["second.bias"].min() == -65504


def test_a_file_with_a_fixed_batch_is_calibrated_with_whole_batches(tmp_path):
    torch.manual_seed(0)
    source = tmp_path / "fixed.onnx"
    export_onnx(Mlp(), torch.rand(8, WIDTH), source, dynamic_batch=False)
    path = quantize_static_onnx(source, tmp_path / "small.onnx", rows(20))
    assert error(path, source, rows(8)) < 0.04
    with pytest.raises(ValueError, match=rf"\[7, {WIDTH}\]; expected input \[8, {WIDTH}\]"):
        quantize_static_onnx(source, path, rows(7))


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
