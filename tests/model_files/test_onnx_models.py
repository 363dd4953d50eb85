"""An ONNX file read without onnx, held against what onnx itself reads."""

import os

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from helpers.model_files import inspect_file
from helpers.model_files.onnx_models import _DTYPES
from helpers.model_files.verdicts import SAFE, UNSAFE, WHOLE
from helpers.onnx_export import export_onnx
from tests.model_files.readers import frugally, mutations, quickly, read, refused, run
from tests.model_files.samples import onnx_model


@pytest.fixture
def path(tmp_path):
    (folder := tmp_path / "model").mkdir()
    return folder / "a.onnx"


def ones(*shape, dtype="f4", name="w"):
    return numpy_helper.from_array(np.ones(shape, dtype), name)


def external(path, location, *, length=None, offset=0, held=16):
    tensor = TensorProto(name="w", data_type=1, dims=[2, 2], data_location=1)
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        if value is not None:
            tensor.external_data.add(key=key, value=str(value))
    onnx.save(onnx_model(w=tensor), path)
    if held:
        (path.parent / "w.data").write_bytes(bytes(held))
    return path


def test_an_export_is_read_as_onnx_reads_it(path):
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(108, 5))
    export_onnx(net, torch.zeros(2, 1, 8, 8), path)
    found, model = read("onnx", path), onnx.load(path)
    assert (found.safety, found.structure) == (SAFE, WHOLE)
    assert {
        (e.name, e.shape, e.dtype, e.bytes) for e in found.entries if "/" not in e.name
    } == {
        (t.name, tuple(t.dims), str(a.dtype), a.nbytes)
        for t in model.graph.initializer
        for a in [numpy_helper.to_array(t)]
    }
    assert found.values["opsets"] == f"ai.onnx {model.opset_import[0].version}"
    assert found.values["producer"] == "pytorch"
    [x], [y] = model.graph.input, model.graph.output
    batch = x.type.tensor_type.shape.dim[0].dim_param
    assert found.values[f"input {x.name}"] == f"float32 [{batch}, 1, 8, 8]"
    assert found.values[f"output {y.name}"] == f"float32 [{batch}, 5]"
    assert "Conv 1" in found.values["operators"] and "Relu 1" in found.values["operators"]
    session = run(found.opens)["session"]
    assert session.run(None, {x.name: np.zeros((2, 1, 8, 8), "f4")})[0].shape == (2, 5)


@pytest.mark.parametrize("kind", sorted(set(TensorProto.DataType.values()) - {0, 8}))
def test_every_dtype_is_named_with_its_bytes(path, kind):
    bits = {4: 4, 2: 2, 6: 6, 8: 8}
    name = _DTYPES[kind]
    width = int("".join(c for c in name.partition("_")[0] if c.isdigit()) or 8)
    assert bits.get(width, width) == width
    held = -(-3 * width // 8)
    tensor = helper.make_tensor("w", kind, [3], bytes(held), raw=True)
    onnx.save(onnx_model(w=tensor), path)
    [entry] = read("onnx", path).entries
    assert (entry.dtype, entry.bytes) == (name, held)
    word = TensorProto.DataType.Name(kind).lower().replace("double", "float64")
    word = "float32" if word == "float" else word
    # The names are torch's where it has the type.
    assert name.replace("_", "").removesuffix("fn").removesuffix("fnu") in (
        word,
        word.removesuffix("fn"),
    )
    if hasattr(torch, name):
        assert getattr(torch, name).itemsize * 8 in (width, 8)


def test_numbers_in_typed_fields_have_their_bytes(path):
    tensor = helper.make_tensor("w", TensorProto.FLOAT16, [2, 3], [1.0] * 6)
    onnx.save(onnx_model(w=tensor, s=helper.make_tensor("s", 8, [2], [b"a", b"b"])), path)
    assert [(e.name, e.bytes) for e in read("onnx", path).entries] == [
        ("w", 12),
        ("s", 0),
    ]


def test_weights_in_constants_and_subgraphs_are_counted(path):
    model = onnx_model(w=ones(2))
    inner = helper.make_graph(
        [helper.make_node("Constant", [], ["c"], "deep", value=ones(5))],
        "inner",
        [],
        [],
        [ones(7, name="v")],
    )
    model.graph.node.append(helper.make_node("If", ["x"], ["z"], "if", then_branch=inner))
    model.graph.node.append(helper.make_node("Constant", [], ["k"], value=ones(3, name="")))
    few = helper.make_sparse_tensor(ones(2), ones(2, dtype="i8", name="places"), [9])
    model.graph.node.append(helper.make_node("Constant", [], ["f"], sparse_value=few))
    sparse = model.graph.sparse_initializer.add(dims=[9])
    sparse.values.CopyFrom(ones(1, name="sparse"))
    sparse.indices.CopyFrom(ones(1, dtype="i8", name=""))
    onnx.save(model, path)
    found = read("onnx", path)
    assert {e.name: e.shape for e in found.entries} == {
        "w": (2,),
        "sparse": (1,),
        "": (1,),
        "if/c": (5,),
        "if/v": (7,),
        "k": (3,),
        "f": (2,),
    }
    assert "Weights in Constant nodes: 3." in found.notes
    assert "Weights in subgraphs: 1." in found.notes


def test_functions_domains_and_metadata_are_named(path):
    model = onnx_model()
    model.producer_name, model.doc_string = "me", "long " * 40_000
    model.metadata_props.add(key="license", value="MIT")
    model.opset_import.add(domain="com.example", version=3)
    model.graph.node.append(helper.make_node("Magic", ["x"], ["m"], domain="com.example"))
    function = model.functions.add(name="f", domain="local")
    function.node.append(helper.make_node("Constant", [], ["c"], "n", value=ones(2)))
    onnx.save(model, path)
    found = read("onnx", path)
    assert found.structure == WHOLE
    assert found.values["opsets"] == "ai.onnx 20, com.example 3"
    assert found.values["metadata license"] == "MIT"
    assert "com.example.Magic 1" in found.values["operators"]
    assert any(note.startswith("It needs operators of com.example") for note in found.notes)
    assert "Functions in it: 1." in found.notes


def test_old_files_list_weights_as_inputs(path):
    model = onnx_model(w=ones(2, 2))
    model.graph.input.append(helper.make_tensor_value_info("w", 1, [2, 2]))
    model.graph.input.append(helper.make_tensor_sequence_value_info("s", 1, None))
    onnx.save(model, path)
    values = read("onnx", path).values
    assert {key for key in values if key.startswith("input ")} == {"input x", "input s"}
    assert values["input s"] == "a sequence"


def test_weights_beside_the_file_are_measured(path):
    where = {"save_as_external_data": True, "location": "w.data", "size_threshold": 0}
    onnx.save(onnx_model(w=ones(50, 4), v=ones(7)), path, **where)
    found = read("onnx", path)
    beside = next(p for p in path.parent.iterdir() if p != path)
    assert found.structure == WHOLE
    assert found.size == path.stat().st_size + beside.stat().st_size
    assert (
        f"Weights are in {beside.name}, {beside.stat().st_size:,} bytes" in found.notes[-1]
    )
    beside.write_bytes(beside.read_bytes()[:-1])
    assert "and its weights need" in refused(read("onnx", path))
    beside.unlink()
    assert "which is not beside it" in refused(read("onnx", path))


@pytest.mark.parametrize("location", ["../w.data", "/etc/passwd", "a/../../w.data", "a\0b"])
def test_weights_outside_the_folder_are_unsafe(path, location):
    (path.parent.parent / "w.data").write_bytes(bytes(16))
    found = read("onnx", external(path, location))
    assert found.safety == UNSAFE and "outside its folder" in found.safety_why


@pytest.mark.skipif(os.name != "posix", reason="Windows needs a right for links")
def test_a_link_out_of_the_folder_is_unsafe_and_a_pipe_is_not_waited_for(path):
    (path.parent.parent / "secret").write_bytes(bytes(16))
    (path.parent / "w.data").symlink_to("../secret")
    assert read("onnx", external(path, "w.data", held=0)).safety == UNSAFE
    (path.parent / "w.data").unlink()
    os.mkfifo(path.parent / "w.data")
    found = read("onnx", external(path, "w.data", held=0))
    assert "which is not beside it" in refused(found)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"length": 8}, "takes 16 bytes, 8 are named"),
        ({"offset": 8}, "has 16 bytes, and its weights need 24"),
        ({"offset": -8}, "takes 16 bytes"),
        ({"offset": "many"}, "invalid literal"),
        ({"length": 1 << 62}, "has 16 bytes, and its weights need"),
    ],
)
def test_a_place_that_lies_is_damage(path, given, reason):
    assert reason in refused(read("onnx", external(path, "w.data", **given)))


def test_a_tensor_shorter_than_its_shape_is_damage(path):
    tensor = ones(2, 2)
    tensor.raw_data = tensor.raw_data[:-1]
    onnx.save(onnx_model(w=tensor), path)
    assert refused(read("onnx", path)) == "tensor 'w' takes 16 bytes, and 15 are there"


def test_a_cut_file_is_damage(path):
    onnx.save(onnx_model(w=ones(2, 2)), path)
    path.write_bytes(path.read_bytes()[:-10])
    assert "ends at byte" in refused(read("onnx", path))


def message(number: int, content: bytes) -> bytes:
    """Return a field that holds a message."""
    data, size = bytes([number << 3 | 2]), len(content)
    while size > 127:
        data, size = data + bytes([size & 127 | 128]), size >> 7
    return data + bytes([size]) + content


def test_what_is_nested_too_deeply_or_too_wide_is_refused(path):
    graph = b""
    for _ in range(2000):  # a graph in an attribute of a node of a graph ...
        graph = message(1, message(5, message(6, graph)))
    path.write_bytes(b"\x08\x0a" + message(7, graph))
    assert refused(read("onnx", path)) == "its graphs are nested too deeply"
    onnx.save(onnx_model(w=TensorProto(dims=[1] * 1000, data_type=1)), path)
    assert "more than 64 axes" in refused(read("onnx", path))


def test_millions_of_records_are_refused_in_time(path, monkeypatch):
    monkeypatch.setattr("helpers.model_files.judging.MOST_ENTRIES", 1000)
    field = b"\x2a\x04\x10\x01\x08\0"  # an initializer without a name or elements
    graph = field * 1_000_000
    path.write_bytes(b"\x08\x0a" + message(7, graph))
    assert "more than 1,000 tensors" in refused(quickly("onnx", path))


def test_ten_thousand_weights_take_no_time_and_large_files_no_memory(path):
    model = onnx_model()
    weight = ones(2_000).raw_data
    for i in range(10_000):
        model.graph.initializer.add(
            name=f"model.layers.{i}.weight", dims=[2_000], data_type=1, raw_data=weight
        )
    onnx.save(model, path)
    del model
    found = frugally("onnx", path)
    assert len(found.entries) == 10_000 and path.stat().st_size > 80_000_000
    path.unlink()


def test_damaged_files_end_in_a_sentence(path):
    inner = helper.make_graph([], "inner", [], [], [ones(7, name="v")])
    model = onnx_model(w=ones(2, 2))
    model.graph.node.append(helper.make_node("If", ["x"], ["z"], "if", then_branch=inner))
    for new in mutations(model.SerializeToString()):
        path.write_bytes(new)
        read("onnx", path)


def test_a_file_of_nothing_but_fields_is_given_up(path, monkeypatch):
    monkeypatch.setattr("helpers.model_files.protobuf._MOST_FIELDS", 1000)
    path.write_bytes(b"\x08\x0a" + message(7, b"\x40\x01" * 2000))
    assert "more than 1,000 fields" in refused(read("onnx", path))
    path.write_bytes(b"\x08\x0a" + b"\x28\x01" * 2000)
    assert "more than 1,000 fields" in refused(read("onnx", path))


@pytest.mark.parametrize("number", [11, 12])
def test_too_many_inputs_and_outputs_are_refused(path, number):
    places = (message(number, message(1, b"%d" % i)) for i in range(10_001))
    path.write_bytes(message(7, b"".join(places)))
    assert "more inputs and outputs" in refused(read("onnx", path))


def test_too_many_attributes_and_names_too_long_are_refused(path):
    path.write_bytes(message(7, message(1, message(5, b"") * 10_001)))
    assert "more than 10,000 parts of a kind" in refused(read("onnx", path))
    path.write_bytes(message(7, message(5, message(8, b"x" * 1001))))
    assert "is longer than any tensor's" in refused(read("onnx", path))


def test_too_many_operators_are_refused(path):
    nodes = (message(1, message(4, b"%d" % i)) for i in range(10_001))
    path.write_bytes(message(7, b"".join(nodes)))
    assert "more operators than any model" in refused(read("onnx", path))


def typed(kind, field, values, dims):
    tensor = TensorProto(name="w", data_type=kind, dims=dims)
    getattr(tensor, field).extend(values)
    return tensor


@pytest.mark.parametrize(
    ("kind", "field", "values", "dims"),
    [
        (TensorProto.FLOAT, "float_data", [1.0] * 6, (2, 3)),
        (TensorProto.DOUBLE, "double_data", [1.0], ()),
        (TensorProto.COMPLEX64, "float_data", [1.0] * 4, (2,)),
        (TensorProto.COMPLEX128, "double_data", [1.0] * 4, (2,)),
        (TensorProto.INT64, "int64_data", [-1, 1 << 40, 3], (3,)),
        (TensorProto.UINT64, "uint64_data", [1 << 63], (1,)),
        (TensorProto.INT32, "int32_data", [-1] * 300_000, (300_000,)),
        (TensorProto.FLOAT16, "int32_data", [15360] * 3, (3,)),
        (TensorProto.BOOL, "int32_data", [1] * 3, (3,)),
        (TensorProto.INT4, "int32_data", [1] * 2, (3,)),
        (TensorProto.STRING, "string_data", [b"a", b""], (2,)),
        (TensorProto.FLOAT, "float_data", [], (0, 3)),
    ],
)
def test_a_weight_has_as_many_elements_as_its_shape_says(path, kind, field, values, dims):
    onnx.save(onnx_model(w=typed(kind, field, values, dims)), path)
    found = read("onnx", path)
    assert (found.structure, found.safety) == (WHOLE, SAFE), found.structure_why
    for wrong in (values[:-1], [*values, *values, *values[:1]]) if values else ():
        onnx.save(onnx_model(w=typed(kind, field, wrong, dims)), path)
        assert "tensor 'w' has" in refused(read("onnx", path))


def test_floats_that_are_not_packed_are_counted(path):
    data = b"\x08\x02\x10\x01B\x01w" + b"\x25\0\0\0\0" * 2
    tensor = TensorProto.FromString(data)
    assert numpy_helper.to_array(tensor).tolist() == [0, 0]
    graph = b"*" + bytes([len(data)]) + data
    model = b"\x08\x08:" + bytes([len(graph)]) + graph
    path.write_bytes(model)
    assert read("onnx", path).structure == WHOLE


@pytest.mark.parametrize(
    ("dims", "reason"),
    [
        ((-1,), "tensor 'w' has an axis of -1"),
        ((1 << 62,) * 60, "and 2 are there"),
        ((10, 10), "tensor 'w' has 100 elements, and 2 are there"),
    ],
)
def test_a_shape_that_cannot_be_is_damage(path, dims, reason):
    onnx.save(onnx_model(w=typed(1, "float_data", [1.0, 2.0], dims)), path)
    found = inspect_file(path)
    assert reason in refused(found)
    assert str(found) and found.to_json() and found._repr_html_()
