"""Parity of ONNX files: every model of the course, and what goes wrong."""

import random
import re

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from helpers.classroom.data.digits import load_digits
from helpers.classroom.data.networks import DigitsNet, SimpleNet, load_reference_model
from helpers.onnx_export import check_parity, export_onnx
from helpers.training import capture_rng, restore_rng
from tests.state_dicts.samples import KINDS, MODELS, entry, model, photograph


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """One image leaves threads nothing to share, and on a busy machine they cost."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def images():
    return load_digits().test_images


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(6, 5, batch_first=True)

    def forward(self, x):
        return self.lstm(x)[0]


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

    def forward(self, x):
        return self.block(x)


class Beside(nn.Module):
    """Uses one layer; the other module is only there, as part of the state."""

    def __init__(self, layer, other):
        super().__init__()
        self.layer, self.other = layer, other
        self.register_buffer("calls", torch.zeros(1), persistent=False)

    def forward(self, x):
        self.calls += 1
        return self.layer(x)


class Returns(nn.Module):
    def __init__(self, layer, change):
        super().__init__()
        self.layer, self.change = layer, change

    def forward(self, x):
        return self.change(self.layer(x))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    layer = nn.Linear(4, 2).eval()
    path = tmp_path_factory.mktemp("small") / "m.onnx"
    return layer, export_onnx(layer, torch.rand(2, 4), path)


# The same model


def test_the_reference_model_is_the_same_on_all_test_images(reference, images):
    parity = check_parity(load_reference_model(), reference, images, batch_sizes=(719,))
    assert parity.passed and parity.class_agreement == 1
    assert parity.gaps.shape == parity.magnitudes.shape == (719, 10)


def test_the_reference_model_is_the_same_in_batches_of_every_size(reference, images):
    parity = check_parity(load_reference_model(), reference, images[:50])
    assert parity.passed and parity.class_agreement == 1
    assert 0 < parity.max_abs_error <= 1e-4
    assert list(parity.table["batch"]) == [1, 2, 7, 64] == list(parity.batch_sizes)


@pytest.mark.parametrize(
    "model, shape",
    [
        (SimpleNet(), (10,)),
        (DigitsNet(3), (1, 8, 8)),
        (Recurrent(), (4, 6)),
        (Attention(), (4, 8)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_models_are_too(model, shape, tmp_path):
    torch.manual_seed(0)
    path = export_onnx(model.eval(), torch.randn(2, *shape), tmp_path / "model.onnx")
    parity = check_parity(model, path, torch.randn(9, *shape))
    assert parity.passed and parity.class_agreement == 1


@given(st.lists(st.integers(1, 90), min_size=1, max_size=3), st.integers(1, 20))
@settings(max_examples=15, deadline=None)
def test_any_batch_size_and_any_number_of_inputs_will_do(sizes, count):
    model, path = _exported()
    parity = check_parity(model, path, torch.rand(count, 10), batch_sizes=sizes)
    assert parity.passed and parity.batch_sizes == tuple(sizes)


_MADE = {}


def _exported():
    if not _MADE:
        import tempfile
        from pathlib import Path

        folder = tempfile.TemporaryDirectory()
        model = SimpleNet().eval()
        path = export_onnx(model, torch.rand(2, 10), Path(folder.name) / "m.onnx")
        _MADE.update(folder=folder, model=model, path=path)
    return _MADE["model"], _MADE["path"]


class Named(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = SimpleNet()

    def forward(self, x):
        logits = self.model(x)
        return {"logits": logits, "rest": (logits.sum(dim=1), [2 * logits])}


def test_outputs_may_be_nested_in_dicts_and_lists(tmp_path):
    model, names = Named().eval(), ("logits", "sum", "twice")
    path = export_onnx(model, torch.rand(2, 10), tmp_path / "m.onnx", output_names=names)
    parity = check_parity(model, path, torch.rand(9, 10))
    assert parity.passed and parity.gaps.shape == (9, 2 + 1 + 2)


class Classes(nn.Module):
    def __init__(self, least=0):
        super().__init__()
        self.least = least

    def forward(self, x):
        return x.argmax(dim=1).clamp(min=self.least)


def test_classes_agree_where_they_are_equal(tmp_path):
    path = export_onnx(Classes(), torch.rand(2, 4), tmp_path / "m.onnx")
    inputs = torch.eye(4)
    parity = check_parity(Classes(), path, inputs)
    assert parity.passed and parity.class_agreement == 1
    # Of the classes 0 to 3, the other model calls the first one 1.
    parity = check_parity(Classes(least=1), path, inputs, batch_sizes=(4,))
    assert not parity.passed and parity.class_agreement == 0.75
    assert (parity.worst_input, parity.max_abs_error) == (0, 1)


class Sum(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, x):
        return x.sum(dim=self.dim)


def test_one_number_for_each_input_is_compared_one_for_the_batch_is_not(tmp_path):
    path = export_onnx(Sum(1), torch.rand(2, 4), tmp_path / "m.onnx")
    parity = check_parity(Sum(1), path, torch.rand(5, 4))
    assert parity.passed and parity.class_agreement == 1 and parity.gaps.shape == (5, 1)
    path = export_onnx(Sum((0, 1)), torch.rand(2, 4), tmp_path / "m.onnx")
    with pytest.raises(ValueError, match=r"for 2 inputs the model returns shapes \[\(\)\]"):
        check_parity(Sum((0, 1)), path, torch.rand(5, 4), batch_sizes=(2,))


# Another model


def test_a_model_left_in_training_mode_fails_and_is_as_it_was(reference, images):
    model = load_reference_model().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    random = torch.random.get_rng_state()
    parity = check_parity(model, reference, images[:64])
    assert not parity.passed and parity.max_abs_error > 0.1
    assert model.training
    assert torch.equal(random, torch.random.get_rng_state())
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_the_worst_batch_size_counts(reference, images):
    # In training mode batch norm errs the more, the smaller the batch is.
    model, sizes = load_reference_model().train(), (2, 64)
    parity = check_parity(model, reference, images[:64], batch_sizes=sizes)
    small, large = parity.table.to_dict("records")
    assert small["max abs error"] > large["max abs error"]
    assert parity.max_abs_error == small["max abs error"] == parity.gaps.max()
    assert parity.gaps[parity.worst_input].max() == parity.max_abs_error
    assert parity.max_rel_error == max(small["max rel error"], large["max rel error"])
    assert parity.class_agreement == small["class agreement"] < large["class agreement"]
    between = (small["max abs error"] + large["max abs error"]) / 2
    parity = check_parity(
        model, reference, images[:64], rtol=0, atol=between, batch_sizes=sizes
    )
    assert list(parity.table["passed"]) == [False, True] and not parity.passed


def test_other_weights_fail_and_the_worst_input_is_named(tmp_path):
    model = nn.Linear(3, 2)
    path = export_onnx(model, torch.ones(2, 3), tmp_path / "linear.onnx")
    with torch.no_grad():
        model.weight[0, 1] += 1
    inputs = torch.zeros(5, 3)
    inputs[3, 1] = 2.0
    parity = check_parity(model, path, inputs)
    assert parity.worst_input == 3
    assert parity.max_abs_error == pytest.approx(2, abs=1e-5)
    assert not parity.passed


def test_the_tolerances_decide(tmp_path):
    model = nn.Linear(3, 2, bias=False)
    path = export_onnx(model, torch.ones(2, 3), tmp_path / "linear.onnx")
    with torch.no_grad():
        model.weight[0] *= 1.001
    inputs = torch.rand(5, 3)
    parity = check_parity(model, path, inputs)
    assert not parity.passed
    assert parity.max_rel_error == pytest.approx(0.001, rel=0.01)
    # The same without another run, and number by number.
    assert not parity.failing(rtol=0.01, atol=0).any()
    assert parity.failing(rtol=0, atol=0).sum() == (parity.gaps > 0).sum() > 0
    assert check_parity(model, path, inputs, rtol=0.01).passed
    assert check_parity(model, path, inputs, rtol=0, atol=1.0).passed


class Divide(nn.Module):
    def forward(self, x):
        return x / x.abs()


def test_nan_on_both_sides_is_the_same_answer(tmp_path):
    path = export_onnx(Divide(), torch.ones(2, 3), tmp_path / "divide.onnx")
    inputs = torch.tensor([[0.0, 1.0, -2.0]])
    parity = check_parity(Divide(), path, inputs)
    assert parity.passed and parity.max_abs_error == 0


def test_nan_on_one_side_only_fails(tmp_path):
    path = export_onnx(Divide(), torch.ones(2, 3), tmp_path / "divide.onnx")
    parity = check_parity(nn.Identity(), path, torch.tensor([[0.0, 1.0, -2.0]]))
    assert not parity.passed and parity.max_abs_error == torch.inf


class Reciprocal(nn.Module):
    def forward(self, x):
        return 1 / x


def test_infinite_on_one_side_only_fails(tmp_path):
    inputs = torch.tensor([[0.0, 1.0, -2.0]])
    path = export_onnx(Reciprocal(), torch.ones(2, 3), tmp_path / "reciprocal.onnx")
    assert check_parity(Reciprocal(), path, inputs).passed
    path = export_onnx(nn.ReLU(), torch.ones(2, 3), tmp_path / "relu.onnx")
    parity = check_parity(Reciprocal(), path, inputs, rtol=10, atol=10)
    assert not parity.passed
    assert parity.failing(rtol=10, atol=10).tolist() == [[True, False, False]]


# What cannot be compared


def test_a_fixed_batch_takes_only_its_own(tmp_path):
    model = SimpleNet().eval()
    path = export_onnx(model, torch.rand(2, 10), tmp_path / "m.onnx", dynamic_batch=False)
    assert check_parity(model, path, torch.rand(3, 10), batch_sizes=(2,)).passed
    with pytest.raises(ValueError, match=r"expects input: .* \[2, 10\]; got"):
        check_parity(model, path, torch.rand(3, 10))


@pytest.mark.parametrize("sizes", [(), (0,), (2.0,), (-1, 2), 64])
def test_batch_sizes_are_whole_numbers(sizes, reference, images):
    with pytest.raises(ValueError, match="expected whole numbers of at least 1"):
        check_parity(load_reference_model(), reference, images, batch_sizes=sizes)


def test_nothing_to_compare(reference, images):
    with pytest.raises(ValueError, match="expected the same N of at least 1"):
        check_parity(load_reference_model(), reference, images[:0])
    with pytest.raises(ValueError, match=r"inputs have shapes \[\(\)\]"):
        check_parity(load_reference_model(), reference, images[0, 0, 0, 0])


def test_inputs_that_the_file_does_not_take(reference, images):
    model = load_reference_model()
    for wrong in (images[:3, :, :7], images[:3].double(), (images[:3], images[:3])):
        with pytest.raises(ValueError, match=r"the file expects input: .*; got torch"):
            check_parity(model, reference, wrong)
    with pytest.raises(TypeError, match="inputs is of type ndarray; expected a tensor"):
        check_parity(model, reference, images.numpy())
    with pytest.raises(TypeError, match=r"OrderedDict; expected a torch\.nn\.Module"):
        check_parity(model.state_dict(), reference, images)


def test_another_models_file(tmp_path):
    path = export_onnx(SimpleNet(), torch.rand(2, 10), tmp_path / "m.onnx")
    with pytest.raises(ValueError, match="it is another model's file"):
        check_parity(SimpleNet(out_features=5), path, torch.rand(3, 10))


def test_a_model_that_cannot_be_compared_is_as_it_was(images, tmp_path):
    path = export_onnx(DigitsNet(3, 5), images[:2], tmp_path / "m.onnx")
    model = DigitsNet(3).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(ValueError, match="it is another model's file"):
        check_parity(model, path, images[:3])
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_a_missing_file_and_one_that_is_not_onnx(tmp_path, images):
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(ValueError, match="is not an ONNX file"):
        check_parity(load_reference_model(), tmp_path / "text.onnx", images)
    with pytest.raises(FileNotFoundError, match="export the model first"):
        check_parity(load_reference_model(), tmp_path / "none.onnx", images)


# Whatever a model is made of


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", [*KINDS, *MODELS])
def test_state_of_every_kind_is_as_it_was(small, kind):
    layer, path = small
    net = Beside(layer, model(kind)).eval()
    before = photograph(net)
    assert check_parity(net, path, torch.rand(3, 4), batch_sizes=(2,)).passed
    assert photograph(net) == before


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_inputs_are_dense_numbers_or_are_called_what_they_are(small, kind):
    layer, path = small
    some = entry(kind)
    try:
        assert check_parity(layer, path, some, batch_sizes=(2,)).passed
    except ValueError as error:
        said = re.match(r"inputs hold|inputs have shapes|the file expects", str(error))
        assert said, error
    else:
        assert some.dtype is torch.float32 and some.layout is torch.strided


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (torch.Tensor.to_sparse, r"sparse COO float32 \(2, 2\)"),
        (lambda y: torch.complex(y, y), r"complex64 \(2, 2\)"),
        (lambda y: torch.quantize_per_tensor(y, 0.1, 0, torch.qint8), r"qint8 \(2, 2\)"),
        (lambda y: y.to("meta"), "on the meta device, without values"),
        (lambda y: y.byte().view(torch.float4_e2m1fn_x2), "float4_e2m1fn_x2"),
    ],
    ids=["sparse", "complex", "quantized", "meta", "packed"],
)
def test_outputs_that_onnx_cannot_have_are_refused(small, change, what):
    layer, path = small
    with pytest.raises(
        ValueError, match=rf"the model returns a tensor {what}.*; ONNX knows"
    ):
        check_parity(Returns(layer, change), path, torch.rand(2, 4), batch_sizes=(2,))


def test_eight_bits_are_compared_as_numbers(small):
    layer, path = small
    net = Returns(layer, lambda y: y.to(torch.float8_e4m3fn))
    found = check_parity(net, path, torch.rand(2, 4), batch_sizes=(2,))
    assert not found.passed and found.max_rel_error < 0.1


class Steps(nn.Module):
    """Its state has the inputs on axis 1, as an LSTM's."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x):
        y = self.layer(x)
        return torch.stack([y, y + 1, y - 1])


def test_the_worst_input_is_found_on_whatever_axis_the_inputs_are(tmp_path):
    net = Steps().eval()
    path = export_onnx(net, torch.rand(2, 4), tmp_path / "m.onnx")
    inputs = torch.zeros(7, 4)
    inputs[4, 0] = 1
    with torch.no_grad():
        net.layer.weight[:, 0] += 1
    found = check_parity(net, path, inputs, batch_sizes=(7,))
    assert found.worst_input == 4
    assert found.gaps.amax(dim=1).nonzero().flatten().tolist() == [4]


def test_large_whole_numbers_are_compared_as_such(tmp_path):
    class Counts(nn.Module):
        def __init__(self, start):
            super().__init__()
            self.register_buffer("start", torch.tensor([start]))

        def forward(self, x):
            return self.start + x

    path = export_onnx(Counts(2**53), torch.zeros(2, 1).long(), tmp_path / "m.onnx")
    assert check_parity(Counts(2**53), path, torch.zeros(2, 1).long()).passed
    found = check_parity(Counts(2**53 + 1), path, torch.zeros(2, 1).long(), rtol=0, atol=0)
    assert not found.passed and found.class_agreement == 0


def test_chance_of_every_source_is_as_it_was(small):
    class Rolls(nn.Module):
        def forward(self, x):
            return small[0](x) + 0 * random.random() * np.random.rand()

    def draws():
        return random.random(), np.random.rand(), torch.rand(1).item()

    state = capture_rng()
    expected = draws()
    restore_rng(state)
    check_parity(Rolls(), small[1], torch.ones(3, 4))
    assert draws() == expected


class Memory(nn.Module):
    """An LSTM's outputs: the inputs on axis 0 of the first, on axis 1 of the others."""

    def __init__(self, bias=0.0):
        super().__init__()
        self.lstm, self.bias = nn.LSTM(3, 3, num_layers=2, batch_first=True), bias

    def forward(self, x):
        y, (h, c) = self.lstm(x)
        # Only the second input is all zeros: its state alone is another.
        wrong = (x.abs().sum((1, 2)) == 0)[None, :, None] * self.bias
        return y, (h + wrong, c)


@pytest.mark.parametrize("sizes", [(2,), (3,), (5,), (1, 2, 5)])
def test_the_axis_of_the_inputs_is_not_another_one_that_is_as_long(tmp_path, sizes):
    net = Memory().eval()
    names = ("y", "h", "c")
    path = export_onnx(net, torch.rand(2, 5, 3), tmp_path / "m.onnx", output_names=names)
    inputs = torch.rand(5, 5, 3) + 0.1
    inputs[1] = 0
    net.bias = 1.0
    found = check_parity(net, path, inputs, batch_sizes=sizes)
    assert found.failing(rtol=0, atol=0.5).any(dim=1).nonzero().tolist() == [[1]]
    assert found.worst_input == 1 and found.gaps.shape == (5, 5 * 3 + 2 * 3 + 2 * 3)


class OnlyOf(nn.Module):
    """Takes batches of one size, and returns a table beside the answer."""

    def __init__(self, size, table):
        super().__init__()
        self.size, self.table, self.layer = size, table, nn.Linear(4, 2)

    def forward(self, x):
        if self.size and len(x) != self.size:
            raise ValueError("not that many")
        return self.layer(x), torch.ones(5, 2) + 0 * x.sum() if self.table else x


def test_a_table_that_is_as_long_as_the_batch_is_no_answer_by_input(tmp_path):
    net, names = OnlyOf(0, True), ("y", "table")
    path = export_onnx(net, torch.rand(2, 4), tmp_path / "m.onnx", output_names=names)
    with pytest.raises(
        ValueError, match=r"for 5 inputs .*\[\(5, 2\), \(5, 2\)\]; expected"
    ):
        check_parity(net, path, torch.rand(5, 4), batch_sizes=(5,))


def test_where_a_model_takes_one_batch_alone_the_first_axis_as_long_counts(tmp_path):
    net, names = OnlyOf(5, False), ("y", "x")
    path = export_onnx(net, torch.rand(5, 4), tmp_path / "m.onnx", output_names=names,
                       dynamic_batch=False)  # fmt: skip
    found = check_parity(net, path, torch.rand(5, 4), batch_sizes=(5,))
    assert found.passed and found.gaps.shape == (5, 6)


def write_onnx(path, kind):
    """Write a file that returns its input as numbers of a kind, texts, or a sequence."""
    x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N", 4])
    if kind == "sequence":
        node = onnx.helper.make_node("SequenceConstruct", ["x", "x"], ["odd"])
        odd = onnx.helper.make_tensor_sequence_value_info("odd", 1, None)
    else:
        number = getattr(onnx.TensorProto, kind)
        node = onnx.helper.make_node("Cast", ["x"], ["odd"], to=number)
        odd = onnx.helper.make_tensor_value_info("odd", number, ["N", 4])
    same = onnx.helper.make_node("Identity", ["x"], ["y"])
    y = onnx.helper.make_tensor_value_info("y", 1, ["N", 4])
    graph = onnx.helper.make_graph([same, node], "g", [x], [y, odd])
    opset = onnx.helper.make_opsetid("", 21)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10), path)
    return path


@pytest.mark.parametrize(
    "kind, said",
    [
        ("STRING", r"tensor\(string\)"),
        ("BFLOAT16", r"tensor\(bfloat16\)"),
        ("FLOAT8E4M3FN", r"tensor\(float8e4m3fn\)"),
        ("sequence", r"seq\(tensor\(float\)\)"),
    ],
)
def test_an_output_of_the_file_that_holds_no_numbers_is_named(tmp_path, kind, said):
    path = write_onnx(tmp_path / "m.onnx", kind)
    net = Returns(nn.Identity(), lambda x: (x, x))
    with pytest.raises(ValueError, match=f"output 'odd' is {said}; expected .* make the"):
        check_parity(net, path, torch.rand(3, 4))
    path = write_onnx(tmp_path / "m.onnx", "FLOAT16")
    assert check_parity(Returns(net, list), path, torch.ones(3, 4)).passed


def test_an_output_of_the_model_that_is_no_tensor_is_named(small):
    net = Returns(small[0], lambda y: {"y": y, "names": ["a", "b"]})
    with pytest.raises(
        TypeError, match=r"the output\['names'\]\[0\] of the model is of ty"
    ):
        check_parity(net, small[1], torch.rand(2, 4), batch_sizes=(2,))
