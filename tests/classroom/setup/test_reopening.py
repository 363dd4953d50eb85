"""What is saved of widgets, and what nbconvert makes of it; the browser is elsewhere."""

import copy
import json
import logging
import subprocess
import sys
from types import SimpleNamespace

import pytest
from nbconvert import HTMLExporter
from nbformat import from_dict
from traitlets.config.loader import PyFileConfigLoader

from helpers.classroom.setup import reopening
from helpers.classroom.setup.doctor.environments import JUPYTER_FILES
from helpers.classroom.setup.reopening import (
    STATE,
    VIEW,
    before_saving,
    is_of_the_course,
    reopenable,
)

SETTINGS = JUPYTER_FILES / "config"
SVG = "<svg><text>a picture</text></svg>"


def notebook(shown, models, **forms):
    """A notebook of the course that shows widgets, and holds the state of models."""
    cells = [{"cell_type": "markdown", "id": "m", "metadata": {}, "source": "# Title"}]
    for k, name in enumerate(shown):
        view = {"model_id": name, "version_major": 2, "version_minor": 0}
        output = {"output_type": "display_data", "metadata": {}, "data": {VIEW: view}}
        output["data"] |= forms
        cells.append(
            {
                **{"cell_type": "code", "id": f"c{k}", "execution_count": 1},
                **{"metadata": {}, "outputs": [output]},
                "source": "from helpers.classroom.panel import Panel",
            }
        )
    held = {"version_major": 2, "version_minor": 0, "state": models}
    metadata = {"widgets": {STATE: held}} if models is not None else {}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells}


def widget(**state):
    return {"model_name": "Some", "model_module": "m", "state": state}


def states(some):
    return some["metadata"].get("widgets", {STATE: {"state": {}}})[STATE]["state"]


def forms(some):
    return [
        set(output["data"]) for cell in some["cells"] for output in cell.get("outputs", [])
    ]


# A panel of two parts, and the layout of one.
BOX = {
    "box": widget(children=["IPY_MODEL_left", "IPY_MODEL_right-1"]),
    "left": widget(layout="IPY_MODEL_lay", n=1),
    "right-1": widget(n=2),
    "lay": widget(),
}


def test_what_is_complete_stays_as_it_is():
    saved = notebook(["box"], BOX, **{"text/plain": "words"})
    assert reopenable(saved, {}) == saved


def test_state_that_jupyterlab_has_dropped_is_taken_from_the_file():
    forgot = notebook(["box"], {}, **{"text/plain": "words"})
    earlier = notebook(["box"], BOX)
    assert states(reopenable(forgot, earlier)) == BOX
    assert forms(reopenable(forgot, earlier)) == [{VIEW, "text/plain"}]
    # And again, from what was saved so.
    assert states(reopenable(forgot, reopenable(forgot, earlier))) == BOX


def test_what_a_cell_shows_now_is_newer_than_the_file():
    now = notebook(["left"], {"left": widget(n=5)})
    assert states(reopenable(now, notebook(["left"], BOX))) == {"left": widget(n=5)}


@pytest.mark.parametrize("form", ["image/svg+xml", "text/html", "text/plain"])
def test_without_state_another_form_stands_there(form):
    lost = notebook(["box"], {}, **{form: "another form"})
    saved = reopenable(lost, {})
    assert forms(saved) == [{form}]
    assert "widgets" not in saved["metadata"]


def html_for(text, svg=SVG, **more):
    lost = notebook(["box"], {}, **{"image/svg+xml": svg, "text/plain": text} | more)
    return reopenable(lost, {})["cells"][1]["outputs"][0]["data"].get("text/html")


def test_a_picture_in_place_of_a_widget_has_its_words():
    html = html_for('Panel(Rows & "more": n=0.5): 1 < 2. Then.', "<svg>100 % #\n</svg>")
    assert html == (
        '<figure class="sls-still"><img alt="Rows &amp; &quot;more&quot;: n=0.5" '
        'src="data:image/svg+xml,%3Csvg%3E100%20%25%20%23%0A%3C/svg%3E">'
        "<figcaption>1 &lt; 2. Then.</figcaption></figure>"
    )


@pytest.mark.parametrize(
    "text, alt, caption",
    [
        ("Drawing pad. PyTorch: 7.\nMore.", "Drawing pad", "PyTorch: 7.\nMore."),
        ("Words", "", "Words"),
    ],
)
def test_its_words_may_be_of_another_form(text, alt, caption):
    html = html_for(text)
    assert f'alt="{alt}"' in html
    assert f"<figcaption>{caption}</figcaption>" in html


def test_html_of_its_own_is_kept():
    assert html_for("Words", **{"text/html": "<p>own</p>"}) == "<p>own</p>"
    assert html_for("Words", svg=[]) is None  # and words alone need none


def test_what_progress_leaves_is_not_saved():
    some = notebook(["box"], BOX, **{"text/plain": "words"})
    before = copy.deepcopy(some)
    for_stream = {"output_type": "stream", "name": "stdout", "text": "kept"}
    some["cells"][1]["outputs"].insert(
        0, {"output_type": "display_data", "metadata": {}, "data": {}}
    )
    some["cells"][1]["outputs"].append(for_stream)
    before["cells"][1]["outputs"].append(for_stream)
    assert reopenable(some, {}) == before


def test_a_part_without_state_is_as_bad_as_none():
    half = {name: model for name, model in BOX.items() if name != "lay"}
    assert forms(reopenable(notebook(["box"], half, **{"text/plain": ""}), {})) == [
        {"text/plain"}
    ]


def test_without_another_form_the_widget_stays():
    assert forms(reopenable(notebook(["box"], {}), {})) == [{VIEW}]


def test_state_that_nothing_shows_is_left_out():
    run_before = {"old": widget(layout="IPY_MODEL_old-lay"), "old-lay": widget()}
    assert states(reopenable(notebook(["box"], BOX | run_before), {})) == BOX


def test_a_link_between_widgets_that_are_shown_is_kept():
    ends = {"source": ["IPY_MODEL_left", "n"], "target": ["IPY_MODEL_far", "n"]}
    link = {"link": widget(**ends) | {"model_name": "LinkModel"}}
    models = BOX | link | {"far": widget()}
    assert states(reopenable(notebook(["box"], models), {})) == models


def test_links_in_a_chain_are_kept_though_only_its_ends_are_shown():
    models = {name: widget(n=1) for name in "abcd"}
    for one, next_one in ("ab", "bc", "cd"):
        ends = {
            "source": [f"IPY_MODEL_{one}", "n"],
            "target": [f"IPY_MODEL_{next_one}", "n"],
        }
        models[one + next_one] = widget(**ends) | {"model_name": "LinkModel"}
    assert states(reopenable(notebook(["a", "d"], models), {})) == models
    # In whatever order a notebook has them.
    backwards = dict(reversed(models.items()))
    assert states(reopenable(notebook(["a", "d"], backwards), {})) == models


def in_an_output(name):
    view = {"version_major": 2, "version_minor": 0, "model_id": name}
    shown = {"output_type": "display_data", "metadata": {}}
    shown["data"] = {"text/plain": "words", VIEW: view}
    return widget(outputs=[shown], layout="IPY_MODEL_lay")


def test_a_widget_inside_an_output_widget_is_kept():
    models = BOX | {"output": in_an_output("box")}
    assert states(reopenable(notebook(["output"], models), {})) == models


def test_what_a_widget_itself_calls_a_model_id_is_no_reference():
    models = {"some": widget(model_id="resnet", value='{"model_id": "resnet"}')}
    assert states(reopenable(notebook(["some"], models), {})) == models


def test_each_model_is_searched_once_however_often_it_is_shown(monkeypatch):
    searched, find = [], reopening._references
    monkeypatch.setattr(
        reopening, "_references", lambda model: searched.append(model) or find(model)
    )
    some = notebook(["box"] * 20, BOX)
    assert reopening.is_complete(some)
    assert len(searched) == len(BOX)
    reopenable(some, {})
    assert len(searched) == 2 * len(BOX)


def test_what_was_given_is_not_changed():
    lost = notebook(["box"], {}, **{"text/plain": "words"})
    before = copy.deepcopy(lost)
    reopenable(lost, {})
    assert lost == before


# The hook.


@pytest.fixture
def server(tmp_path):
    log = logging.getLogger("server")
    return SimpleNamespace(root_dir=str(tmp_path), log=log, folder=tmp_path)


def save(content, server, path="some/name.ipynb"):
    model = {"type": "notebook", "content": content}
    before_saving(model=model, path=path, contents_manager=server)
    return model["content"]


def test_the_file_is_read_where_the_server_has_it(server):
    (server.folder / "some").mkdir()
    earlier = notebook(["box"], BOX)
    (server.folder / "some" / "name.ipynb").write_text(json.dumps(earlier))
    assert states(save(notebook(["box"], {}), server)) == BOX


def test_a_new_file_is_fine(server, caplog):
    words = {"text/plain": "words"}
    assert forms(save(notebook(["box"], {}, **words), server)) == [{"text/plain"}]
    assert caplog.text == ""


def test_notebooks_of_others_are_saved_as_they_are(server):
    theirs = notebook(["box"], {"unused": widget()}, **{"text/plain": "words"})
    theirs["cells"][1]["source"] = "from helpers import something"
    assert not is_of_the_course(theirs)
    assert save(theirs, server) is theirs


def of_others(shown, models, **forms):
    theirs = notebook(shown, models, **forms)
    for cell in theirs["cells"]:
        cell["source"] = "import ipywidgets"
    return theirs


@pytest.mark.parametrize("models", [BOX, {}, None], ids=["state", "empty", "none"])
def test_state_that_jupyterlab_would_drop_from_others_stays_in_the_file(server, models):
    theirs = of_others(["box"], models, **{"text/plain": "words"})
    (server.folder / "name.ipynb").write_text(json.dumps(theirs))
    dropped = of_others(["box"], {}, **{"text/plain": "words"})
    before = copy.deepcopy(dropped)
    saved = save(dropped, server, "name.ipynb")
    assert saved == (
        theirs if models else of_others(["box"], None, **{"text/plain": "words"})
    )
    assert dropped == before


def test_a_notebook_of_others_without_widgets_gets_no_state(server, caplog):
    (server.folder / "name.ipynb").write_text("not read")
    assert save(of_others([], {}), server, "name.ipynb") == of_others([], None)
    assert caplog.text == ""


@pytest.mark.parametrize("own", [{STATE: {"box": widget()}}, {"state": {}, "version": "1"}])
def test_state_of_others_in_another_form_is_left_alone(server, own):
    theirs = of_others(["box"], None)
    theirs["metadata"]["widgets"] = own
    before = copy.deepcopy(theirs)
    assert save(theirs, server) is theirs
    assert theirs == before


def test_a_notebook_of_others_in_an_old_format_is_saved_without_a_word(server, caplog):
    old = {"nbformat": 3, "metadata": {}, "worksheets": [{"cells": []}]}
    assert save(old, server) is old
    assert caplog.text == ""


def test_files_and_folders_are_left_alone(server, caplog):
    for model in ({"type": "file", "content": "text"}, {"type": "directory"}):
        before = dict(model)
        before_saving(model=model, path="a", contents_manager=server)
        assert model == before
    assert caplog.text == ""


@pytest.mark.parametrize("wrong", [{"cells": None}, {"cells": [{}]}, "text", None])
def test_whatever_is_wrong_it_is_saved_and_the_log_says_why(server, wrong, caplog):
    assert save(wrong, server) is wrong
    assert "Widgets of some/name.ipynb may not come back" in caplog.text
    assert "Error" in caplog.text


def test_a_file_that_cannot_be_read_does_not_stop_a_save(server, caplog):
    (server.folder / "name.ipynb").write_text("no JSON")
    lost = notebook(["box"], {})
    assert save(lost, server, "name.ipynb") is lost
    assert "JSONDecodeError" in caplog.text


def test_the_server_imports_it_quickly():
    code = """
import sys
from helpers.classroom.setup import reopening
heavy = {"torch", "numpy", "pandas", "ipywidgets", "nbconvert", "jupyter_server"}
print(heavy & sys.modules.keys())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("set()\n", "")


# Pages.


def page(some):
    """What `jupyter nbconvert --to html` makes of it, with the course's settings."""
    folder, name = str(SETTINGS), "jupyter_nbconvert_config.py"
    config = PyFileConfigLoader(name, path=folder).load_config()
    return HTMLExporter(config=config).from_notebook_node(from_dict(some))[0]


def test_a_page_shows_the_picture_with_its_words_and_needs_no_widget():
    words = "Panel(Title: n=1): what it shows"
    html = page(notebook(["box"], BOX, **{"image/svg+xml": SVG, "text/plain": words}))
    assert f"{SVG}<figcaption>Title: n=1. what it shows</figcaption>" in html
    assert "application/vnd.jupyter.widget" not in html


def test_a_page_shows_the_words_of_what_has_no_picture():
    html = page(notebook(["box"], BOX, **{"text/plain": "A question: a) one"}))
    assert "A question: a) one" in html
    assert "application/vnd.jupyter.widget" not in html


def test_a_page_of_others_keeps_its_widgets():
    theirs = notebook(["box"], BOX, **{"image/svg+xml": SVG})
    theirs["cells"][1]["source"] = "import ipywidgets"
    assert "application/vnd.jupyter.widget-view+json" in page(theirs)


def test_a_learners_own_settings_of_nbconvert_are_kept():
    config = PyFileConfigLoader("jupyter_nbconvert_config.py", str(SETTINGS)).load_config()
    config.HTMLExporter.preprocessors.append(
        "nbconvert.preprocessors.ClearOutputPreprocessor"
    )
    assert (
        SVG
        not in HTMLExporter(config=config).from_notebook_node(
            from_dict(notebook(["box"], BOX, **{"image/svg+xml": SVG}))
        )[0]
    )


def test_where_helpers_is_something_else_nbconvert_goes_on(tmp_path):
    (tmp_path / "helpers.py").touch()
    own = tmp_path / "own.ipynb"
    own.write_text(json.dumps(notebook(["box"], BOX, **{"image/svg+xml": SVG})))
    done = subprocess.run(
        [sys.executable, "-m", "nbconvert", "--to", "html", "--stdout", own],
        cwd=tmp_path,
        env={"PATH": "", "JUPYTER_CONFIG_PATH": str(SETTINGS), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    assert "application/vnd.jupyter.widget-view+json" in done.stdout
