"""How far a long cell is: shown after a second, gone at the end, nothing in the file."""

import time
from types import SimpleNamespace

import nbformat
import pytest
from IPython.core.events import EventManager, available_events

from helpers.classroom import progress as module
from helpers.classroom.progress import progress
from tests.make_notebooks import client, normalise
from tests.notebooks.comparing import compared, difference

CELL = """
import time
from helpers.classroom.progress import progress
print("before")
for k in progress(range(3), "seeds"):
    time.sleep(0.8)
    print("seed", k)
"the result"
"""


@pytest.fixture(scope="module")
def ran():
    """The messages that a kernel sent, and the notebook that nbclient made of them."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    runner, sent = client(notebook), []
    receive = runner.process_message

    def process_message(message, *where):
        sent.append((message["msg_type"], dict(message["content"].get("data", {}))))
        return receive(message, *where)

    runner.process_message = process_message
    return SimpleNamespace(notebook=runner.execute(), sent=sent)


def test_after_a_second_it_says_how_many_are_done_and_how_long_the_rest_takes(ran):
    updates = [data for kind, data in ran.sent if kind == "update_display_data"]
    said = [data.get("text/plain", "gone") for data in updates]
    assert "■■■□□□□□□□ 1 of 3 seeds, about " in said[0] and said[0].endswith(" s left")
    assert "2 of 3 seeds" in said[-2] and said[-1] == "gone"
    assert '<progress max="3" value="1"></progress>' in updates[0]["text/html"]


def test_nothing_of_it_is_in_the_file_and_all_else_is(ran):
    [cell] = normalise(ran.notebook).cells
    printed = "before\nseed 0\nseed 1\nseed 2\n"
    assert [output.get("text") for output in cell.outputs] == [printed, None]
    assert cell.outputs[1].data == {"text/plain": "'the result'"}


def test_nbval_sees_no_difference_though_it_takes_no_updates(ran, tmp_path, request):
    path = tmp_path / "kept.ipynb"
    nbformat.write(normalise(ran.notebook), path)
    # What nbval stores: everything that is displayed, and of that what comes first.
    outputs = [
        {"output_type": kind, "data": data, "metadata": {}}
        for kind, data in ran.sent
        if kind in ("display_data", "execute_result")
    ]
    assert {"output_type": "display_data", "data": {}, "metadata": {}} in outputs
    stream = {"output_type": "stream", "name": "stdout"}
    printed = stream | {"text": "before\nseed 0\nseed 1\nseed 2\n"}
    [test] = compared(request.session, path).values()
    assert difference(test, [printed, *outputs]) == ""


INTERRUPTED = """
import signal, time
from helpers.classroom.progress import progress
before = get_ipython().events.callbacks["post_run_cell"].copy()
stop = lambda: signal.raise_signal(signal.SIGINT)
[time.sleep(0.8) or k == 2 and stop() for k in progress(range(3))]
"""


def test_it_goes_when_the_cell_is_interrupted_though_ipython_keeps_the_generator():
    cells = [
        INTERRUPTED,
        "before == get_ipython().events.callbacks['post_run_cell']",
    ]
    cells = [nbformat.v4.new_code_cell(source) for source in cells]
    cells[0].metadata["tags"] = ["raises-exception"]
    interrupted, after = client(nbformat.v4.new_notebook(cells=cells)).execute().cells
    assert [some.get("data", some.get("ename")) for some in interrupted.outputs] == [
        {},
        "KeyboardInterrupt",
    ]
    assert [some.data["text/plain"] for some in after.outputs] == ["True"]


@pytest.fixture
def shown(monkeypatch):
    """What a kernel would be asked to display, in order."""
    said = []
    handle = SimpleNamespace(update=lambda data, raw: said.append(data))
    monkeypatch.setattr(module, "display", lambda *data, **how: said.append({}) or handle)
    shell = SimpleNamespace(kernel=None, events=EventManager(None, available_events))
    monkeypatch.setattr(module, "get_ipython", lambda: shell)
    return said


def test_what_is_done_within_a_second_shows_nothing(shown):
    assert list(progress(range(5))) == [0, 1, 2, 3, 4]
    assert shown == []


def test_a_first_step_that_is_long_shows_that_it_runs(shown, monkeypatch):
    monkeypatch.setattr(module, "SHOW_AFTER", 0.05)
    for _ in progress(["a"], "files"):
        time.sleep(0.3)
    assert shown[1]["text/plain"] == "□□□□□□□□□□ 0 of 1 files"
    assert shown[-1] == {}


def test_it_goes_when_a_step_raises(shown, monkeypatch):
    monkeypatch.setattr(module, "SHOW_AFTER", 0)
    with pytest.raises(ZeroDivisionError):
        [time.sleep(0.05) or 1 / k for k in progress([1, 0])]
    time.sleep(0.2)
    assert shown[-1] == {} and len(shown) > 1


def test_a_terminal_gets_nothing(capsys, monkeypatch):
    monkeypatch.setattr(module, "SHOW_AFTER", 0)
    assert [time.sleep(0.05) or k for k in progress("ab")] == ["a", "b"]
    assert capsys.readouterr() == ("", "")
