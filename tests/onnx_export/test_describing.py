"""describe: what is in a file."""

import onnx
import pytest
import torch

from helpers.classroom.data.networks import SimpleNet
from helpers.onnx_export import describe, export_onnx


def test_a_description_of_the_reference_model(reference):
    found = describe(reference)
    assert found.inputs == {"input": ("float32", ("batch", 1, 8, 8))}
    assert found.outputs == {"output": ("float32", ("batch", 10))}
    assert found.operators["Conv"] == 9
    assert found.parameters >= 20_000
    assert found.bytes == reference.stat().st_size
    assert {"course_version", "torch_version", "opset"} <= set(found.metadata)
    assert found.opset == int(found.metadata["opset"])
    lines = str(found).splitlines()
    assert lines[0] == "input input: float32 [batch, 1, 8, 8]"
    assert lines[2] == f"opset {found.opset}"


def test_weights_beside_the_file_are_counted(tmp_path):
    inputs = torch.rand(2, 10)
    model = SimpleNet(hidden=300)
    one = describe(export_onnx(model, inputs, tmp_path / "one.onnx"))
    two = describe(export_onnx(model, inputs, tmp_path / "two.onnx", external_data=True))
    assert one.parameters == two.parameters == sum(p.numel() for p in model.parameters())
    assert two.bytes == sum(file.stat().st_size for file in tmp_path.glob("two.onnx*"))


def test_a_fixed_batch_is_told_from_a_dynamic_one(tmp_path):
    path = export_onnx(
        SimpleNet(), torch.rand(2, 10), tmp_path / "m.onnx", dynamic_batch=False
    )
    assert describe(path).inputs == {"input": ("float32", (2, 10))}


def test_weights_that_an_old_file_lists_among_its_inputs_are_none(tmp_path):
    helper, path = onnx.helper, tmp_path / "m.onnx"
    x, w, y = (
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [2]) for name in "xwy"
    )
    weight = helper.make_tensor("w", onnx.TensorProto.FLOAT, [2], [1, 2])
    node = helper.make_node("Add", ["x", "w"], ["y"])
    onnx.save(
        helper.make_model(helper.make_graph([node], "g", [x, w], [y], [weight])), path
    )
    found = describe(path)
    assert list(found.inputs) == ["x"] and found.parameters == 2


def test_what_is_no_tensor_and_no_operator_of_onnx_itself_is_described(tmp_path):
    # As converters from other libraries than PyTorch write it.
    helper, path = onnx.helper, tmp_path / "m.onnx"
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", 2])
    y = helper.make_tensor_sequence_value_info("y", onnx.TensorProto.FLOAT, None)
    node = helper.make_node("Split", ["x"], ["y"], domain="com.example")
    graph = helper.make_graph([node], "graph", [x], [y])
    other, own = helper.make_opsetid("com.example", 3), helper.make_opsetid("ai.onnx", 17)
    onnx.save(helper.make_model(graph, opset_imports=[other, own]), path)
    assert describe(path).opset == 17
    onnx.save(helper.make_model(graph, opset_imports=[other]), path)
    found = describe(path)
    assert found.outputs == {"y": ("sequence", ())} and found.opset == 0
    assert found.inputs == {"x": ("float32", ("batch", 2))}


def test_weights_outside_the_folder_are_refused(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    model = SimpleNet(hidden=300)
    path = export_onnx(model, torch.rand(2, 10), folder / "m.onnx", external_data=True)
    graph = onnx.load(path, load_external_data=False)
    for tensor in graph.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = "../secret.data"
    path.write_bytes(graph.SerializeToString())
    (tmp_path / "secret.data").write_bytes(bytes(100_000))
    with pytest.raises(ValueError, match="not a plain file in its own folder"):
        describe(path)
