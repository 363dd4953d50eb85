"""The nodes of a model: found by name, and quantized only once."""

import pytest

from helpers.onnx_export import read_onnx
from helpers.onnx_export.nodes import node_names
from tests.onnx_export.quantizing import quantize


def test_a_name_means_a_layer_a_block_of_layers_or_a_node(reference):
    model = read_onnx(reference)
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


@pytest.mark.parametrize("again", ["dynamic", "static", "4bit"])
@pytest.mark.parametrize("kind", ["dynamic", "static", "4bit"])
def test_a_quantized_file_is_not_quantized_again(kind, again, mlp, tmp_path):
    once = quantize(kind, mlp, tmp_path / "once.onnx")
    with pytest.raises(ValueError, match=r"once\.onnx is quantized already: it holds "):
        quantize(again, once, tmp_path / "twice.onnx")
