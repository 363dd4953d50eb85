"""The pieces of SVG that the charts are made of: marks, bars, labels; and the paper.

Colours are fixed mid-tones, readable on white and on near-black, on a paper of their
own, so a picture can stand on any page. The classes `paper`, `ink` and `line` follow
JupyterLab's theme: inside the live panel by panel.css, in a static picture by DARK.
"""

from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, field, replace
from html import escape

from IPython.display import display

from helpers.classroom.charts.asked import Asked

# Fits a notebook in a window 800 wide; JupyterLab does not shrink an SVG output.
WIDTH = 600
# Contrast at least 3:1 with white, #111 and #212121, the papers of JupyterLab's themes
# (WCAG 2.2, success criterion 1.4.11), and apart for colour-blind eyes: see the tests.
COLOURS = ("#2f6fb7", "#c96c20", "#2ba37f", "#a584d2", "#c96c20")
# An image takes over the colour scheme of the page around it, and JupyterLab's dark theme
# has a dark one. `svg:root` is there in an image only: in a page, this changes nothing.
DARK = (
    "<style>@media (prefers-color-scheme: dark) { svg:root .paper { fill: #111 } "
    "svg:root .ink { fill: #e6e6e6 } svg:root .line { stroke: #888 } }</style>"
)
DASHES = ("none", "7 4", "2 3", "10 3 2 3")
# From so many on, lines side by side would be a grey block.
TOO_MANY_LINES = 64
FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"


def require_finite(values: Iterable[float]) -> None:
    """Refuse values that have no place on paper.

    Raises:
        ValueError: one is NaN, infinite, or beyond 1e300, where ranges overflow.
    """
    for value in values:
        if not abs(value) <= 1e300:
            raise ValueError(f"{value} cannot be drawn; expected a number up to 1e300")


def require_few(series: Sized, most: int) -> None:
    """Refuse more series than shapes, patterns and colours can tell apart.

    Raises:
        ValueError: there are more than `most`.
    """
    if len(series) > most:
        raise ValueError(f"{len(series)} series are too many to tell apart, at most {most}")


def number(value: float) -> str:
    """Write a coordinate with one decimal at most; finer ones only bloat the file."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def label(x: float, y: float, text: str, anchor: str = "start", size: int = 13) -> str:
    """Write text; the anchor is start, middle or end."""
    return (
        f'<text class="ink" x="{number(x)}" y="{number(y)}" fill="#222" '
        f'font-size="{size}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def bar(x: float, y: float, width: float, height: float, series: int) -> str:
    """Draw a bar: solid for series 0, pale with a dashed edge for 1, hollow for 2."""
    colour = COLOURS[series]
    style = (
        f'fill="{colour}"',
        f'fill="{colour}" fill-opacity="0.25" stroke="{colour}" stroke-dasharray="4 2"',
        f'fill="none" stroke="{colour}" stroke-width="2"',
    )[series]
    size = f'width="{number(max(width, 1))}" height="{number(max(height, 0))}"'
    return f'<rect x="{number(x)}" y="{number(y)}" {size} {style}/>'


def mark(x: float, y: float, series: int) -> str:
    """Draw a point: disc, square, triangle, diamond for series 0 to 3, a ring for 4."""
    x_, y_, colour = number(x), number(y), COLOURS[series]
    if series in (0, 4):
        inside = f'fill="{colour}"' if series == 0 else "fill='none' stroke-width='1.6'"
        radius = 3.4 if series == 0 else 4.6
        return f'<circle cx="{x_}" cy="{y_}" r="{radius}" stroke="{colour}" {inside}/>'
    outline = {
        1: "m-3.5 -3.5h7v7h-7z",
        2: "m0 -4.5l4.5 8h-9z",
        3: "m0 -5l5 5l-5 5l-5 -5z",
    }[series]
    return f'<path d="M{x_} {y_}{outline}" fill="{colour}"/>'


def arrow(x: float, start: float, end: float) -> str:
    """Draw a vertical arrow with its point at `end`, in the colour of the text."""
    back = -6 if end > start else 6
    shaft = f"M{number(x - 0.6)} {number(start)}h1.2V{number(end + back)}"
    head = f"h3.4l-4 {-back}l-4 {back}h3.4z"
    return f'<path class="ink" fill="#222" d="{shaft}{head}"/>'


def polyline(
    points: Sequence[tuple[float, float]], series: int, dash: int | None = None
) -> str:
    """Draw a line through points, in the colour and the dash of its series."""
    path = " ".join(f"{number(x)},{number(y)}" for x, y in points)
    pattern = DASHES[series if dash is None else dash]
    return (
        f'<polyline points="{path}" fill="none" stroke="{COLOURS[series]}" '
        f'stroke-width="2" stroke-dasharray="{pattern}"/>'
    )


def legend(
    names: Sequence[str],
    y: float,
    shapes: Sequence[int] | None = None,
    *,
    bars: bool = False,
) -> list[str]:
    """Name the series in a row, each behind its mark, or behind a piece of its bar."""
    parts, x = [], 70.0
    for k, name in enumerate(names):
        if bars:
            parts.append(bar(x - 14, y - 6, 20, 12, k))
        else:
            parts.append(mark(x, y, shapes[k] if shapes else k))
        parts.append(label(x + 11, y + 4, name))
        x += 46 + 7.5 * len(name)
    return parts


@dataclass(frozen=True)
class Item:
    """One of several answers in words.

    Attributes:
        says: what it is about.
        meaning: what that means.
        code: lines that a panel offers to copy.
        link: (label, path) as in `Chart.links`; without a path, the label is plain text.
    """

    says: str
    meaning: str = ""
    code: str = ""
    link: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class Chart:
    """A picture and its words.

    Attributes:
        svg: a complete svg element, WIDTH units wide.
        text: what the picture shows, in a sentence or two, numbers included.
        brief: the result in a few words, which a panel shows and reads out at each move
            in place of a long text.
        links: (label, path) pairs that a panel offers below the picture; a path is
            relative to the project's root.
        table: rows of texts that a panel shows below the words, the headings first. A pair
            (text, colour) is shown as a label; such a table scrolls.
        items: answers in words, which a panel shows in place of a picture, or below it.
        code: a text that a panel offers to copy.
        faults: name of a control for text -> what is wrong with its text.
        guess: what a panel asks before it shows the answer.
        height: of the picture.
        parts: what stands inside the svg element.
        sheets: the picture as a panel shows it, where that is not `svg`: see sheets.py.
    """

    svg: str
    text: str
    links: tuple[tuple[str, str], ...] = ()
    table: tuple[tuple[str | tuple[str, str], ...], ...] = ()
    items: tuple[Item, ...] = ()
    code: str = ""
    brief: str = ""
    faults: Mapping[str, str] = field(default_factory=dict)
    guess: Asked | None = None
    height: float = 0.0
    parts: tuple[str, ...] = ()
    sheets: str = ""

    def _ipython_display_(self) -> None:
        # JupyterLab shows an SVG output as an image without a text alternative, so the
        # words stand below it, for everyone.
        display({"image/svg+xml": self.svg, "text/plain": "[picture]"}, raw=True)
        print(self.text)


def picture(title: str, height: float, parts: Sequence[str], text: str) -> Chart:
    """Put title and parts on a paper; `text` becomes the picture's accessible name."""
    paper = f'<rect class="paper" width="{WIDTH}" height="{number(height)}" fill="#fff"/>'
    return sheet(height, [paper, label(14, 22, title, size=15), *parts], text)


def sheet(height: float, parts: Sequence[str], text: str) -> Chart:
    """Make parts an svg element; `text` becomes its accessible name."""
    # The words stand on a line of their own: see `_shared` in panel.py.
    head = (
        '<svg xmlns="http://www.w3.org/2000/svg" '
        f'viewBox="0 0 {WIDTH} {number(height)}" '
        f'width="{WIDTH}" height="{number(height)}" font-family="{FONT}"\n'
        f'role="img" aria-label="{escape(text)}">'
    )
    svg = "\n".join([head, DARK, *parts, "</svg>"])
    return Chart(svg, text, height=height, parts=tuple(parts))


def stack(charts: Sequence[Chart], text: str) -> Chart:
    """Put charts under one another, as one picture with one sentence.

    Raises:
        ValueError: there is no chart.
    """
    if not charts:
        raise ValueError("there is no chart to stack")
    parts, top = [], 0.0
    for chart in charts:
        inside = "\n".join(chart.parts)
        parts.append(f'<g transform="translate(0 {number(top)})">\n{inside}\n</g>')
        top += chart.height
    cut = any(chart.sheets for chart in charts)
    sheets = "\n".join(chart.sheets or chart.svg for chart in charts) if cut else ""
    return replace(sheet(top, parts, text), sheets=sheets)
