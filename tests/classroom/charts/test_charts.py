"""Charts: well-formed, named in words, inside their paper, and never by colour alone."""

import math
import re
import xml.etree.ElementTree as ElementTree
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from helpers.classroom import charts
from helpers.classroom.charts import Chart, drawing
from helpers.classroom.charts.axes import Axes
from helpers.classroom.data.digits import load_digits

# A busy machine is not a fault, so no example has a deadline.
settings.register_profile("patient", settings(), deadline=None)
settings.load_profile("patient")

NASTY = """<b> & "quotes" 'n' more"""
AXES = {"x_label": NASTY, "y_label": NASTY, "text": NASTY}
EVERY_KIND = {
    "bars": charts.bars(NASTY, [NASTY], {NASTY: [1], "b": [2]}, unit=NASTY, text=NASTY),
    "lines": charts.lines(NASTY, {NASTY: [(0, 1), (1, 3)]}, **AXES),
    "scatter": charts.scatter(NASTY, {NASTY: [(0, 1), (1, 3)]}, **AXES),
    "image_strip": charts.image_strip(NASTY, [[[0, 1]]], [NASTY], text=NASTY),
    "rounding": charts.rounding(NASTY, [0.2, 0.9], [0, 1], [-1, 0, 1], text=NASTY),
}
each_kind = pytest.mark.parametrize("chart", EVERY_KIND.values(), ids=EVERY_KIND)


def parse(chart: Chart) -> ElementTree.Element:
    return ElementTree.fromstring(chart.svg)


def named(root, *names) -> list[ElementTree.Element]:
    return [node for node in root.iter() if node.tag.rpartition("}")[2] in names]


def words(chart: Chart) -> list[str]:
    return [node.text for node in named(parse(chart), "text")]


def places(root) -> list[tuple[float, float]]:
    """Every corner, centre and anchor in the picture, as absolute coordinates."""
    found = []
    for node in root:
        get = lambda *names, node=node: tuple(float(node.get(n, 0)) for n in names)  # noqa: E731
        match node.tag.rpartition("}")[2]:
            case "rect":
                x, y, width, height = get("x", "y", "width", "height")
                found += [(x, y), (x + width, y + height)]
            case "circle":
                x, y, radius = get("cx", "cy", "r")
                found += [(x - radius, y - radius), (x + radius, y + radius)]
            case "text":
                found.append(get("x", "y"))
            case "polyline":
                pairs = [pair.split(",") for pair in node.get("points").split()]
                found += [(float(x), float(y)) for x, y in pairs]
            case "path":
                found += path_places(node.get("d"))
            case "style":
                continue
            case "g":
                turned = re.fullmatch(
                    r"translate\((\S+) (\S+)\) rotate\(-90\)", node.get("transform")
                )
                left, top = map(float, turned.groups())
                found += [(left + y, top - x) for x, y in places(node)]
            case other:
                raise AssertionError(f"the test does not know <{other}>")
    return found


def path_places(d: str) -> list[tuple[float, float]]:
    x = y = 0.0
    found = []
    for command, rest in re.findall(r"([A-Za-z])([^A-Za-z]*)", d):
        numbers = [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?", rest)]
        match command:
            case "M":
                x, y = numbers
            case "m" | "l":
                x, y = x + numbers[0], y + numbers[1]
            case "H":
                (x,) = numbers
            case "V":
                (y,) = numbers
            case "h":
                x += numbers[0]
            case "v":
                y += numbers[0]
            case "z":
                continue
            case other:
                raise AssertionError(f"the test does not know the path command {other}")
        found.append((x, y))
    return found


def assert_inside(chart: Chart) -> None:
    root = parse(chart)
    left, top, width, height = map(float, root.get("viewBox").split())
    assert (left, top) == (0, 0)
    assert (root.get("width"), root.get("height")) == tuple(root.get("viewBox").split()[2:])
    for x, y in places(root):
        assert 0 <= x <= width and 0 <= y <= height, (x, y)
    assert not re.search("nan|inf", chart.svg.replace(chart.text, ""), re.IGNORECASE)


def text_boxes(chart: Chart) -> dict[str, tuple[float, float, float, float]]:
    """Left, top, right, bottom of each level text, in DejaVu Sans.

    It is the widest of the fonts that the charts name, and comes with matplotlib.
    """
    root, boxes = parse(chart), {}
    turned = [node for group in named(root, "g") for node in named(group, "text")]
    for node in named(root, "text"):
        if node in turned:
            continue
        x, y, size = (float(node.get(name)) for name in ("x", "y", "font-size"))
        path = TextPath((0, 0), node.text, size=size, prop=FontProperties("DejaVu Sans"))
        wide = path.get_extents().x1
        left = x - {"start": 0, "middle": wide / 2, "end": wide}[node.get("text-anchor")]
        boxes[f"{node.text} at {x}, {y}"] = (
            left,
            y - 0.8 * size,
            left + wide,
            y + 0.2 * size,
        )
    return boxes


def assert_texts_apart(chart: Chart) -> None:
    """Every text lies on the paper, and no two are less than 3 units apart in a line."""
    boxes, paper = text_boxes(chart), parse(chart)
    for name, (left, top, right, bottom) in boxes.items():
        assert left >= 0 and right <= float(paper.get("width")), name
        assert top >= 0 and bottom <= float(paper.get("height")), name
    for one, other in combinations(boxes, 2):
        a, b = boxes[one], boxes[other]
        beside = a[2] + 3 <= b[0] or b[2] + 3 <= a[0]
        assert beside or a[3] <= b[1] or b[3] <= a[1], (one, other)


# The picture and its words


@each_kind
def test_the_picture_is_well_formed_and_has_its_words_as_name(chart):
    root = parse(chart)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.get("role") == "img"
    assert root.get("aria-label") == chart.text == NASTY
    assert NASTY in words(chart)
    assert_inside(chart)


@each_kind
def test_a_sign_of_markup_in_a_text_stays_text(chart):
    assert "<b>" not in chart.svg and '"quotes"' not in chart.svg
    assert "&lt;b&gt; &amp; &quot;quotes&quot;" in chart.svg


@each_kind
def test_every_text_is_ink_and_stands_on_paper(chart):
    root = parse(chart)
    paper = root[1]  # the style comes first
    assert paper.get("class") == "paper"
    assert paper.get("width") == root.get("width")
    assert {node.get("class") for node in named(root, "text")} == {"ink"}


def test_bars_make_their_own_words():
    one = charts.bars("Sizes", ["a", "b"], {"size": [1.25, 2]}, unit="MB", digits=1)
    assert one.text == "Sizes. a: 1.2 MB; b: 2.0 MB."
    two = charts.bars("Sizes", ["a", "b"], {"old": [3, 4], "new": [1, 0]})
    assert two.text == "Sizes. a: old 3, new 1; b: old 4, new 0."
    assert [word for word in words(two) if word.isdigit()] == ["3", "1", "4", "0"]


def test_in_a_notebook_the_picture_comes_first_and_then_its_words(monkeypatch, capsys):
    def display(data, raw):
        print(f"displayed, raw={raw}: {data}")

    monkeypatch.setattr(drawing, "display", display)
    Chart("<svg/>", "What it shows.")._ipython_display_()
    bundle = {"image/svg+xml": "<svg/>", "text/plain": "[picture]"}
    assert capsys.readouterr().out == f"displayed, raw=True: {bundle}\nWhat it shows.\n"


# Sizes and places


def test_bars_are_as_long_as_their_values():
    chart = charts.bars("t", ["a", "b", "c"], {"s": [1, 2, 4]})
    lengths = [float(bar.get("width")) for bar in named(parse(chart), "rect")[1:]]
    assert lengths == pytest.approx([max(lengths) / 4, max(lengths) / 2, max(lengths)])


def test_bars_of_two_pictures_have_one_scale_where_the_largest_is_given():
    def lengths(*values, **more):
        chart = charts.bars("t", ["a", "b"], {"s": values}, **more)
        return [float(bar.get("width")) for bar in named(parse(chart), "rect")[1:]]

    full = max(lengths(0, 8))
    assert lengths(4, 2, largest=8) == pytest.approx([full / 2, full / 4])
    assert lengths(8, 2, largest=8) == pytest.approx([full, full / 4])
    assert lengths(0, 0, largest=0) == lengths(0, 0)


def test_a_line_goes_through_its_points_and_up_is_more():
    chart = charts.lines("t", {"s": [(0, 0), (1, 10), (3, 20)]}, **AXES)
    (x0, y0), (x1, y1), (x2, y2) = places(
        [node for node in parse(chart) if node.tag.endswith("polyline")]
    )
    assert x0 < x1 < x2 and y0 > y1 > y2
    assert (x1 - x0) / (x2 - x0) == pytest.approx(1 / 3, abs=0.001)
    assert (y0 - y1) / (y0 - y2) == pytest.approx(1 / 2, abs=0.001)


def test_ticks_are_round_and_at_their_place():
    for low, high in [(0, 1), (-3, 17), (1e-13, 2e-13), (999, 1001), (1e20, 3e20)]:
        axes = Axes({"": [(low, low), (high, high)]}, "", "", right=20)
        ticks = [part for part in axes.parts if 'text-anchor="middle"' in part][:-2]
        assert 3 <= len(ticks) <= 11
        shown = []
        for tick in ticks:
            x, value = re.search(r'x="(.+?)".*>(.+)</text>', tick).groups()
            assert axes.x(float(value)) == pytest.approx(float(x), abs=0.06)
            shown.append(value)
        assert len(set(shown)) == len(shown)
        assert max(map(len, shown)) <= 9


def test_on_a_logarithmic_axis_equal_steps_are_equal_factors():
    axes = Axes({"": [(0.3, 0), (20, 1)]}, "", "", right=20, log=True)
    ticks = [part for part in axes.parts if 'text-anchor="middle"' in part][:-2]
    found = [re.search(r'x="(.+?)".*>(.+)</text>', tick).groups() for tick in ticks]
    assert [text for _, text in found] == ["0.5", "1", "2", "4", "8", "16"]
    for x, text in found:
        assert axes.x(float(text)) == pytest.approx(float(x), abs=0.06)
    assert axes.x(2) - axes.x(1) == pytest.approx(axes.x(16) - axes.x(8))
    with pytest.raises(ValueError, match="0 has no place on a logarithmic axis"):
        Axes({"": [(0, 0), (20, 1)]}, "", "", right=20, log=True)


def test_axes_of_almost_equal_values_are_widened_until_ticks_differ():
    for value in (0, 1e-310, 5, 1e6, 1e16, 9e299):
        chart = charts.scatter("t", {"s": [(value, 1), (value * (1 + 1e-9), 2)]}, **AXES)
        assert_inside(chart)
        numbers = [word for word in words(chart) if re.match(r"-?\d", word)]
        assert len(set(numbers)) >= 2 + 2


def test_ten_digits_take_less_than_20_kB():
    images = load_digits().test_images[:10, 0].tolist()
    chart = charts.image_strip("Digits", images, list("0123456789"), text="Ten digits.")
    assert len(chart.svg.encode()) < 20_000
    assert_inside(chart)


def test_a_strip_shows_0_as_paper_and_1_as_ink_and_clips_the_rest():
    chart = charts.image_strip("t", [[[0, 1], [-2, 0.5]]], ["a"], text="t")
    fills = {node.get("fill"): node.get("d") for node in named(parse(chart), "path")}
    assert sorted(fills) == ["#000000", "#808080", "#ffffff"]
    (left, top), *_ = path_places(fills["#ffffff"])  # the first pixel of the first row
    assert path_places(fills["#000000"])[0] == (left + 24, top)
    assert fills["#ffffff"].count("M") == 2 and fills["#808080"].count("M") == 1


def test_rounding_shows_each_value_its_level_and_the_error_between():
    chart = charts.rounding("t", [0.2, -0.9], [0.0, -1.0], [-1.0, 0.0, 1.0], text="t")
    root = parse(chart)
    rings = [node for node in named(root, "circle") if node.get("fill") == "none"][1:]
    dots = [node for node in named(root, "circle") if node.get("fill") != "none"][1:]
    errors = named(root, "polyline")
    for ring, dot, error in zip(rings, dots, errors, strict=True):
        ends = [f"{node.get('cx')},{node.get('cy')}" for node in (ring, dot)]
        assert error.get("points").split() == ends
    grid = [d for d in named(root, "path") if d.get("stroke") == "#bbb"]
    assert grid[0].get("d").count("M") == 3


def rounded_to(count: int, values=(1.0, -0.4), rounded=(1.0, -0.3)) -> Chart:
    levels = [2 * k / (count - 1) - 1 for k in range(count)]
    return charts.rounding("t", values, rounded, levels, text="t")


def test_levels_that_would_be_a_grey_block_are_counted_instead():
    for count, note in ((63, []), (64, ["64 levels: too close to draw"])):
        chart = rounded_to(count)
        [grid] = [d for d in named(parse(chart), "path") if d.get("stroke") == "#bbb"]
        assert grid.get("d").count("M") == (0 if note else count)
        assert [word for word in words(chart) if "levels" in word] == note
        assert_texts_apart(chart)
    # In the row of the legend, and flush with the plot.
    texts = {node.text: node for node in named(parse(rounded_to(64)), "text")}
    note, legend = texts["64 levels: too close to draw"], texts["rounded"]
    assert (note.get("y"), note.get("text-anchor")) == (legend.get("y"), "end")
    assert float(note.get("x")) == drawing.WIDTH - 20


def test_levels_out_of_sight_do_not_count_as_too_close():
    chart = charts.rounding("t", [0.1], [0.0], [k / 10 for k in range(-99, 100)], text="t")
    [grid] = [d for d in named(parse(chart), "path") if d.get("stroke") == "#bbb"]
    assert grid.get("d").count("M") == 3


def pointer(chart: Chart) -> tuple[float, float, float]:
    """The x, the start and the point of the arrow."""
    [arrow] = [d for d in named(parse(chart), "path") if d.get("class") == "ink"]
    corners = path_places(arrow.get("d"))
    xs, ys = zip(*corners, strict=True)
    return sum((min(xs), max(xs))) / 2, ys[0], corners[4][1]


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("worst", [0, 4, 23])
def test_an_arrow_points_at_the_largest_error_from_outside(worst, sign):
    values = [sign * (1.0 if k == worst else 0.5) for k in range(24)]
    rounded = [
        0.99 * value if k != worst else 0.9 * value for k, value in enumerate(values)
    ]
    assert charts.largest_error(values, rounded) == worst
    chart = charts.rounding("t", values, rounded, [0.0], text="t")
    assert_inside(chart)
    rings = [n for n in named(parse(chart), "circle") if n.get("fill") == "none"][1:]
    x, start, point = pointer(chart)
    ring_x, ring_y = (float(rings[worst].get(name)) for name in ("cx", "cy"))
    assert x == pytest.approx(ring_x, abs=0.1)
    # The point stops short of the ring, of radius 4.6, on the side where nothing stands.
    assert 4.6 < sign * (ring_y - point) < 8
    assert sign * (point - start) >= 8, "too short for an arrow"
    # It starts at its words, which lie beyond every mark and inside the plot.
    assert_texts_apart(chart)
    [(left, top, right, bottom)] = [
        box for text, box in text_boxes(chart).items() if text.startswith("largest error")
    ]
    assert 64 <= left <= x <= right <= drawing.WIDTH - 20
    assert top >= 54 and bottom <= 340 - 44
    assert (0 < start - bottom < 5) if sign > 0 else (0 < top - start < 5)
    assert all(sign * (float(ring.get("cy")) - start) > 4.6 for ring in rings)


def test_where_every_value_is_a_level_there_is_no_largest_error_to_show():
    assert "largest error" not in words(rounded_to(3, [1.0, -1.0], [1.0, -1.0]))


finite = st.floats(-9e299, 9e299)
points = st.lists(st.tuples(finite, finite), min_size=1, max_size=8)


@given(st.lists(points, min_size=1, max_size=4))
@settings(max_examples=60)
def test_lines_and_points_stay_inside_for_any_finite_data(many):
    series = dict(zip("abcd", many, strict=False))
    for draw in (charts.lines, charts.scatter):
        assert_inside(draw("t", series, x_label="x", y_label="y", text="t"))


@given(
    st.lists(st.lists(st.floats(0, 1e6), min_size=2, max_size=2), min_size=1, max_size=3)
)
@settings(max_examples=60)
def test_bars_stay_inside(columns):
    series = dict(zip("abc", columns, strict=False))
    assert_inside(charts.bars("t", ["one", "two"], series, unit="kB"))


@given(st.lists(st.tuples(finite, finite), min_size=1, max_size=30))
@settings(max_examples=60)
def test_roundings_stay_inside(pairs):
    values, rounded = zip(*pairs, strict=True)
    assert_inside(charts.rounding("t", values, rounded, [-1, 0, 1, *rounded], text="t"))


@given(st.integers(1, 25), st.integers(1, 16), st.integers(1, 16))
@settings(max_examples=30)
def test_strips_stay_inside(count, rows, columns):
    size = max(rows, columns)
    image = [[0.5] * size] * size
    assert_inside(charts.image_strip("t", [image] * count, ["c"] * count, text="t"))


# Never by colour alone


def shapes(nodes) -> list[str]:
    """How the nodes look to somebody who sees no colour, and wherever they stand."""
    looks = []
    for node in nodes:
        plain = ElementTree.tostring(node, encoding="unicode")
        plain = re.sub(r"#[0-9a-f]{6}", "a colour", plain)
        plain = re.sub(r' (x|y|cx|cy|width|height|points)="[^"]*"', "", plain)
        looks.append(re.sub(r'd="M[-\d.]+ [-\d.]+', 'd="', plain))
    return looks


def assert_all_differ(looks):
    assert len(set(looks)) == len(looks), looks


def test_bars_differ_in_their_pattern_and_the_legend_shows_it():
    chart = charts.bars("t", ["a"], {"r": [1], "s": [1], "t": [1]})
    rects = named(parse(chart), "rect")[1:]
    legend, bars = shapes(rects[:3]), shapes(rects[3:])
    assert_all_differ(bars)
    assert legend == bars


def test_lines_differ_in_their_dashes_and_their_marks_and_carry_their_names():
    series = {name: [(0, k), (1, k)] for k, name in enumerate("pqrs")}
    chart = charts.lines("t", series, x_label="x", y_label="y", text="t")
    assert_all_differ(shapes(named(parse(chart), "polyline")))
    marks = [n for n in named(parse(chart), "path", "circle") if n.get("class") != "line"]
    assert_all_differ(shapes(marks[::2]))
    assert sorted(words(chart)[-4:]) == list("pqrs")


def test_points_differ_in_their_shape_and_the_legend_shows_it():
    series = {name: [(k, k)] for k, name in enumerate("pqrst")}
    chart = charts.scatter("t", series, x_label="x", y_label="y", text="t")
    marks = [n for n in named(parse(chart), "path", "circle") if n.get("class") != "line"]
    legend, drawn = shapes(marks[:5]), shapes(marks[5:])
    assert_all_differ(drawn)
    assert legend == drawn


def test_series_that_share_a_colour_do_not_share_a_shape():
    for one, other in combinations(range(5), 2):
        nodes = [ElementTree.fromstring(drawing.mark(0, 0, k)) for k in (one, other)]
        assert_all_differ(shapes(nodes))


# What cannot be drawn

TOO_MANY = {name: [(0, 0)] for name in "abcdef"}
NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    "draw, says",
    [
        (
            lambda: charts.bars("t", ["a", "b"], {"s": [1]}),
            "series 's' has 1 values for 2 labels",
        ),
        (
            lambda: charts.bars("t", ["a"], {"s": [-1]}),
            "series 's' has a value below 0; bars start at 0",
        ),
        (
            lambda: charts.bars("t", ["a", "b"], {"s": [1, 5]}, largest=4),
            "series 's' has the value 5; expected at most `largest`, which is 4",
        ),
        (
            lambda: charts.bars("t", [], {"s": []}),
            "there is nothing to draw: expected a label and a series at least",
        ),
        (
            lambda: charts.bars("t", ["a"], {}),
            "there is nothing to draw: expected a label and a series at least",
        ),
        (
            lambda: charts.bars("t", ["a"], {name: [1] for name in "abcd"}),
            "4 series are too many to tell apart, at most 3",
        ),
        (
            lambda: charts.lines("t", dict(list(TOO_MANY.items())[:5]), **AXES),
            "5 series are too many to tell apart, at most 4",
        ),
        (
            lambda: charts.scatter("t", TOO_MANY, **AXES),
            "6 series are too many to tell apart, at most 5",
        ),
        (lambda: charts.lines("t", {}, **AXES), "there is no point to draw"),
        (
            lambda: charts.lines("t", {"a": [(1, 1)], "b": []}, **AXES),
            "series 'b' has no points",
        ),
        (lambda: charts.scatter("t", {"a": []}, **AXES), "there is no point to draw"),
        (
            lambda: charts.image_strip("t", [[[0]]], [], text="t"),
            "got 1 images and 0 captions",
        ),
        (
            lambda: charts.rounding("t", [1], [], [0], text="t"),
            "got 1 values and 0 rounded ones; "
            "expected the same number of both, and at least one",
        ),
        (
            lambda: charts.rounding("t", [], [], [0], text="t"),
            "got 0 values and 0 rounded ones; "
            "expected the same number of both, and at least one",
        ),
    ],
)
def test_the_error_says_what_is_wrong(draw, says):
    with pytest.raises(ValueError) as caught:
        draw()
    assert str(caught.value) == says


@pytest.mark.parametrize("value", [NAN, INF, -INF, 1e301])
@pytest.mark.parametrize(
    "draw",
    [
        lambda value: charts.bars("t", ["a"], {"s": [value]}),
        lambda value: charts.bars("t", ["a"], {"s": [0]}, largest=value),
        lambda value: charts.lines("t", {"s": [(0, value)]}, **AXES),
        lambda value: charts.scatter("t", {"s": [(value, 0)]}, **AXES),
        lambda value: charts.image_strip("t", [[[value]]], ["a"], text="t"),
        lambda value: charts.rounding("t", [value], [0], [0], text="t"),
        lambda value: charts.rounding("t", [0], [value], [0], text="t"),
    ],
)
def test_what_is_not_finite_is_named_and_never_drawn(draw, value):
    with pytest.raises(ValueError) as caught:
        draw(value)
    assert str(caught.value) == f"{value} cannot be drawn; expected a number up to 1e300"


def test_names_of_lines_that_end_together_do_not_cover_each_other():
    close = {
        "one": [(0, 0), (1, 5.0)],
        "two": [(0, 1), (1, 5.0)],
        "three": [(0, 2), (1, 4.9)],
    }
    chart = charts.lines("Close", close, x_label="x", y_label="y", text="three lines")
    texts = ElementTree.fromstring(chart.svg).iter("{http://www.w3.org/2000/svg}text")
    at = sorted(float(text.get("y")) for text in texts if text.text in close)
    assert len(at) == 3
    assert min(b - a for a, b in pairwise(at)) >= 15.9


# One picture of several.


def test_a_stack_is_as_high_as_its_charts_and_moves_each_below_the_one_before():
    above = charts.bars("a", ["x"], {"s": [1.0]})
    below = charts.scatter("b", {"s": [(0, 1)]}, **AXES)
    both = charts.stack([above, below, above], "Three.")
    assert both.height == 2 * above.height + below.height
    root = parse(both)
    assert (root.get("height"), root.get("aria-label")) == (f"{both.height:g}", "Three.")
    _, *groups = root  # the style comes first
    moved = [group.get("transform") for group in groups]
    tops = (0, above.height, above.height + below.height)
    assert moved == [f"translate(0 {top:g})" for top in tops]
    for group, chart in zip(groups, (above, below, above), strict=True):
        alone = [ElementTree.tostring(part) for part in list(parse(chart))[1:]]
        assert [ElementTree.tostring(part) for part in group] == alone


def test_there_is_no_stack_of_nothing():
    with pytest.raises(ValueError, match="there is no chart to stack"):
        charts.stack([], "None.")


# The same in sheets.


def drawn(root) -> list[tuple[str | None, ...]]:
    """Every path and word with its place, in their order."""
    parts = named(root, "path", "text")
    return [(part.text, part.get("d"), part.get("x"), part.get("y")) for part in parts]


@pytest.mark.parametrize("count", [0, 1, 5, 6, 10, 13])
def test_a_strip_in_sheets_shows_each_part_once_inside_its_window(count):
    chart = charts.image_strip("t", [[[0, 1], [1, 0]]] * count, ["c"] * count, text="t")
    cut = ElementTree.fromstring(f"<div>{chart.sheets}</div>")
    assert drawn(cut) == drawn(parse(chart))
    sheets = named(cut, "svg")
    # The title, and two halves of each row; an empty strip keeps a row's room.
    assert len(sheets) == 1 + 2 * max(1, math.ceil(count / 10))
    for sheet in sheets:
        left, top, wide, high = map(float, sheet.get("viewBox").split())
        assert f"--left:{left:g};--wide:{wide:g}" in sheet.get("style")
        groups = named(sheet, "g")
        for x, y in places(groups[0] if groups else sheet):
            assert left <= x <= left + wide and top <= y <= top + high
    assert top + high == chart.height


def test_a_stack_with_sheets_has_all_its_charts_among_them_and_others_have_none():
    whole = charts.bars("a", ["x"], {"s": [1.0]})
    strip = charts.image_strip("t", [[[0, 1]]], ["c"], text="t")
    both = charts.stack([whole, strip], "Two.")
    assert both.sheets == f"{whole.svg}\n{strip.sheets}"
    assert charts.stack([whole, whole], "Two.").sheets == whole.sheets == ""
