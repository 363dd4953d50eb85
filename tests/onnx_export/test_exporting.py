"""export_onnx: the same model, its mode restored, all or nothing, clear errors."""

import json
import logging
import os
import tomllib
import warnings
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from helpers.classroom.data.digits import load_digits
from helpers.classroom.data.networks import SimpleNet, load_reference_model
from helpers.onnx_export import export_onnx, exporting, read_onnx, run, session
from helpers.quiet import leave_out
from tests import ROOT


class TwoInputs(nn.Module):
    """Features and a scale for each row."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x, scale):
        y = self.layer(x) * scale
        return y, {"sum": y.sum(dim=1)}


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(6, 8, batch_first=True)

    def forward(self, x):
        return self.lstm(x)[0]


def attention_block() -> nn.Module:
    return nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)


# ---- The same model


def test_the_reference_model_answers_the_same_on_every_test_image(reference):
    digits, opened = load_digits(), session(reference)
    with torch.no_grad():
        expected = load_reference_model()(digits.test_images)
    found = run(opened, digits.test_images)
    assert (found - expected).abs().max() < 1e-4
    assert (found.argmax(1) == expected.argmax(1)).all()
    # The axis of the batch has any length, and a name.
    assert opened.get_inputs()[0].shape == ["batch", 1, 8, 8]
    assert run(opened, digits.test_images[:1]).shape == (1, 10)


@pytest.mark.parametrize(
    ("make", "shape"),
    [(Recurrent, (2, 5, 6)), (attention_block, (2, 5, 16)), (SimpleNet, (2, 10))],
)
def test_recurrent_attention_and_linear_layers_are_exported(make, shape, tmp_path):
    torch.manual_seed(0)
    model = make()
    path = export_onnx(model, torch.randn(shape), tmp_path / "m.onnx")
    rows = torch.randn(7, *shape[1:])
    with torch.no_grad():
        expected = model.eval()(rows)
    torch.testing.assert_close(run(session(path), rows), expected, rtol=1e-4, atol=1e-5)


def test_several_inputs_and_outputs_keep_their_names_and_share_the_batch(tmp_path):
    model, names = TwoInputs().eval(), {"input_names": ("x", "scale")}
    inputs = (torch.randn(2, 4), torch.randn(2, 1))
    path = export_onnx(
        model, inputs, tmp_path / "m.onnx", **names, output_names=("y", "sum")
    )
    opened = session(path)
    assert {i.name: i.shape for i in opened.get_inputs()} == {
        "x": ["batch", 4],
        "scale": ["batch", 1],
    }
    rows = (torch.randn(5, 4), torch.randn(5, 1))
    y, total = run(opened, rows)
    with torch.no_grad():
        expected, words = model(*rows)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(total, words["sum"])


def test_an_example_of_one_row_does_for_a_dynamic_batch(tmp_path):
    path = export_onnx(SimpleNet(), torch.randn(1, 10), tmp_path / "m.onnx")
    assert run(session(path), torch.randn(9, 10)).shape == (9, 2)


def test_without_dynamic_batch_only_the_example_s_length_is_accepted(tmp_path):
    path = tmp_path / "m.onnx"
    export_onnx(SimpleNet(), torch.randn(3, 10), path, dynamic_batch=False)
    assert run(session(path), torch.randn(3, 10)).shape == (3, 2)
    with pytest.raises(
        ValueError, match=r"input: tensor\(float\) \[3, 10\]; got.*\[4, 10\]"
    ):
        run(session(path), torch.randn(4, 10))


# ---- The model's mode


def test_every_module_is_back_in_its_own_mode(tmp_path):
    model = load_reference_model().train()
    model.blocks[1].eval()  # a frozen block
    before = {name: module.training for name, module in model.named_modules()}
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    images = load_digits().test_images[:4]
    path = export_onnx(model, images, tmp_path / "m.onnx")
    assert {name: module.training for name, module in model.named_modules()} == before
    # In training mode the export would have moved the running averages.
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, state[name], rtol=0, atol=0)
    with torch.no_grad():
        expected = model.eval()(images)
    torch.testing.assert_close(run(session(path), images), expected, rtol=1e-4, atol=1e-4)


def test_the_mode_is_restored_when_the_export_fails(tmp_path):
    class Refused(nn.Linear):
        def forward(self, x):
            return super().forward(x) if x.sum() > 0 else x

    model = Refused(4, 4).train()
    with pytest.raises(Exception, match="data-dependent"):
        export_onnx(model, torch.ones(2, 4), tmp_path / "m.onnx")
    assert model.training
    assert list(tmp_path.iterdir()) == []


# ---- What is in the file


def test_metadata_holds_versions_opset_and_what_was_given(reference):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    model = read_onnx(reference)
    found = {entry.key: entry.value for entry in model.metadata_props}
    assert found == {
        "course_version": project["project"]["version"],
        "torch_version": str(torch.__version__),
        "opset": str(model.opset_import[0].version),
        "classes": json.dumps(list(range(10))),
        "trained_on": "digits",
    }
    assert session(reference).get_modelmeta().custom_metadata_map == found


def test_a_copy_without_the_course_stores_no_version_of_it(tmp_path, monkeypatch):
    def version(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(exporting, "version", version)
    path = export_onnx(torch.nn.Linear(4, 2), torch.rand(2, 4), tmp_path / "m.onnx")
    stored = {entry.key for entry in read_onnx(path).metadata_props}
    assert stored == {"torch_version", "opset"}


def test_the_file_tells_nobody_where_it_was_made(reference):
    data = reference.read_bytes()
    for trace in (b".py", b"stack_trace", os.fsencode(Path(torch.__file__).parent)):
        assert trace not in data
    # Without the exporter's notes, it is the weights and 10 kB.
    model = read_onnx(reference)
    weights = sum(len(tensor.raw_data) for tensor in model.graph.initializer)
    assert len(data) - weights < 10_000


def test_an_opset_that_was_asked_for_is_given_or_refused(tmp_path):
    path = export_onnx(SimpleNet(), torch.randn(2, 10), tmp_path / "m.onnx", opset=18)
    assert read_onnx(path).opset_import[0].version == 18
    model, images = load_reference_model(), torch.zeros(2, 1, 8, 8)
    with pytest.raises(ValueError, match="opset is 14, but this model came out in 18"):
        export_onnx(model, images, path, opset=14)
    with pytest.raises(ValueError, match=r"came out in 18: .* or ask for 18$"):
        export_onnx(SimpleNet(), torch.randn(2, 10), path, opset=99)
    for opset in ("18", 18.0, 0):
        with pytest.raises(
            ValueError, match=f"opset is {opset!r}; expected a whole number"
        ):
            export_onnx(SimpleNet(), torch.randn(2, 10), path, opset=opset)
    assert read_onnx(path).graph.input[0].type.tensor_type.shape.dim[1].dim_value == 10


def test_weights_beside_the_model_are_named_after_their_content(tmp_path):
    torch.manual_seed(0)
    rows, path = torch.randn(2, 400), tmp_path / "m.onnx"
    model = nn.Linear(400, 50)
    export_onnx(model, rows, path, external_data=True)
    [weights] = set(tmp_path.iterdir()) - {path}
    assert weights.name.startswith("m.onnx.") and weights.suffix == ".data"
    assert weights.stat().st_size >= 4 * 400 * 50 > path.stat().st_size
    with torch.no_grad():
        torch.testing.assert_close(run(session(path), rows), model(rows))
    assert len(read_onnx(path).graph.initializer[0].raw_data) > 0
    # The same weights again, then others, then none: no file is left over.
    export_onnx(model, rows, path, external_data=True)
    assert set(tmp_path.iterdir()) == {path, weights}
    export_onnx(nn.Linear(400, 50), rows, path, external_data=True)
    [other] = set(tmp_path.iterdir()) - {path}
    assert other != weights
    export_onnx(model, rows, path)
    assert set(tmp_path.iterdir()) == {path}


# ---- All or nothing


class Crash(BaseException):
    """Not an Exception, like Ctrl-C."""


@pytest.mark.parametrize("external_data", [False, True])
@pytest.mark.parametrize("where", ["check", "load", "write"])
def test_a_failed_export_leaves_the_old_file_and_nothing_else(
    external_data, where, tmp_path, monkeypatch
):
    rows, path = torch.randn(2, 400), tmp_path / "m.onnx"
    model = nn.Linear(400, 50)
    export_onnx(model, rows, path, external_data=external_data)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}

    def crash(*args, **options):
        raise Crash

    module, name = {
        "check": (exporting.onnx.checker, "check_model"),
        "load": (exporting, "session"),
        "write": (exporting.onnx_ir, "save"),
    }[where]
    monkeypatch.setattr(module, name, crash)
    with pytest.raises(Crash):
        export_onnx(nn.Linear(400, 50), rows, path, external_data=external_data)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize("suffix", [".onnx", ".data"])
def test_a_crash_while_model_or_weights_are_moved_leaves_the_old_pair(
    suffix, tmp_path, monkeypatch
):
    torch.manual_seed(0)
    rows, path = torch.randn(2, 400), tmp_path / "m.onnx"
    model = nn.Linear(400, 50)
    export_onnx(model, rows, path, external_data=True)
    replace = Path.replace

    def crash_at_one(self, target):
        if Path(target).suffix == suffix:
            raise Crash
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", crash_at_one)
    with pytest.raises(Crash):
        export_onnx(nn.Linear(400, 50), rows, path, external_data=True)
    with torch.no_grad():
        torch.testing.assert_close(run(session(path), rows), model(rows))


# ---- What is said, and what is not


@pytest.mark.parametrize(
    ("make", "inputs", "outputs"),
    [
        (load_reference_model, [torch.zeros(2, 1, 8, 8)], ("y",)),
        (Recurrent, [torch.zeros(2, 5, 6)], ("y",)),
        (TwoInputs, [torch.zeros(2, 4), torch.zeros(2, 1)], ("y", "sum")),
    ],
)
def test_nothing_is_printed_logged_or_warned(
    make, inputs, outputs, tmp_path, capfd, caplog, recwarn
):
    names = {"input_names": ("a", "b")[: len(inputs)], "output_names": outputs}
    export_onnx(make(), inputs, tmp_path / "m.onnx", **names)
    assert capfd.readouterr() == ("", "")
    logged = [r.getMessage() for r in caplog.records if r.levelno >= logging.INFO]
    assert logged == []
    assert [str(warning.message) for warning in recwarn] == []


def test_real_warnings_and_log_lines_pass(caplog):
    registry = logging.getLogger("torch.onnx._internal.exporter._registration")
    quiet = leave_out(exporting.STRAY_LINES, exporting.STRAY_WARNINGS)
    with quiet, pytest.warns(FutureWarning, match="yours"):
        warnings.warn("this call of yours is deprecated", FutureWarning, stacklevel=1)
        registry.warning("torchvision is not installed. Skipping torchvision::nms")
        registry.warning("an operator of yours is missing")
    assert [r.getMessage() for r in caplog.records] == ["an operator of yours is missing"]


# ---- Errors


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ([[1.0, 2.0]], "example_inputs is of type list holding a list; expected a tensor"),
        (np.zeros((2, 10)), "example_inputs is of type ndarray; expected a tensor"),
        ((), "example_inputs is of type tuple; expected a tensor"),
    ],
)
def test_examples_that_are_no_tensors_are_named(inputs, text, tmp_path):
    with pytest.raises(TypeError, match=text):
        export_onnx(SimpleNet(), inputs, tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        (torch.zeros(2, 7), r"does not accept example_inputs of torch.float32 \(2, 7\)"),
        (torch.zeros(2, 10).long(), r"of torch.int64 \(2, 10\). RuntimeError: "),
        (torch.zeros(0, 10), "axis 0 of every input is the batch"),
        (torch.tensor(1.0), "axis 0 of every input is the batch"),
    ],
)
def test_examples_that_the_model_does_not_accept_are_refused(inputs, text, tmp_path):
    with pytest.raises(ValueError, match=text):
        export_onnx(SimpleNet(), inputs, tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (
            {"input_names": ("a", "b")},
            r"input_names is \('a', 'b'\); the model has 1 in",
        ),
        ({"output_names": ()}, r"output_names is \(\); the model has 1 output"),
        ({"input_names": "x"}, "input_names is 'x'; .* different names in a tuple"),
        ({"input_names": None}, "input_names is None; .* different names in a tuple"),
        ({"input_names": (1,)}, r"input_names is \(1,\); .* different names in a tuple"),
        ({"output_names": ("",)}, r"output_names is \('',\); .* different names"),
        # For the exporter that would be the weight: a file without an input.
        (
            {"input_names": ("hidden.weight",)},
            "'hidden.weight' of .* is also the name of a weight of the model",
        ),
        (
            {"input_names": ("x",), "output_names": ("x",)},
            "'x' of input_names and output_names is also the name of another one",
        ),
    ],
)
def test_the_names_are_checked(names, text, tmp_path):
    with pytest.raises(ValueError, match=text):
        export_onnx(SimpleNet(), torch.zeros(2, 10), tmp_path / "m.onnx", **names)


def test_model_path_and_metadata_are_checked(tmp_path):
    rows = torch.zeros(2, 10)
    with pytest.raises(TypeError, match=r"OrderedDict; expected a torch\.nn\.Module"):
        export_onnx(SimpleNet().state_dict(), rows, tmp_path / "m.onnx")
    with pytest.raises(FileNotFoundError, match=r"the folder .*gone does not exist"):
        export_onnx(SimpleNet(), rows, tmp_path / "gone" / "m.onnx")
    with pytest.raises(IsADirectoryError, match="is a folder; expected the path of a file"):
        export_onnx(SimpleNet(), rows, tmp_path)
    with pytest.raises(ValueError, match="metadata holds opset, which export_onnx fills"):
        export_onnx(SimpleNet(), rows, tmp_path / "m.onnx", metadata={"opset": 3})
    with pytest.raises(TypeError, match=r"metadata\['mean'\] is a Tensor; expected a text"):
        export_onnx(SimpleNet(), rows, tmp_path / "m.onnx", metadata={"mean": rows})
    assert list(tmp_path.iterdir()) == []
