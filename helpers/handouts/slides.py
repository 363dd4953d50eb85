"""Slides for reveal.js: which cells of a notebook go on which slide, and the HTML."""

import copy
from collections.abc import Iterable
from pathlib import Path

from nbconvert import SlidesExporter
from nbformat import NotebookNode

from helpers.handouts import panels
from helpers.handouts.pages import convert
from helpers.handouts.versions import is_solution

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
.reveal .slides section { max-height: 700px; overflow-y: auto; text-align: left; }
.reveal .slides > section.stack { overflow: visible; }
.reveal h1, .reveal h2 { text-transform: none; }
.reveal h1 { font-size: 1.6em; } .reveal h2 { font-size: 1.3em; }
/* reveal.js calls its own arrows "controls", and lays them over the corner. */
.reveal .sls-panel .controls { display: flex; font: inherit; pointer-events: auto; }
.reveal .sls-panel .controls { inset: auto; position: static; }
</style>
{%- endblock -%}
{%- block footer_js -%}
<script type="module">{{ resources.panel_script }}</script>
<script src="{{ resources.reveal.url_prefix }}/dist/reveal.js"></script>
<script>
const size = { width: 960, height: 700 };
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
CLAIM = "application/vnd.save-load-ship.claim+json"


def slides(
    notebook: NotebookNode,
    name: str,
    folder: Path,
    held: dict[str, dict] | None = None,
    reveal: str = "reveal",
) -> str:
    """Return the notebook's slides as HTML.

    Args:
        notebook: one with its outputs.
        name: of the file, without its ending.
        folder: of the notebook, where the pictures in its text are found.
        held: the panels to make live, see `held_panels`.
        reveal: where the page finds `REVEAL_FILES`.
    """
    exporter = SlidesExporter(
        raw_template=TEMPLATE,
        embed_images=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        reveal_url_prefix=reveal,
        reveal_theme="white",
    )
    return convert(exporter, with_slide_types(notebook), name, folder, held or {})


def with_slide_types(notebook: NotebookNode) -> NotebookNode:
    """Return a copy in which each cell says what it is on the slides.

    A heading starts a slide. Below it hang the text and the cells that show something: a
    figure, a claim, a table or an error; where a section has none, its first cell that
    prints. *Read:* appears at the next click, after the audience has guessed. The set-up,
    the stubs and the solutions are left out.
    """
    notebook = copy.deepcopy(notebook)
    sections: list[list[NotebookNode]] = []
    for cell in notebook.cells:
        if _is_heading(cell) or not sections:
            sections.append([])
        sections[-1].append(cell)
    for section in sections:
        _assign(section, skip=section[0].source.startswith("## Set-up"))
    return notebook


def _is_heading(cell: NotebookNode) -> bool:
    return cell.cell_type == "markdown" and cell.source.startswith(("# ", "## "))


def _assign(section: list[NotebookNode], skip: bool) -> None:
    shown = [cell for cell in section if _shows(cell)]
    if not shown:
        shown = [cell for cell in section if _prints(cell)][:1]
    for cell in section:
        if skip or (cell.cell_type == "code" and cell not in shown):
            kind = "skip"
        elif _is_heading(cell):
            kind = "slide"
        elif cell.cell_type == "markdown" and cell.source.startswith("*Read:*"):
            kind = "fragment"
        else:
            kind = "subslide"
        cell.metadata["slideshow"] = {"slide_type": kind}


def _shows(cell: NotebookNode) -> bool:
    if cell.cell_type != "code" or is_solution(cell) or _is_stub(cell):
        return False
    kinds = {panels.SVG, CLAIM, "text/html"}
    return any(o.output_type == "error" or kinds & _kinds(o) for o in cell.outputs)


def _prints(cell: NotebookNode) -> bool:
    return (
        cell.cell_type == "code"
        and not is_solution(cell)
        and not _is_stub(cell)
        and bool(cell.outputs)
    )


def _is_stub(cell: NotebookNode) -> bool:
    return "exercise" in cell.metadata.get("tags", [])


def _kinds(output: NotebookNode) -> Iterable[str]:
    return output.get("data", {}).keys()
