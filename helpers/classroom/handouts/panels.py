"""Pictures and panels as HTML that needs neither a kernel nor a widget manager.

A panel whose pictures were drawn ahead holds them all, so its sliders live on in a page:
the state goes in as JSON, and `held_panels.js` plays the part of the widget's model. Of
any other panel, the page shows the picture and the words that the output holds anyway.
"""

import copy
import json
from html import escape
from pathlib import Path

from nbclient import NotebookClient
from nbformat import NotebookNode, from_dict

from helpers.classroom import panel

HERE = Path(__file__).parent
PANEL = HERE.parent / "panel"
VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
SVG = "image/svg+xml"
# What panel.js asks its model for; a test compares.
ASKED = (
    *("title", "controls", "lines", "frames", "frame", "values", "buttons", "disabled"),
    *("progress", "beside", "guess", "guessed"),
)


def execute(notebook: NotebookNode, folder: Path) -> NotebookNode:
    """Return a copy with new outputs and with the state of its widgets.

    Args:
        notebook: one of the course.
        folder: where it is executed.

    Raises:
        nbclient.exceptions.CellControlSignal: a cell fails that should not, or takes ten
            minutes.
        nbclient.exceptions.DeadKernelError: the kernel is gone.
    """
    executed = copy.deepcopy(notebook)
    NotebookClient(
        executed,
        timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        # A kernel on loopback warns in the terminal that it is not encrypted.
        extra_arguments=["--IPKernelApp.log_level=40"],
    ).execute()
    return executed


def held_panels(executed: NotebookNode) -> dict[str, dict]:
    """Return cell id -> state of each panel that holds its pictures.

    Args:
        executed: as `execute` returns it.
    """
    models = executed.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    held = {}
    for cell in executed.cells:
        for output in cell.get("outputs", []):
            name = output.get("data", {}).get(VIEW, {}).get("model_id")
            state = models.get(name, {}).get("state", {})
            if state.get("frames"):
                held[cell.id] = {key: state[key] for key in ASKED}
    return held


def with_figures(notebook: NotebookNode, held: dict[str, dict]) -> NotebookNode:
    """Return a copy in which every output with an SVG picture is HTML.

    Args:
        notebook: one with its outputs.
        held: as `held_panels` returns it; these become live, the others stand still.
    """
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if SVG in output.get("data", {}):
                html = figure(output.data[SVG], _words(output.data))
                if cell.id in held:
                    html = live(html, held[cell.id])
                output.data = from_dict({"text/html": html})
    return notebook


def figure(svg: str, words: str) -> str:
    """Return the picture, above its words where there are any."""
    caption = f"<figcaption>{escape(words)}</figcaption>" if words else ""
    return f'<figure class="sls-still">{svg}{caption}</figure>'


def live(still: str, state: dict) -> str:
    """Return what `held_panels.js` looks for: the state, and what shows without scripts."""
    state = copy.deepcopy(dict(state))
    for frame in state["frames"].values():
        frame["links"] = [
            [label, path.replace(".ipynb", ".html")]
            for label, path in frame["links"]
            if path.startswith("notebooks/")
        ]
    # Inside a script, "</script>" would end it, also within a string.
    text = json.dumps(state, ensure_ascii=False, separators=(",", ":")).replace(
        "<", "\\u003c"
    )
    data = f'<script type="application/json">{text}</script>'
    return f'<div class="sls-held">{still}{data}</div>'


def script() -> str:
    """Return the one module that makes the held panels of a page live.

    `held_panels.js` calls the function `render` of `panel.js`, as tests/javascript holds.
    """
    return f"{panel.script()}\n{(HERE / 'held_panels.js').read_text(encoding='utf-8')}"


def style() -> str:
    """Return the style sheet of panels and figures."""
    return (PANEL / "panel.css").read_text(encoding="utf-8") + STILL


STILL = """
.sls-still { margin: 0; max-width: 620px; }
.sls-still svg { height: auto; max-width: 100%; }
"""


def _words(data: dict) -> str:
    # A panel's text is "Panel(title: values): words". A chart's words are printed below.
    text = data.get("text/plain", "")
    if not text.startswith("Panel("):
        return ""
    setting, _, words = text.removeprefix("Panel(").partition("): ")
    return f"{setting}. {words}"
