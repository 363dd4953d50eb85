"""Draw the graph of an ONNX file: a box for each operator, in the order of the file.

The boxes run to and fro in rows, so that neighbours stay neighbours. An arrow joins a box
to the next one if that uses its result. What a box takes from further back is written into
it, by number, so that a branching graph needs no lines that cross each other.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import onnx

from helpers.classroom.charts import Chart
from helpers.classroom.charts.drawing import COLOURS, WIDTH, label, number, picture
from helpers.onnx_export import read_onnx

COLUMNS, MOST_BOXES = 4, 120
BOX_WIDTH, BOX_HEIGHT, GAP = 128, 56, 24
LEFT, TOP = (WIDTH - COLUMNS * BOX_WIDTH - (COLUMNS - 1) * GAP) / 2, 38


@dataclass(frozen=True)
class Box:
    """An input, an operator or an output.

    Attributes:
        name: "input", the operator such as "Conv", or "output".
        detail: shape of an input or output, or of an operator's largest weight; its
            values, where they are four at most; or how many graphs it holds.
        sources: numbers of the boxes whose results it uses.
    """

    name: str
    detail: str
    sources: tuple[int, ...]


def boxes(path: str | os.PathLike) -> list[Box]:
    """Return the boxes of a file's graph: inputs, operators, outputs, each in file order.

    Raises:
        FileNotFoundError, ValueError: as `read_onnx`.
    """
    graph = read_onnx(path).graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    found, made_by = [], {}
    for place in graph.input:
        if place.name not in weights:
            made_by[place.name] = len(found)
            found.append(Box("input", _shape(place), ()))
    for node in graph.node:
        sources = sorted({made_by[name] for name in _used(node) if name in made_by})
        # The name "" stands for an output or input that is left out.
        made_by |= dict.fromkeys(filter(None, node.output), len(found))
        found.append(Box(node.op_type, _detail(node, weights), tuple(sources)))
    for place in graph.output:
        sources = [made_by[place.name]] if place.name in made_by else []  # else a weight
        found.append(Box("output", _shape(place), tuple(sources)))
    return found


def graph_picture(path: str | os.PathLike, title: str = "") -> Chart:
    """Draw the graph of an ONNX file.

    Args:
        path: the file; its graph has at most 120 boxes.
        title: stands above the picture; the file's name where empty.

    Raises:
        FileNotFoundError, ValueError: as `read_onnx`; or the graph is too large.
    """
    found = boxes(path)
    if len(found) > MOST_BOXES:
        raise ValueError(
            f"{path} has {len(found)} operators, inputs and outputs; a picture holds "
            f"{MOST_BOXES} of them. Open the file in Netron, where one can zoom."
        )
    parts = []
    for k, box in enumerate(found):
        parts += _drawn(k, box)
        if k + 1 < len(found) and k in found[k + 1].sources:
            parts.append(_arrow(_place(k), _place(k + 1)))
    rows = -(-len(found) // COLUMNS)
    height = TOP + rows * (BOX_HEIGHT + GAP)
    name = title or Path(path).name
    return picture(name, height, parts, in_words(found))


def in_words(found: list[Box]) -> str:
    """Say what the picture shows: every box by number, and what it takes from afar."""
    listed = []
    for k, box in enumerate(found):
        further = [source for source in box.sources if source != k - 1]
        words = f"{k} {box.name}" + (f" {box.detail}" if box.detail else "")
        listed.append(words + (f" (from {_listed(further)})" if further else ""))
    return f"A graph of {len(found)} boxes: {', '.join(listed)}."


def _used(node: onnx.NodeProto) -> list[str]:
    """Return the names that a node takes; the graphs inside it take some by themselves."""
    inside = [attribute.g for attribute in node.attribute if attribute.HasField("g")]
    return [
        *node.input,
        *(name for graph in inside for n in graph.node for name in _used(n)),
    ]


def _shape(place: onnx.ValueInfoProto) -> str:
    axes = place.type.tensor_type.shape.dim
    return " × ".join(axis.dim_param or str(axis.dim_value or "?") for axis in axes)


def _detail(node: onnx.NodeProto, weights: dict[str, onnx.TensorProto]) -> str:
    own = [weights[name] for name in node.input if name in weights]
    inside = sum(
        attribute.type == onnx.AttributeProto.GRAPH for attribute in node.attribute
    )
    if inside:
        return f"{inside} graph{'s' if inside > 1 else ''} inside"
    if not own:
        return ""
    largest = max(
        (onnx.numpy_helper.to_array(tensor) for tensor in own), key=lambda a: a.size
    )
    if largest.ndim == 0:
        return f"{largest.item():g}"
    # A handful of numbers, such as the axes of a mean, say more than their shape.
    if largest.ndim == 1 and largest.size <= 4:
        return f"[{', '.join(f'{value:g}' for value in largest)}]"
    return " × ".join(map(str, largest.shape))


def _place(k: int) -> tuple[float, float]:
    """Return the upper left corner of box k; odd rows run from right to left."""
    row, column = divmod(k, COLUMNS)
    if row % 2:
        column = COLUMNS - 1 - column
    return LEFT + column * (BOX_WIDTH + GAP), TOP + row * (BOX_HEIGHT + GAP)


def _drawn(k: int, box: Box) -> list[str]:
    x, y = _place(k)
    # A solid edge for operators with weights, a dashed one for those without.
    at_end = box.name in ("input", "output")
    colour = COLOURS[1 if at_end else 0]
    dash = "none" if box.detail and not at_end else "4 3"
    size = f'width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="{20 if at_end else 4}"'
    middle = x + BOX_WIDTH / 2
    further = [source for source in box.sources if source != k - 1]
    lines = [(f"{k} {box.name}", 13 if len(box.name) < 15 else 9)]
    lines += [(box.detail, 11)] if box.detail else []
    lines += [(f"from {_listed(further)}", 11)] if further else []
    top = y + BOX_HEIGHT / 2 + 5 - 8 * (len(lines) - 1)
    return [
        f'<rect x="{number(x)}" y="{number(y)}" {size} fill="{colour}" fill-opacity="0.08" '
        f'stroke="{colour}" stroke-width="1.5" stroke-dasharray="{dash}"/>',
        *(
            label(middle, top + 16 * i, text, "middle", size)
            for i, (text, size) in enumerate(lines)
        ),
    ]


def _listed(numbers: list[int]) -> str:
    return " and ".join(map(str, numbers))


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    """Draw an arrow from a box to its neighbour: to the right, to the left or down."""
    (x0, y0), (x1, y1) = start, end
    if y0 != y1:
        turn, x, y = 90, x0 + BOX_WIDTH / 2, y0 + BOX_HEIGHT
    elif x1 > x0:
        turn, x, y = 0, x0 + BOX_WIDTH, y0 + BOX_HEIGHT / 2
    else:
        turn, x, y = 180, x0, y0 + BOX_HEIGHT / 2
    shape = f"M3 -0.6H{GAP - 9}v-3.4l7 4l-7 4v-3.4H3z"
    place = f"translate({number(x)} {number(y)}) rotate({turn})"
    return f'<path class="ink" fill="#222" transform="{place}" d="{shape}"/>'
