"""The error clinic and its table of messages: what they say, escape, link and compare."""

import json
import re
from html import unescape

import pytest

from helpers.classroom.clinic import ENTRIES, diagnose, nearest
from helpers.classroom.explorers.error_clinic import (
    ALL,
    ASK,
    EMPTY,
    NEAREST,
    READY,
    UNKNOWN,
    MessageTable,
    error_clinic,
)
from tests.course import FOLDER
from tests.notebook_rules.reading import code, read

SHAPE = "size mismatch for head.bias: copying a param with shape torch.Size([10])"


def said(clinic) -> list[dict]:
    """The answers that the panel shows."""
    return clinic.panel.frame.get("items", [])


def write(clinic, text: str) -> None:
    """Do what the browser does when a learner types."""
    clinic.panel.set_state({"values": {"message": text}})


def press(clinic, text: str) -> None:
    """Do what the browser does for a press: send it with the text that stands there."""
    message = {"pressed": ASK, "values": {"message": text}}
    clinic.panel._handle_custom_msg(message, [])


def test_a_message_gets_its_meaning_its_repair_and_its_notebook():
    clinic = error_clinic(["01_state_dicts.ipynb"])
    press(clinic, SHAPE)
    [found] = diagnose(SHAPE)
    assert clinic.diagnoses == [found]
    assert clinic.panel.frame["text"] == "It means:"
    link = ("Notebook 01_state_dicts", "notebooks/01_state_dicts.ipynb")
    assert said(clinic) == [
        {"says": found.says, "meaning": found.meaning, "code": found.fix, "link": link}
    ]


def test_asking_from_python_does_the_same_as_pressing():
    one, other = error_clinic(), error_clinic()
    press(one, SHAPE)
    assert other.ask(SHAPE) == one.diagnoses
    assert (repr(other), said(other)) == (repr(one), said(one))


def test_a_press_is_answered_for_its_own_text_whatever_has_arrived():
    clinic = error_clinic()
    write(clinic, "Error(s) in loading")
    assert clinic.panel.frame["text"] == READY  # nobody has asked yet
    press(clinic, "Attempting to deserialize object on a CUDA device")
    assert clinic.heading == "It means:"
    assert "CUDA" in said(clinic)[0]["says"]


def test_an_answer_goes_when_another_text_stands_there():
    clinic = error_clinic()
    press(clinic, SHAPE)
    write(clinic, SHAPE[:-1])
    assert said(clinic) == [] and clinic.panel.frame["text"] == READY
    write(clinic, SHAPE)
    assert len(said(clinic)) == 1


def test_several_meanings_are_told_apart():
    text = 'Missing key(s) in state_dict: "a". Unexpected key(s) in state_dict: "module.a".'
    clinic = error_clinic()
    clinic.ask(text)
    assert clinic.heading == "It may mean:"
    assert len(said(clinic)) == len(diagnose(text)) > 1


def test_an_unknown_message_says_so_and_offers_the_nearest():
    clinic = error_clinic()
    text = "OverflowError: some keys are missing in the state_dict"
    clinic.ask(text)
    assert clinic.panel.frame["text"] == clinic.heading == NEAREST
    assert clinic.diagnoses == [nearest(text)] and len(said(clinic)) == 1
    assert NEAREST in repr(clinic) and nearest(text).says in repr(clinic)
    assert clinic.panel.frame["links"] == [list(ALL)]


def test_where_nothing_is_near_it_leads_to_the_table_of_all():
    clinic = error_clinic()
    assert clinic.ask("hello world") == []
    assert clinic.panel.frame["text"] == UNKNOWN and said(clinic) == []
    assert clinic.panel.frame["links"] == [list(ALL)]
    assert (FOLDER.parent / ALL[1]).is_file()
    clinic.ask(SHAPE)
    assert "links" not in clinic.panel.frame


@pytest.mark.parametrize("text", ["", " \n\t "])
def test_without_a_message_it_asks_for_one_and_guesses_nothing(text):
    clinic = error_clinic()
    clinic.ask(SHAPE)
    assert clinic.ask(text) == [] and said(clinic) == []
    assert clinic.panel.frame["text"] == EMPTY


def test_a_notebook_that_is_not_there_is_named_and_not_linked():
    clinic = error_clinic(["03_safe_loading.ipynb"])
    clinic.ask(SHAPE)
    assert said(clinic)[0]["link"] == ("Notebook 01_state_dicts", "")


def test_a_text_of_any_kind_and_length_is_answered():
    clinic = error_clinic()
    for text in ("<script>alert(1)</script>", "x" * 100_000, "\x1b[31m\u2028é\r\n"):
        assert clinic.ask(text) == [] and clinic.heading == UNKNOWN
    json.dumps(clinic.panel.get_state(["values", "frame"]))


def test_the_text_form_is_short_and_deterministic():
    clinic = error_clinic()
    assert repr(clinic) == "ErrorClinic: paste a message and press the button."
    clinic.ask(f"Traceback\n  {SHAPE}{' ...' * 50}")
    first, message, meaning, repair = repr(clinic).split("\n")
    assert len(first) < 100 and SHAPE[:20] in first and "\n" not in first
    assert "size mismatch for NAME" in message
    assert (meaning.strip(), "(01_state_dicts.ipynb)" in repair) == (
        diagnose(SHAPE)[0].meaning,
        True,
    )
    data, _ = clinic._repr_mimebundle_()
    assert data["text/plain"] == repr(clinic)
    assert "application/vnd.jupyter.widget-view+json" in data


# The table for paper


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.id)
def test_a_message_of_the_table_is_diagnosed_by_the_clinic_itself(entry):
    assert not re.search(r"[\\|\[\]*+?]", entry.says), "words, not a regular expression"
    assert diagnose(entry.says)[0].id == entry.id


def test_the_table_has_every_entry_once_in_both_forms():
    table = MessageTable(["01_state_dicts.ipynb"])
    markup = unescape(table._repr_html_().replace("<wbr>", ""))
    for entry in ENTRIES:
        for form in (repr(table), markup):
            assert (
                entry.meaning in form and entry.fix in form and entry.notebook[:-6] in form
            )
    assert markup.count("<tr>") == 1 + len(ENTRIES)
    assert set(re.findall('href="([^"]+)"', markup)) == {"01_state_dicts.ipynb"}


def test_lines_break_between_parts_and_never_inside_a_word():
    markup = MessageTable()._repr_html_()
    assert "overflow-wrap: anywhere" not in markup
    pieces = re.findall(r"(.)<wbr>(.)", unescape(markup))
    assert len(pieces) > 100
    assert {before for before, _ in pieces} <= set(".,([") and " " not in {
        after for _, after in pieces
    }
    assert 'min-width: 5em; white-space: nowrap">Notebook</th>' in markup


def test_the_notebook_links_to_every_notebook_that_is_there():
    shown = next(
        c
        for c in code(read(FOLDER / "14_cheat_sheet.ipynb").cells)
        if c.id == "clinic-table"
    )
    markup = shown.outputs[0].data["text/html"]
    there = {path.name for path in FOLDER.glob("*.ipynb")}
    assert set(re.findall('href="([^"]+)"', markup)) == there & {
        e.notebook for e in ENTRIES
    }
