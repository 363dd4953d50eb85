"""A notebook as one HTML file that loads nothing: styles, pictures and script are in it."""

import re
from pathlib import Path

from nbconvert import HTMLExporter
from nbformat import NotebookNode

from helpers.classroom.handouts import panels

# A page is the notebook's text as it is; this makes true what it says of keys and menus.
NOTE = (
    "This is a notebook as a page, to read. What it says of keys, menus and running a cell "
    "is for the notebook itself, in JupyterLab."
)

# JupyterLab's look without what it would load from the network. No notebook of the course
# has formulas or Mermaid drawings, so nothing is lost; a test holds that.
TEMPLATE = """
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block jupyter_widgets -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block html_head_css -%}
<style>{{ resources.panel_style }} main { margin: auto; max-width: 1000px; }
.sls-note { border-left: 3px solid #2f6fb7; margin: 0; padding-left: 12px; }</style>
{%- endblock -%}
{%- block body_header -%}
{{ super() }}<p class="sls-note jp-RenderedHTMLCommon">{{ resources.note }}</p>
{%- endblock -%}
{%- block footer_js -%}
{{ resources.panel_scripts }}
{%- endblock -%}
"""


def page(
    notebook: NotebookNode, name: str, folder: Path, held: dict[str, dict] | None = None
) -> str:
    """Return the notebook as a page.

    Args:
        notebook: one with its outputs.
        name: of the file, without its ending.
        folder: of the notebook, where the pictures in its text are found.
        held: the panels to make live, see `held_panels`; otherwise all stand still.
    """
    exporter = HTMLExporter(raw_template=TEMPLATE, embed_images=True)
    return convert(exporter, notebook, name, folder, held or {})


def convert(
    exporter: HTMLExporter,
    notebook: NotebookNode,
    name: str,
    folder: Path,
    held: dict[str, dict],
) -> str:
    """Run nbconvert over a copy with figures as HTML and links inside the folder."""
    prepared = panels.with_figures(notebook, held)
    prepared.metadata["title"] = title(notebook)
    resources = {
        "metadata": {"name": name, "path": str(folder)},
        "note": NOTE,
        "panel_style": panels.style(),
        "panel_scripts": panels.scripts(),
    }
    return with_links_between_pages(exporter.from_notebook_node(prepared, resources)[0])


def title(notebook: NotebookNode) -> str:
    """Return the first heading of the notebook."""
    return notebook.cells[0].source.splitlines()[0].lstrip("# ")


def with_links_between_pages(html: str) -> str:
    """Point links at the pages of other notebooks; of other links, keep the text."""
    html = re.sub(r'href="([\w-]+)\.ipynb([#"])', r'href="\1.html\2', html)
    return re.sub(r'<a [^>]*href="\.\./[^>]*>(.*?)</a>', r"\1", html, flags=re.DOTALL)
