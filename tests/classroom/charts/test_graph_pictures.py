"""Pictures of ONNX graphs: every box and arrow, branches in words, inside the paper."""

import re
import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import onnx
import pytest
import torch
from onnx import helper

from helpers.classroom.charts.drawing import WIDTH
from helpers.classroom.charts.graph_pictures import (
    MOST_BOXES,
    boxes,
    graph_picture,
    in_words,
)
from helpers.classroom.data.networks import SimpleNet
from helpers.onnx_export import export_onnx

FLOAT = onnx.TensorProto.FLOAT


def graph_file(path, nodes, weights=(), outputs=("y",)):
    """Write a file with the input x, of shape (batch, 3), and these nodes."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", FLOAT, ["batch", 3])],
        [helper.make_tensor_value_info(name, FLOAT, ["batch", 3]) for name in outputs],
        list(weights),
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]), path)
    return path


def chain(path, length):
    names = ["x", *(f"r{k}" for k in range(length - 1)), "y"]
    pairs = pairwise(names)
    return graph_file(path, [helper.make_node("Relu", [a], [b]) for a, b in pairs])


def arrows(chart):
    return re.findall(r"translate\(([\d.]+) ([\d.]+)\) rotate\((\d+)\)", chart.svg)


def test_an_exported_model_is_a_chain_with_the_shapes_of_its_weights(tmp_path):
    path = export_onnx(SimpleNet(), torch.rand(2, 10), tmp_path / "simple.onnx")
    chart = graph_picture(path)
    assert chart.text == (
        "A graph of 5 boxes: 0 input batch × 10, 1 Gemm 64 × 10, 2 Relu, 3 Gemm 2 × 64, "
        "4 output batch × 2."
    )
    assert len(arrows(chart)) == 4
    root = ElementTree.fromstring(chart.svg)
    assert root.get("aria-label") == chart.text
    texts = [node.text for node in root.iter() if node.tag.endswith("text")]
    assert texts[0] == "simple.onnx"
    assert {"1 Gemm", "64 × 10", "2 Relu", "4 output", "batch × 2"} <= set(texts)
    # A solid edge for operators with weights; Relu and both ends have a dashed one.
    edges = [
        node.get("stroke-dasharray") for node in root.iter() if node.get("stroke-width")
    ]
    assert edges == ["4 3", "none", "4 3", "none", "4 3"]
    assert graph_picture(path, "A title").svg.count(">A title</text>") == 1


def test_rows_run_to_and_fro_so_that_every_arrow_leads_to_a_neighbour(tmp_path):
    chart = graph_picture(chain(tmp_path / "chain.onnx", 7))  # 9 boxes in rows of 4
    assert [turn for *_, turn in arrows(chart)] == ["0"] * 3 + ["90"] + ["180"] * 3 + ["90"]
    root = ElementTree.fromstring(chart.svg)
    rects = [node for node in root.iter() if node.tag.endswith("rect")]
    corners = [
        [float(node.get(a, 0)) for a in ("x", "y", "width", "height")] for node in rects
    ]
    paper, found = corners[0], corners[1:]
    assert len(found) == 9 and paper[2] == WIDTH
    assert all(x >= 0 and x + width <= WIDTH for x, _, width, _ in found)
    assert all(y + height <= paper[3] for _, y, _, height in found)
    assert len({(x, y) for x, y, *_ in found}) == 9
    # The last of a row stands above the first of the next one.
    assert found[3][0] == found[4][0] and found[7][0] == found[8][0]


def test_a_branch_says_in_its_box_where_its_numbers_come_from(tmp_path):
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Neg", ["x"], ["b"]),
        helper.make_node("Abs", ["b"], ["c"]),
        helper.make_node("Max", ["a", "c", "x"], ["y"]),
    ]
    path = graph_file(tmp_path / "branch.onnx", nodes)
    assert [box.sources for box in boxes(path)] == [(), (0,), (0,), (2,), (0, 1, 3), (4,)]
    chart = graph_picture(path)
    assert "2 Neg (from 0), 3 Abs, 4 Max (from 0 and 1), 5 output" in chart.text
    assert ">from 0 and 1</text>" in chart.svg
    # None leads from box 1 to box 2, which does not use it.
    assert len(arrows(chart)) == 4


def test_what_a_node_leaves_out_is_not_what_another_one_left_out(tmp_path):
    # Of an LSTM's three outputs and eight inputs many are left out: their name is "".
    inputs = ["x", "W", "R", "", "", ""]
    nodes = [
        helper.make_node("LSTM", inputs, ["", "a"], hidden_size=3),
        helper.make_node("LSTM", inputs, ["", "b"], hidden_size=3, direction="reverse"),
        helper.make_node("Add", ["a", "b"], ["y"]),
    ]
    path = graph_file(tmp_path / "both_ways.onnx", nodes)
    assert [box.sources for box in boxes(path)] == [(), (0,), (0,), (1, 2), (3,)]


def test_few_numbers_are_shown_themselves_and_graphs_inside_are_counted(tmp_path):
    weights = [
        helper.make_tensor("half", FLOAT, [], [0.5]),
        helper.make_tensor("three", FLOAT, [3], [1, 2, 3]),
    ]
    branch = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["z"])],
        "branch",
        [],
        [helper.make_tensor_value_info("z", FLOAT, None)],
    )
    nodes = [
        helper.make_node("Mul", ["x", "half"], ["a"]),
        helper.make_node("Add", ["a", "three"], ["b"]),
        helper.make_node("If", ["b"], ["c"], then_branch=branch, else_branch=branch),
        helper.make_node("Loop", ["", "", "c"], ["y"], body=branch),
    ]
    found = boxes(graph_file(tmp_path / "few.onnx", nodes, weights))
    assert [box.detail for box in found[1:3]] == ["0.5", "[1, 2, 3]"]
    assert [box.detail for box in found[3:5]] == ["2 graphs inside", "1 graph inside"]
    assert in_words(found).startswith("A graph of 6 boxes: 0 input batch × 3, 1 Mul 0.5, ")


def test_every_output_has_its_box(tmp_path):
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Neg", ["y"], ["z"])]
    path = graph_file(tmp_path / "two.onnx", nodes, outputs=("y", "z"))
    assert [box.sources for box in boxes(path)] == [(), (0,), (1,), (1,), (2,)]


def test_an_output_that_is_a_weight_comes_from_no_box(tmp_path):
    weight = helper.make_tensor("w", FLOAT, [3], [1, 2, 3])
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    path = graph_file(tmp_path / "weight.onnx", nodes, [weight], outputs=("y", "w"))
    assert [box.sources for box in boxes(path)] == [(), (0,), (1,), ()]


def test_what_the_graphs_inside_a_box_use_is_written_into_it(tmp_path):
    def branch(name, operator, taken):
        node = helper.make_node(operator, [taken], [name])
        out = helper.make_tensor_value_info(name, FLOAT, None)
        return helper.make_graph([node], name, [], [out])

    nodes = [
        helper.make_node("Neg", ["x"], ["a"]),
        helper.make_node("Abs", ["x"], ["b"]),
        helper.make_node("Not", ["b"], ["c"]),
        helper.make_node(
            "If",
            ["c"],
            ["y"],
            then_branch=branch("d", "Relu", "a"),
            else_branch=branch("e", "Relu", "b"),
        ),
    ]
    found = boxes(graph_file(tmp_path / "if.onnx", nodes))
    assert found[4].sources == (1, 2, 3)


def test_a_large_graph_is_left_to_netron(tmp_path):
    assert graph_picture(chain(tmp_path / "most.onnx", MOST_BOXES - 2)).svg
    path = chain(tmp_path / "large.onnx", MOST_BOXES - 1)
    with pytest.raises(ValueError) as caught:
        graph_picture(path)
    assert str(caught.value) == (
        f"{path} has 121 operators, inputs and outputs; a picture holds 120 of them. Open "
        "the file in Netron, where one can zoom."
    )


def test_a_file_that_is_none(tmp_path):
    with pytest.raises(FileNotFoundError, match="export the model first"):
        graph_picture(tmp_path / "none.onnx")
