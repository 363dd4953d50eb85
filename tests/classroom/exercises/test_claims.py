"""Claims: what a verdict records, how it is gathered, and that `holds` is computed."""

import ast
import json
import xml.etree.ElementTree as ElementTree

import nbformat
import numpy as np
import pytest
import torch

from helpers.classroom.exercises.claims import MIME, Recorded, Verdict, gather, verdict
from tests.course import gathered
from tests.notebook_rules.reading import FOLDER, code, read

NASTY = """<b> & "quotes" 'n' more"""
WHOLE = {"claim": "c", "measured": "m", "holds": True, "depends_on": "d"}


# One verdict


def test_a_verdict_says_claim_measurement_and_verdict():
    one = verdict(
        "01.a",
        claim="It is small.",
        measured="it has 3 MB",
        holds=False,
        depends_on="the model",
    )
    assert repr(one) == (
        "Claim 01.a: It is small.\n"
        "Measured: it has 3 MB\n"
        "Verdict: does not hold. Depends on: the model"
    )


@pytest.mark.parametrize(
    "holds, word", [(True, "holds"), (False, "does not hold"), (None, "it depends")]
)
def test_the_three_verdicts(holds, word):
    one = verdict("13.z", **{**WHOLE, "holds": holds})
    assert one.word == word
    assert one._repr_mimebundle_()[MIME]["holds"] is holds
    assert f"Verdict: {word}." in repr(one)
    assert f">{word}<" in one._repr_mimebundle_()["text/html"]


def test_the_record_survives_the_file():
    one = verdict("01.a", claim=NASTY, measured="é × 3", holds=None, depends_on="d")
    bundle = one._repr_mimebundle_()
    assert sorted(bundle) == [MIME, "text/html", "text/plain"]
    assert bundle["text/plain"] == repr(one)
    assert Verdict(**json.loads(json.dumps(bundle[MIME]))) == one


def test_the_table_is_markup_and_the_texts_in_it_are_not():
    one = verdict("01.a", claim=NASTY, measured=NASTY, holds=True, depends_on=NASTY)
    table = ElementTree.fromstring(one._repr_mimebundle_()["text/html"])
    rows = {row.find("th").text: row.find("td").text for row in table.iter("tr")}
    assert rows == {
        "Claim 01.a": f"“{NASTY}”",
        "Measured": NASTY,
        "Verdict": "holds",
        "Depends on": NASTY,
    }
    assert all(th.get("scope") == "row" for th in table.iter("th"))


@pytest.mark.parametrize("id", ["1.a", "01a", "01.A", "01.ab", "01.1", "x01.a", "", None])
def test_an_id_is_notebook_and_letter(id):
    with pytest.raises(ValueError) as caught:
        verdict(id, **WHOLE)
    assert str(caught.value) == (
        f"id is {id!r}; expected notebook and letter, such as '01.a'"
    )


@pytest.mark.parametrize("holds", [1, 0, "yes", "", np.True_, torch.tensor(True)])
def test_holds_is_a_plain_truth_value_or_none(holds):
    with pytest.raises(ValueError) as caught:
        verdict("01.a", **{**WHOLE, "holds": holds})
    assert str(caught.value) == (
        f"holds is {holds!r}; expected True, False or None; use bool(...)"
    )


@pytest.mark.parametrize("name", ["claim", "measured", "depends_on"])
@pytest.mark.parametrize("text", ["", "  \n", None, 3.5])
def test_no_text_may_be_missing(name, text):
    with pytest.raises(ValueError) as caught:
        verdict("01.a", **{**WHOLE, name: text})
    assert str(caught.value) == f"{name} is {text!r}; say it in words"


# The ledger


def save_notebook(path, *records):
    cells = []
    for k, record in enumerate(records):
        data = {"text/plain": "shown", **({MIME: record} if record else {})}
        output = nbformat.v4.new_output("display_data", data)
        some = nbformat.v4.new_code_cell(outputs=[output])
        some.id = f"cell-{k}"
        cells.append(some)
    cells.append(nbformat.v4.new_markdown_cell("prose"))
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)


def test_the_ledger_holds_the_verdicts_of_the_notebooks():
    found = {recorded.verdict.id: recorded for recorded in gather(FOLDER)}
    assert {"01.a", "01.b"} <= set(found)
    light, copies = found["01.a"], found["01.b"]
    assert (light.notebook, light.cell) == ("01_state_dicts.ipynb", "light-claim")
    assert light.verdict.claim == "A state dict is lightweight."
    assert light.verdict.word == "it depends"
    assert (copies.cell, copies.verdict.word) == ("copies-claim", "it depends")
    assert list(found) == sorted(found)


def test_every_cell_with_a_verdict_stands_in_the_ledger_under_its_own_notebook():
    written = {
        (path.name, some.id)
        for path in FOLDER.glob("*.ipynb")
        for some in code(read(path).cells)
        if "claims.verdict(" in some.source
    }
    ledger = gather(FOLDER)
    assert {(recorded.notebook, recorded.cell) for recorded in ledger} == written
    assert all(recorded.verdict.id[:2] == recorded.notebook[:2] for recorded in ledger)


def test_notebooks_come_in_order_and_cells_without_a_claim_are_passed_over(tmp_path):
    records = [{"id": id, **WHOLE} for id in ("02.a", "01.b", "01.a")]
    save_notebook(tmp_path / "02_two.ipynb", records[0])
    save_notebook(tmp_path / "01_one.ipynb", None, records[1], records[2])
    (tmp_path / "notes.txt").write_text("no notebook")
    assert gather(tmp_path) == [
        Recorded("01_one.ipynb", "cell-1", Verdict("01.b", **WHOLE)),
        Recorded("01_one.ipynb", "cell-2", Verdict("01.a", **WHOLE)),
        Recorded("02_two.ipynb", "cell-0", Verdict("02.a", **WHOLE)),
    ]
    assert gather(str(tmp_path)) == gather(tmp_path)


def test_the_same_id_twice_names_both_cells(tmp_path):
    record = {"id": "01.a", **WHOLE}
    save_notebook(tmp_path / "01_one.ipynb", record)
    save_notebook(tmp_path / "02_two.ipynb", None, record)
    with pytest.raises(ValueError) as caught:
        gather(tmp_path)
    assert str(caught.value) == (
        "claim 01.a stands in 01_one.ipynb, cell cell-0, and in 02_two.ipynb, cell cell-1"
    )


# `holds` is computed: another measurement gives another verdict


MEASUREMENTS = gathered("MEASUREMENTS")


@pytest.mark.parametrize("id", [recorded.verdict.id for recorded in gather(FOLDER)])
def test_another_measurement_gives_another_verdict(id):
    assert id in MEASUREMENTS, (
        f"what would change it? say so in tests/course/notebook_{id[:2]}.py"
    )
    assert len(MEASUREMENTS[id]) >= 2
    said = set()
    for holds, measure in MEASUREMENTS[id].items():
        one = measure()
        assert (one.id, one.holds) == (id, holds)
        said.add(one.measured)
    assert len(said) == len(MEASUREMENTS[id]), "the words follow the figures"


def test_no_notebook_writes_its_verdict_by_hand():
    for path in FOLDER.glob("*.ipynb"):
        for some in code(read(path).cells):
            for node in ast.walk(ast.parse(some.source)):
                if (
                    isinstance(node, ast.Call)
                    and ast.unparse(node.func) == "claims.verdict"
                ):
                    given = {word.arg: word.value for word in node.keywords}
                    assert not isinstance(given["holds"], ast.Constant), some.id
                    parts = set(map(type, ast.walk(given["measured"])))
                    assert ast.FormattedValue in parts, some.id
