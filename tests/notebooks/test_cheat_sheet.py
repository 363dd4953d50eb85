"""The cheat sheet: short recipes, short answers, and a ledger that leaves out no claim."""

import ast
import re
import shutil
from collections import Counter
from html import escape, unescape

import nbformat
import pandas as pd
import pytest
from IPython.display import HTML

from helpers.classroom.exercises import claims
from helpers.classroom.exercises.claims import gather
from helpers.classroom.exercises.notebook_14 import QUIZZES
from helpers.classroom.setup import guess_first
from tests.course import FOLDER
from tests.notebook_rules.reading import code, read, section, sections, tags

NOTEBOOK = read(FOLDER / "14_cheat_sheet.ipynb")
CELLS = {cell.id: cell for cell in NOTEBOOK.cells}
RECIPES = {
    "save-load": ["torch.save(", "load_state_dict", "weights_only=True", ".eval()"],
    "safetensors": ["save_model", "load_model"],
    "snapshot": ["tensor.clone()"],
    "mapped": ['torch.device("meta")', "mmap=True", "assign=True"],
    "checkpoint": ["save_checkpoint"],
    "resume": ["load_checkpoint"],
    "checkpoint-folder": ["CheckpointFolder", "load_latest"],
    "whole": ["verify(", "read_metadata("],
    "inspect": ["inspect_file(", "report.opens"],
    "safe": ["get_unsafe_globals_in_checkpoint", "weights_only=True"],
    "allow": ["safe_globals"],
    "device": ['map_location="cpu"', ".to(device)"],
    "device-helper": ["load_to_device"],
    "optimizer": ["optimizer.load_state_dict(optimizer.state_dict())"],
    "half": ["cast_floats"],
    "notes": ["str(torch.__version__)", "isoformat()"],
    "rename": ["strip_prefix", "remap_keys"],
    "fits": ["load_matching"],
    "hook": ["register_load_state_dict_pre_hook"],
    "again": ["seed_everything", "use_deterministic_algorithms(True)"],
    "onnx": ["export_onnx", "assert_close"],
    "reference": ["ReferenceEvaluator"],
    "inside": ["export_onnx(Whole("],
    "program": ["torch.export.export(", "torch.export.load("],
    "by-hand": ["torch.round(weight / scale).clamp("],
    "packed": ["quantize_model", "packed_bytes"],
    "kept": ["layer_sensitivity", "keep_float=keep"],
    "rounded": ["register_parametrization", ".detach()"],
    "static": ["quantize_static_onnx"],
    "others": ["quantize_dynamic_onnx", "to_float16_onnx", "quantize_4bit_onnx"],
    "torchao": ["torchao.quantization.quantize_"],
    "prune": ["prune.l1_unstructured", "prune.remove"],
    "channels": ["keep_strongest_channels"],
    "distil": ["log_softmax", "kl_div", "temperature**2"],
}


@pytest.mark.parametrize("id", RECIPES)
def test_a_recipe_shows_its_calls_in_at_most_ten_lines(id):
    source = CELLS[id].source
    assert all(call in source for call in RECIPES[id])
    assert len([line for line in source.splitlines() if line.strip()]) <= 10


def test_the_recipes_of_every_notebook_are_on_the_sheet():
    recipes = NOTEBOOK.cells[: NOTEBOOK.cells.index(CELLS["answers-why"])]
    links = set(re.findall(r"\]\((\d\d_\w+\.ipynb)\)", "".join(c.source for c in recipes)))
    others = {path.name for path in FOLDER.glob("*.ipynb")}
    # Notebook 00 has the first round trip, which stands at the top of the sheet.
    assert others - links == {"00_start_here.ipynb", "14_cheat_sheet.ipynb"}


def test_each_question_is_answered_in_three_sentences_with_a_link():
    text = section(NOTEBOOK, "What do people ask?").text
    answers = re.findall(r"(?m)^\*\*(.+\?)\*\* (.+)$", text)
    assert len(answers) == 5
    for question, answer in answers:
        assert len(re.findall(r"[.!?](?= |$)", answer)) == 3, question
        assert re.search(r"\]\(\d\d_\w+\.ipynb\)", answer), question


def test_the_sheet_ends_with_the_clinic_and_a_quiz():
    assert [some.heading for some in sections(NOTEBOOK)][-2:] == ["Try it", "What you saw"]
    ids = [cell.id for cell in code(section(NOTEBOOK, "Try it").cells)]
    assert ids[:3] == ["clinic", "clinic-asked", "clinic-table"]
    assert list(QUIZZES) == ["14.q1"]


# The ledger


def rows(id: str) -> dict[str, list[str]]:
    """id of the claim -> the cells of its row in that table, as plain text."""
    [output] = CELLS[id].outputs
    found = {}
    for row in re.findall(r"(?s)<tr>(.*?)</tr>", output.data["text/html"]):
        texts = [
            unescape(re.sub(r"<[^>]+>", "", cell)).strip()
            for cell in re.findall(r"(?s)<td[^>]*>(.*?)</td>", row)
        ]
        if texts:
            found[texts[0]] = texts[1:]
    return found


def written() -> dict[str, tuple[str, str]]:
    """id of each claim that a notebook's source tests -> notebook and cell."""
    return {
        node.args[0].value: (path.name, cell.id)
        for path in sorted(FOLDER.glob("*.ipynb"))
        for cell in code(read(path).cells)
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "claims.verdict"
    }


AGAIN = "run `.venv/bin/python tests/make_notebooks.py --fresh 14_cheat_sheet.ipynb`"


def test_every_claim_that_a_notebook_tests_is_in_the_ledger():
    ledger = rows("ledger-show") | rows("ledger-timed")
    assert list(ledger) and set(ledger) == set(written()), AGAIN
    for id, (notebook, cell) in written().items():
        assert ledger[id][3] == f"{notebook.removesuffix('.ipynb')}, {cell}", AGAIN


def test_the_ledger_says_what_the_notebooks_recorded():
    for some in gather(FOLDER):
        cells = {cell.id: cell for cell in read(FOLDER / some.notebook).cells}
        timed = "nbval-ignore-output" in tags(cells[some.cell])
        row = rows("ledger-timed" if timed else "ledger-show")[some.verdict.id]
        assert row[0] == some.verdict.claim, AGAIN
        # Figures that depend on the machine may be newer there than here.
        if not timed:
            assert row[1:3] == [some.verdict.measured, some.verdict.word], AGAIN


def test_the_ledger_links_to_notebooks_that_are_there():
    for id in ("ledger-show", "ledger-timed"):
        links = re.findall('href="([^"]+)"', CELLS[id].outputs[0].data["text/html"])
        assert links and all((FOLDER / link).exists() for link in links)


def test_a_learners_copy_of_a_notebook_does_not_stop_the_ledger(tmp_path):
    for name in ("01_state_dicts", "01_state_dicts-Copy1", "unrun_01_state_dicts"):
        shutil.copy(FOLDER / "01_state_dicts.ipynb", tmp_path / f"{name}.ipynb")
    assert {some.notebook for some in gather(tmp_path)} == {"01_state_dicts.ipynb"}


def test_in_a_folder_without_outputs_the_ledger_says_so(tmp_path, monkeypatch, capsys):
    shutil.copy(FOLDER / "01_state_dicts.ipynb", tmp_path)
    guess_first.write(tmp_path)
    monkeypatch.chdir(tmp_path / "guess_first")
    names = {"claims": claims, "nbformat": nbformat, "pd": pd, "escape": escape}
    names |= {"Counter": Counter, "HTML": HTML}
    for id in ("ledger-gather", "ledger-show", "ledger-timed", "ledger-holds"):
        exec(CELLS[id].source, names)
    said = capsys.readouterr().out
    assert said.startswith("no verdicts here yet: run the other notebooks, save them")
    assert said.endswith("0 claims, 0 of them measured anew on each machine\n")


def test_no_line_of_the_ledger_is_typed():
    for cell in code(NOTEBOOK.cells):
        assert not re.search(r"\b\d\d\.[a-z]\b", cell.source), cell.id
