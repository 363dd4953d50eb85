"""Runtimes beside ONNX Runtime: each answers like PyTorch, or says why it does not."""

import json
import os
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from helpers.classroom import runtimes
from helpers.classroom.data.digits import load_digits
from helpers.classroom.explorers.precision import precision
from helpers.classroom.runtimes import core_ml, tensorrt
from helpers.classroom.runtimes.elsewhere import ELSEWHERE
from helpers.classroom.runtimes.narrow_floats import MANTISSA_BITS, run_rounded
from helpers.dtypes import round_fraction
from helpers.measurement import size_on_disk
from helpers.onnx_export import describe, export_onnx

IMAGES = load_digits().test_images[:65]


@pytest.fixture(scope="module", autouse=True)
def without_handler():
    """Keep a DataLoader with workers from setting a handler for ended children.

    When OpenVINO has run and is closed, a process with such a handler dies by SIGSEGV as
    soon as its next child ends. A worker of pytest-xdist goes on with other tests. One
    set before is not taken away: no file that tests/conftest.py puts first sets any.
    """
    torch.utils.data._utils.signal_handling._set_SIGCHLD_handler = lambda: None


@pytest.fixture(scope="module")
def opened(onnx_file):
    here, missing = runtimes.opened(onnx_file)
    yield here, missing
    for runtime in here.values():
        runtime.close()


def wanted(reason):
    """Skip for a reason; with CI=true everything is there."""
    if reason:
        assert not os.environ.get("CI"), reason
        pytest.skip(reason)


def test_ci_has_every_runtime(opened):
    wanted("; ".join(opened[1].values()))
    assert len(opened[0]) == 8


def test_what_computes_in_float32_agrees_with_pytorch_in_every_batch_size(opened, model):
    for label, runtime in opened[0].items():
        if getattr(runtime, "precision", "f32") != "f32":
            continue
        for batch in (1, 2, 65):
            with torch.no_grad():
                expected = model(IMAGES[:batch])
            error = (runtime.run(IMAGES[:batch]) - expected).abs().max()
            assert error <= 1e-4, (label, batch)
        assert runtime.bytes() > 1_000_000, label


def test_openvino_forced_to_float32_says_so(onnx_file):
    wanted(runtimes.OpenVino.missing())
    forced = runtimes.OpenVino(onnx_file, precision="f32")
    assert forced.precision == "f32"
    # As many as its neighbours in the table of times.
    assert forced._model.get_property("INFERENCE_NUM_THREADS") == 1
    assert runtimes.OpenVino(onnx_file, precision="bf16").precision in ("bf16", "f32")


def test_what_a_package_takes_is_the_sum_of_its_files(monkeypatch, tmp_path):
    for name, size in (("a", 3), ("b", 4)):
        (tmp_path / name).write_bytes(bytes(size))
    listed = [
        SimpleNamespace(locate=lambda name=name: tmp_path / name)
        for name in ("a", "b", "c")
    ]
    monkeypatch.setattr(runtimes, "files", lambda package: listed)
    assert runtimes.Runtime.bytes(SimpleNamespace(package="x")) == 7


def test_a_missing_package_is_named_with_its_cure(monkeypatch):
    monkeypatch.setattr(runtimes, "find_spec", lambda name: None)
    assert runtimes.OpenVino.missing() == (
        "openvino is not installed: `make runtimes` installs it"
    )


def test_without_node_or_its_package_a_line_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(runtimes, "web_folder", lambda: tmp_path)
    monkeypatch.setattr(runtimes.shutil, "which", lambda name: "/bin/node")
    assert runtimes.OnnxRuntimeWeb.missing() == (
        "onnxruntime-web is not installed: `make runtimes` installs it, given Node and npm"
    )
    monkeypatch.setattr(runtimes.shutil, "which", lambda name: None)
    assert runtimes.OnnxRuntimeWeb.missing().startswith("Node is not installed")


def test_what_is_missing_is_left_out_and_told(monkeypatch, onnx_file):
    monkeypatch.setattr(runtimes.OpenVino, "missing", lambda: "no")
    monkeypatch.setattr(runtimes.OnnxRuntimeWeb, "missing", lambda: "neither")
    here, missing = runtimes.opened(onnx_file)
    assert missing == {"openvino": "no", "onnxruntime-web": "neither"}
    assert len(here) == 5


def test_node_that_ends_is_told_with_what_it_wrote(tmp_path):
    wanted(runtimes.OnnxRuntimeWeb.missing())
    (tmp_path / "text.onnx").write_text("text")
    node = runtimes.OnnxRuntimeWeb(tmp_path / "text.onnx")
    try:
        with pytest.raises(RuntimeError, match=r"^Node has ended\. It wrote: Error: "):
            node.run(IMAGES[:1])
    finally:
        node.close()


def test_node_is_not_asked_about_what_it_would_misread(onnx_file):
    wanted(runtimes.OnnxRuntimeWeb.missing())
    node = runtimes.OnnxRuntimeWeb(onnx_file)
    try:
        for wrong in (IMAGES[:2].double(), IMAGES[:2, :, :4]):
            with pytest.raises(ValueError, match=r"expected torch\.float32 \(N, 1, 8, 8\)"):
                node.run(wrong)
        assert node.run(IMAGES[:2]).shape == (2, 10)
    finally:
        node.close()


def test_node_ends_when_nobody_holds_its_runtime_any_more(onnx_file):
    wanted(runtimes.OnnxRuntimeWeb.missing())
    runtime = runtimes.OnnxRuntimeWeb(onnx_file)
    node = runtime._node
    assert node.poll() is None
    del runtime
    assert node.poll() == 0


def test_the_web_package_is_pinned_and_its_size_is_the_one_that_the_notebook_says():
    text = (runtimes.NODE_SCRIPT.parent / "package.json").read_text(encoding="utf-8")
    assert json.loads(text)["dependencies"] == {"onnxruntime-web": "1.30.0"}
    assert "://" not in text
    wanted(runtimes.web_missing())
    wasm = runtimes.web_folder() / runtimes.WEB_FILES[1]
    assert wasm.stat().st_size == runtimes.WASM_BYTES


# Rounding.


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_rounded_numbers_are_those_of_the_type(name):
    values = torch.linspace(-3, 3, 1001)
    typed = values.to(getattr(torch, name)).float()
    large = values.abs() > 1e-3  # float16 has fewer bits for smaller ones
    assert torch.equal(round_fraction(values, MANTISSA_BITS[name])[large], typed[large])


def test_bits_out_of_range_are_refused(model):
    with pytest.raises(ValueError, match="bits is 24; expected a whole number from 0 to"):
        run_rounded(model, IMAGES, 24)


def test_a_rounded_run_leaves_the_model_as_it_was(model):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.no_grad():
        expected = model(IMAGES)
    assert (run_rounded(model, IMAGES, 23) - expected).abs().max() < 1e-4
    assert (run_rounded(model, IMAGES, 7) - expected).abs().max() > 1e-2
    after = model.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    with torch.no_grad():
        assert torch.equal(model(IMAGES), expected)


# Elsewhere.


def test_tensorrt_names_what_is_in_the_way(onnx_file, tmp_path):
    assert tensorrt.obstacles(describe(onnx_file)) == []

    class Not(nn.Module):
        def forward(self, x):
            return torch.bitwise_not(x)

    whole = torch.zeros(2, 3, dtype=torch.int64)
    path = export_onnx(Not(), whole, tmp_path / "bits.onnx")
    assert tensorrt.obstacles(describe(path)) == ["no BitwiseNot"]


def test_tensorrt_refuses_an_opset_out_of_its_range(onnx_file, monkeypatch):
    monkeypatch.setattr(tensorrt, "OPSETS", range(9, 15))
    opset = describe(onnx_file).opset
    assert tensorrt.obstacles(describe(onnx_file)) == [f"opset {opset} is not in 9 to 14"]


def test_core_ml_is_converted_without_a_line(model, tmp_path, capfd):
    wanted(core_ml.missing())
    converted = core_ml.convert(model, IMAGES[:2], tmp_path / "digits.mlpackage")
    assert (tmp_path / "digits.mlpackage" / "Manifest.json").is_file()
    # In float32: 4 bytes for each weight.
    weights = sum(parameter.numel() for parameter in model.parameters())
    assert size_on_disk(tmp_path / "digits.mlpackage") > 4 * weights
    assert capfd.readouterr().err == ""
    if core_ml.runs_here():
        with torch.no_grad():
            expected = model(IMAGES)
        assert (core_ml.answer(converted, IMAGES) - expected).abs().max() <= 1e-3


def test_without_coremltools_a_line_says_so(monkeypatch):
    monkeypatch.setattr(core_ml, "find_spec", lambda name: None)
    assert "coremltools is not installed: `make runtimes`" in core_ml.missing()
    assert not core_ml.runs_here()


def test_the_rows_of_elsewhere_name_versions():
    for name, row in ELSEWHERE.items():
        assert any(letter.isdigit() for letter in row.seen), name
        assert row.takes_onnx == row.takes.startswith(".onnx"), name


@pytest.mark.skipif(os.name != "posix", reason="the program is a shell script here")
@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (
            "echo '[I] GPU Compute Time: min = 0.01 ms, median = 0.0123 ms, p = 1'",
            "median of 64 images at once on the GPU: 0.0123 ms",
        ),
        ("echo 'Cuda failure: 35' >&2; exit 1", "failed with 1; its last words: Cuda f"),
        ("exit 2", "failed with 2; its last words: nothing"),
        ("echo 'GPU Compute Time: median = 1 ms'; exit 4", "failed with 4; its last words"),
        ("test -f digits.onnx && exit 3", "failed with 3"),
        ("echo '&&&& PASSED'", "failed with 0; its last words: &&&& PASSED"),
    ],
)
def test_trtexec_is_run_beside_the_file_where_there_is_one(
    tmp_path, monkeypatch, program, expected
):
    (tmp_path / "trtexec").write_text(f"#!/bin/sh\n{program}\n")
    (tmp_path / "trtexec").chmod(0o755)
    (tmp_path / "digits.onnx").touch()
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert expected in tensorrt.build_engine(tmp_path / "digits.onnx")


def test_without_trtexec_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tensorrt.build_engine(tmp_path / "digits.onnx").startswith(
        "not run: there is no trt"
    )


def test_the_command_of_tensorrt_names_the_file_and_its_own_input(onnx_file):
    [(name, (_, shape))] = describe(onnx_file).inputs.items()
    said = tensorrt.command("digits.onnx")
    assert "--onnx=digits.onnx" in said
    for which, batch in (("min", 1), ("opt", 64), ("max", 64)):
        sizes = "x".join(map(str, (batch, *shape[1:])))
        assert f"--{which}Shapes={name}:{sizes}" in said


class Converted:
    """Answers as a converted Core ML model does, and counts its calls."""

    def __init__(self):
        self.sizes = []

    def get_spec(self):
        places = {
            "input": [SimpleNamespace(name="x")],
            "output": [SimpleNamespace(name="y")],
        }
        return SimpleNamespace(description=SimpleNamespace(**places))

    def predict(self, places):
        [images] = places.values()
        self.sizes.append(len(images))
        return {"y": images.sum(axis=(1, 2, 3))[:, None]}


def test_core_ml_is_asked_in_parts_and_the_answers_keep_their_order():
    converted, images = Converted(), torch.rand(130, 1, 8, 8)
    found = core_ml.answer(converted, images)
    assert converted.sizes == [core_ml.MOST, core_ml.MOST, 2]
    assert torch.allclose(found, images.sum(dim=(1, 2, 3))[:, None])


# The panel of rounded numbers


def test_the_rounded_run_of_one_layer_is_rounding_before_and_after():
    layer = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        # 1 + 2^-8 lies between two numbers of 7 bits: ties go to the even one.
        layer.weight.copy_(torch.tensor([[1 + 2**-8, -3 - 2**-6]]))
    images = torch.tensor([[1 + 3 * 2**-8, 0.0], [0.0, 1.0]])
    weight = layer.weight.detach().bfloat16().double()
    expected = images.bfloat16().double() @ weight.T
    assert torch.equal(run_rounded(layer, images, 7), expected)


def test_the_panel_names_who_stores_as_many_bits_and_leaves_the_model_alone(model):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    panel = precision(model, IMAGES)
    panel.values = {"bits": 10}
    assert "With 10 bits of mantissa (TF32 and float16 store as many)" in panel.chart.text
    panel.values = {"bits": 7}
    assert "(bfloat16 stores as many)" in panel.chart.text
    for name, tensor in model.state_dict().items():
        assert tensor.dtype == before[name].dtype
        assert torch.equal(tensor, before[name]), name
