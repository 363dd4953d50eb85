"""A saved notebook comes back with its widgets, or with their pictures; never an error.

A server extension: jupyter_files/ switches it on, also in a plain `jupyter lab` and in
Jupyter Notebook, and switches on the setting `saveState` of ipywidgets. With it, JupyterLab
saves the state of the widgets, but only of those that a running kernel knows. So whoever
opens a notebook, runs nothing and saves would lose all of it (ipywidgets issues 3270 and
3888). At each save the function `before_saving` mends that, in the notebooks of the course;
all others lose no state that they had. In the browser, reopening.js sees to the rest.

The server imports this when it starts, so there is nothing slow here.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from urllib.parse import quote

from helpers.classroom.setup.prompt_answers import answer_at_once

VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
SVG = "image/svg+xml"
LINKS = ("LinkModel", "DirectionalLinkModel")
# What a widget says of itself: "Panel(its name and values): words" or "Its name. Words".
NAME_AND_WORDS = re.compile(r"(?:Panel\()?(.*?)(?:\): |\. )(.*)", re.DOTALL)
# The second form is in the outputs that an `Output` widget holds.
REFERENCE = re.compile(
    rf'"IPY_MODEL_([\w-]+)"|"{re.escape(VIEW)}": {{[^{{}}]*"model_id": "([\w-]+)"'
)


def is_of_the_course(notebook: dict) -> bool:
    """Tell whether a notebook imports something of the classroom."""
    return any(
        cell["cell_type"] == "code" and "helpers.classroom" in "".join(cell["source"])
        for cell in notebook.get("cells", [])  # an old format has none
    )


def is_complete(notebook: dict) -> bool:
    """Tell whether the state of every widget that is shown is in the notebook."""
    known = _known(_models(notebook))
    return all(_needed([name], known) <= known.keys() for _, name in _views(notebook))


def reopenable(notebook: dict, earlier: dict) -> dict:
    """Return a copy of a notebook that shows everything when it is opened again.

    A widget whose state is in neither notebook gives way to the other forms of its output,
    if there are any; a picture gets its words. State that nothing shows is left out, and
    so is an output without any form, which is what progress.py leaves.

    Args:
        notebook: what is to be saved, as nbformat 4 writes it.
        earlier: what was saved before, from which missing state is taken; {} if nothing.
    """
    notebook = copy.deepcopy(notebook)
    models = _models(earlier) | _models(notebook)
    known = _known(models)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = [some for some in cell["outputs"] if some.get("data") != {}]
    shown = []
    for data, name in _views(notebook):
        if _needed([name], known) <= known.keys():
            shown.append(name)
        elif len(data) > 1:
            del data[VIEW]
            data |= _with_words(data)
    kept = _needed(shown, known)
    # Nothing refers to what links the values of two widgets; it refers to them.
    links = {n for n, m in models.items() if m["model_name"] in LINKS}
    while found := {n for n in links - kept if kept & known[n]}:
        kept |= _needed(found, known)
    if state := {name: model for name, model in models.items() if name in kept}:
        held = {"version_major": 2, "version_minor": 0, "state": state}
        notebook["metadata"]["widgets"] = {STATE: held}
    else:
        notebook["metadata"].pop("widgets", None)
    return notebook


def as_without_saving_state(notebook: dict, earlier: dict) -> dict:
    """Return a copy with the state of widgets that the file had, and no empty one.

    Args:
        notebook: of others, with which JupyterLab would save that it knows no widget.
        earlier: what was saved before; {} if nothing.
    """
    metadata = {k: v for k, v in notebook["metadata"].items() if k != "widgets"}
    if not _has_empty_state(earlier) and "widgets" in earlier.get("metadata", {}):
        metadata["widgets"] = earlier["metadata"]["widgets"]
    return {**notebook, "metadata": metadata}


def _has_empty_state(notebook: dict) -> bool:
    widgets = notebook.get("metadata", {}).get("widgets", {})
    return widgets.get(STATE, {}).get("state") == {}  # other tools leave it out


def _models(notebook: dict) -> dict[str, dict]:
    widgets = notebook.get("metadata", {}).get("widgets", {})
    return dict(widgets.get(STATE, {}).get("state", {}))


def _views(notebook: dict) -> Iterator[tuple[dict, str]]:
    """Yield the forms of each output that shows a widget, and the name of its model."""
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if VIEW in data:
                yield data, data[VIEW]["model_id"]


def _with_words(data: dict) -> dict:
    """Return as HTML the picture that JupyterLab would show without a word, if it would."""
    svg, text = ("".join(data.get(form, "")) for form in (SVG, "text/plain"))
    if not svg or not text or "text/html" in data:
        return {}
    found = NAME_AND_WORDS.fullmatch(text)
    name, words = found.groups() if found else ("", text)
    # As an image: of SVG in a page, JupyterLab leaves in untrusted notebooks only the text.
    html = (
        f'<figure class="sls-still"><img alt="{escape(name)}" '
        f'src="data:{SVG},{quote(svg)}">'
        f"<figcaption>{escape(words)}</figcaption></figure>"
    )
    return {"text/html": html}


def _known(models: dict[str, dict]) -> dict[str, set[str]]:
    """Return the name of each model -> the names that it refers to, found only once."""
    return {name: _references(model) for name, model in models.items()}


def _references(model: dict) -> set[str]:
    return {one or other for one, other in REFERENCE.findall(json.dumps(model))}


def _needed(names: Iterable[str], known: dict[str, set[str]]) -> set[str]:
    """Return the names, and those that their models refer to, however far away."""
    todo, found = list(names), set()
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += known.get(name, ())
    return found


def before_saving(model: dict, path: str, contents_manager, **_) -> None:
    """Make a notebook reopenable before Jupyter's server writes it.

    Whatever goes wrong here, the notebook is saved as it is, and the log says why.

    Args:
        model: what is to be saved, as Jupyter's contents API has it; it is changed.
        path: of the file, below the server's root.
        contents_manager: the server's.
    """
    try:
        if model["type"] != "notebook":
            return
        notebook = model["content"]
        if is_of_the_course(notebook):
            mended = reopenable
        elif _has_empty_state(notebook):
            mended = as_without_saving_state
        else:
            return
        earlier = {} if is_complete(notebook) else _read(path, contents_manager)
        model["content"] = mended(notebook, earlier)
    except Exception:
        contents_manager.log.exception("Widgets of %s may not come back", path)


def _read(path: str, contents_manager) -> dict:
    """Return the notebook that is in the file now; {} if it is new."""
    from jupyter_server.utils import to_os_path

    file = Path(to_os_path(path, contents_manager.root_dir))
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def _jupyter_server_extension_points() -> list[dict]:
    return [{"module": __name__}]


def _load_jupyter_server_extension(server) -> None:
    server.contents_manager.register_pre_save_hook(before_saving)
    answer_at_once(server.web_app.settings)
    server.config.HTMLExporter.preprocessors.append(
        "helpers.classroom.handouts.stills.Stills"
    )
