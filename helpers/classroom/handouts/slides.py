"""Slides for reveal.js: which cells of a notebook go on which slide, and the HTML."""

import copy
from pathlib import Path

from nbconvert import SlidesExporter
from nbformat import NotebookNode

from helpers.classroom.exercises.claims import MIME
from helpers.classroom.handouts import panels
from helpers.classroom.handouts.pages import convert
from helpers.classroom.handouts.versions import is_solution

# nbconvert's slides load reveal.js through RequireJS, and formulas, from the network. Ours
# take the script beside them.
TEMPLATE = """
{%- extends 'reveal/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block jupyter_widgets -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_css -%}
<style>{{ resources.panel_style }}
:root { --jp-code-font-size: 15px; }
.reveal .slides section {
  max-height: calc(700px / var(--fit, 1)); overflow-y: auto; text-align: left;
}
/* What is too high gets smaller, see `fit`: large type most, pictures and panels least. */
.reveal .slides section, .reveal .slides table { zoom: var(--fit, 1); }
.reveal .slides .sls-still { zoom: calc(1 / var(--fit, 1)); }
.reveal .slides .sls-panel { zoom: calc(max(var(--fit, 1), 0.85) / var(--fit, 1)); }
.reveal .slides > section.stack { overflow: visible; }
.reveal .slides :is(h1, h2) { text-transform: none; }
.reveal .slides h1 { font-size: 1.6em; } .reveal .slides h2 { font-size: 1.3em; }
/* Out of the corner where the arrows are. */
.reveal .slide-number { left: 8px; right: auto; }
.reveal .sls-still figcaption { font-size: 0.7em; line-height: 1.3; }
.reveal .slides :is(td, th) { padding-block: 0.1em; }
.reveal .sls-panel pre { box-shadow: none; margin: 0; width: auto; }
.reveal .sls-panel [hidden] { display: none; }
.reveal .sls-panel p { margin: 0; }
</style>
{%- endblock -%}
{%- block footer_js -%}
{{ resources.panel_scripts }}
<script src="{{ resources.reveal.url_prefix }}/dist/reveal.js"></script>
<script>
const size = { width: 960, height: 700 };
// On a screen of 1280 x 720 no type gets below 11 px; what is still too high scrolls.
function fit({ currentSlide: slide }) {
  for (const size of [1, 0.95, 0.9, 0.85, 0.8, 0.75]) {
    slide.style.setProperty("--fit", size);
    if (slide.scrollHeight <= slide.clientHeight) return;
  }
}
Reveal.on("ready", fit);
Reveal.on("slidechanged", fit);
Reveal.initialize({ hash: true, slideNumber: "c/t", transition: "none", ...size });
</script>
{%- endblock -%}
"""
# What reveal.js needs beside the slides, in its package and in our copy of it.
REVEAL_FILES = (
    "LICENSE",
    "dist/reveal.js",
    "dist/reveal.css",
    "dist/theme/white.css",
    "dist/theme/fonts/source-sans-pro",
)


def slides(
    notebook: NotebookNode,
    name: str,
    folder: Path,
    held: dict[str, dict] | None = None,
) -> str:
    """Return the notebook's slides as HTML; REVEAL_FILES lie in `reveal` beside them.

    Args:
        notebook: one with its outputs.
        name: of the file, without its ending.
        folder: of the notebook, where the pictures in its text are found.
        held: the panels to make live, see `held_panels`.
    """
    exporter = SlidesExporter(
        raw_template=TEMPLATE,
        embed_images=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        reveal_url_prefix="reveal",
        reveal_theme="white",
    )
    return convert(exporter, with_slide_types(notebook), name, folder, held or {})


def with_slide_types(notebook: NotebookNode) -> NotebookNode:
    """Return a copy in which each cell says what it is on the slides.

    A heading starts a slide, further text one below it. With a text go the cells up to the
    next text, as far as they show something: a figure, a claim, a table or an error; where
    none does, the first that prints. They come at the next click, and *Read:* after them,
    so that the audience can guess. The set-up, stubs and solutions are left out.
    """
    notebook = copy.deepcopy(notebook)
    parts: list[list[NotebookNode]] = []
    for cell in notebook.cells:
        if not parts or (cell.cell_type == "markdown" and not _is_reading(cell)):
            parts.append([])
        parts[-1].append(cell)
    for text, *cells in parts:
        if text.source.startswith("## Set-up"):
            kinds = ["skip"] * (1 + len(cells))
        else:
            below_heading = text.source.startswith(("# ", "## "))
            kinds = ["slide" if below_heading else "subslide"]
            kinds += _kinds(cells, below_heading)
        for cell, kind in zip((text, *cells), kinds, strict=True):
            cell.metadata["slideshow"] = {"slide_type": kind}
    return notebook


def _kinds(cells: list[NotebookNode], below_heading: bool) -> list[str]:
    offered = [c for c in cells if c.cell_type == "code" and not _is_for_learners(c)]
    shown = [cell.id for cell in offered if _shows(cell)]
    shown = shown or [cell.id for cell in offered if cell.outputs][:1]
    # A short text shares its slide with the first; all others have one of their own.
    shares = shown[:1] if not below_heading else []
    return [
        "fragment"
        if _is_reading(cell) or cell.id in shares
        else "subslide"
        if cell.id in shown
        else "skip"
        for cell in cells
    ]


def _is_reading(cell: NotebookNode) -> bool:
    return cell.cell_type == "markdown" and cell.source.startswith("*Read:*")


def _is_for_learners(cell: NotebookNode) -> bool:
    return is_solution(cell) or "exercise" in cell.metadata.get("tags", [])


def _shows(cell: NotebookNode) -> bool:
    kinds = {panels.SVG, MIME, "text/html"}
    return any(
        output.output_type == "error" or kinds & output.get("data", {}).keys()
        for output in cell.outputs
    )
