"""Pictures, panels and quizzes as HTML that needs neither kernel nor widget manager.

A panel whose pictures were drawn ahead holds them all, and a quiz its explanations, so
both live on in a page: the state goes in as JSON, and `held_panels.js` plays the part of
the widget's model. Of any other panel, the page shows the picture and the words that the
output holds anyway.
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
QUIZ = HERE.parent / "exercises" / "quiz.js"
VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
SVG = "image/svg+xml"
# What panel.js and quiz.js ask their models for; a test compares.
ASKED = {
    "panel": (
        *("title", "controls", "lines", "frames", "frame", "values", "buttons", "disabled"),
        *("progress", "beside", "guess", "guessed"),
    ),
    "quiz": ("question", "choices", "picked"),
}


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
    """Return cell id -> state of each quiz, and of each panel that holds its pictures.

    Args:
        executed: as `execute` returns it.
    """
    models = executed.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    held = {}
    for cell in executed.cells:
        for output in cell.get("outputs", []):
            name = output.get("data", {}).get(VIEW, {}).get("model_id")
            state = models.get(name, {}).get("state", {})
            if state.get("frames") or state.get("choices"):
                held[cell.id] = {key: state[key] for key in ASKED[kind(state)]}
    return held


def kind(state: dict) -> str:
    """Say whose state it is, a "panel"'s or a "quiz"'s."""
    return "quiz" if "choices" in state else "panel"


def with_figures(notebook: NotebookNode, held: dict[str, dict]) -> NotebookNode:
    """Return a copy in which every output with an SVG picture, or held, is HTML.

    Args:
        notebook: one with its outputs.
        held: as `held_panels` returns it; these become live, the others stand still.
    """
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if SVG in data:
                html = figure(data[SVG], _words(data))
            elif data.get("text/plain", "").startswith("Quiz:"):
                html = data["text/html"]
            else:
                continue
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
    for frame in state.get("frames", {}).values():
        frame["links"] = [
            [label, path.replace(".ipynb", ".html")]
            for label, path in frame.get("links", [])
            if path.startswith("notebooks/")
        ]
    # Inside a script, "</script>" would end it, also within a string.
    text = json.dumps(state, ensure_ascii=False, separators=(",", ":")).replace(
        "<", "\\u003c"
    )
    data = f'<script type="application/json">{text}</script>'
    return f'<div class="sls-held" data-kind="{kind(state)}">{still}{data}</div>'


def script(kind: str) -> str:
    """Return the module that makes the held panels, or quizzes, of a page live.

    `held_panels.js` calls the function `render` of what stands before it, as
    tests/javascript holds.
    """
    first = panel.script() if kind == "panel" else QUIZ.read_text(encoding="utf-8")
    held = (HERE / "held_panels.js").read_text(encoding="utf-8")
    return "\n".join([first, held, f'hold("{kind}");'])


def scripts() -> str:
    """Return all of them for the end of a page, as modules that share no names."""
    return "\n".join(f'<script type="module">{script(kind)}</script>' for kind in ASKED)


def style() -> str:
    """Return the style sheet of panels, quizzes and figures."""
    sheets = [PANEL / "panel.css", QUIZ.with_suffix(".css")]
    return "".join(path.read_text(encoding="utf-8") for path in sheets) + STILL


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
