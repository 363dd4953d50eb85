"""The error clinic and its table of messages: what they say, escape, link and compare."""

import re
from html import unescape

import pytest

from helpers.classroom.clinic import ENTRIES, diagnose, nearest
from helpers.classroom.explorers.error_clinic import (
    EMPTY,
    UNKNOWN,
    MessageTable,
    error_clinic,
)
from tests.course import FOLDER
from tests.notebook_rules.reading import code, read

SHAPE = "size mismatch for head.bias: copying a param with shape torch.Size([10])"


def said(clinic) -> str:
    """The markup of the answer."""
    return clinic.children[-1].value


def press(clinic, text: str) -> None:
    """Do what a learner does: paste, and press."""
    field, button, _ = clinic.children
    field.value = text
    button.click()


def test_a_message_gets_its_meaning_its_repair_and_its_notebook():
    clinic = error_clinic(["01_state_dicts.ipynb"])
    press(clinic, SHAPE)
    [found] = diagnose(SHAPE)
    assert clinic.diagnoses == [found]
    assert found.meaning in said(clinic)
    assert f"<code>{found.fix}</code>" in said(clinic)
    assert '<a href="01_state_dicts.ipynb"' in said(clinic)


def test_asking_from_python_does_the_same_as_pressing():
    one, other = error_clinic(), error_clinic()
    press(one, SHAPE)
    assert other.ask(SHAPE) == one.diagnoses
    assert (repr(other), said(other)) == (repr(one), said(one))


def test_a_text_that_arrives_after_the_press_is_answered_as_well():
    clinic = error_clinic()
    field, button, _ = clinic.children
    field.value = "Error(s) in loading"
    assert said(clinic) == ""  # nobody has asked yet
    field.value = ""
    button.click()
    assert clinic.heading == EMPTY
    field.value = "Attempting to deserialize object on a CUDA device"
    assert clinic.heading == "It means:"
    assert "CUDA" in said(clinic)


def test_several_meanings_are_told_apart():
    text = 'Missing key(s) in state_dict: "a". Unexpected key(s) in state_dict: "module.a".'
    clinic = error_clinic()
    clinic.ask(text)
    assert clinic.heading == "It may mean:"
    assert said(clinic).count("<li>") == len(diagnose(text)) > 1


def test_an_unknown_message_says_so_and_offers_the_nearest():
    clinic = error_clinic()
    clinic.ask("OverflowError: the state dict of the CUDA device is too deep")
    assert clinic.heading == UNKNOWN
    assert clinic.diagnoses == [nearest("the state dict of the CUDA device is too deep")]
    assert UNKNOWN in said(clinic) and UNKNOWN in repr(clinic)


@pytest.mark.parametrize("text", ["", " \n\t "])
def test_without_a_message_it_asks_for_one_and_guesses_nothing(text):
    clinic = error_clinic()
    clinic.ask(SHAPE)
    assert clinic.ask(text) == [] and EMPTY in said(clinic)


def test_a_notebook_that_is_not_there_is_named_and_not_linked():
    clinic = error_clinic(["03_safe_loading.ipynb"])
    clinic.ask(SHAPE)
    assert "<a " not in said(clinic) and "01_state_dicts" in said(clinic)


def test_what_is_said_is_escaped_and_what_was_pasted_is_never_markup():
    clinic = error_clinic()
    clinic.ask("<script>alert(1)</script> Can't get attribute 'Net' on <module 'nets'>")
    assert "<script" not in said(clinic) and "on &lt;module" in said(clinic)


def test_field_and_button_are_labelled_and_the_answer_is_an_alert():
    clinic = error_clinic()
    field, button, _ = clinic.children
    assert field.description and button.description
    assert said(clinic) == "", "nothing is read out before a question"
    clinic.ask(SHAPE)
    assert said(clinic).startswith('<div role="alert">')


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
    assert clinic._repr_mimebundle_()["text/plain"] == repr(clinic)


# The table for paper


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.id)
def test_a_message_of_the_table_is_diagnosed_by_the_clinic_itself(entry):
    assert not re.search(r"[\\|\[\]*+?]", entry.says), "words, not a regular expression"
    assert diagnose(entry.says)[0].id == entry.id


def test_the_table_has_every_entry_once_in_both_forms():
    table = MessageTable(["01_state_dicts.ipynb"])
    markup = unescape(table._repr_html_())
    for entry in ENTRIES:
        for form in (repr(table), markup):
            assert (
                entry.meaning in form and entry.fix in form and entry.notebook[:-6] in form
            )
    assert markup.count("<tr>") == 1 + len(ENTRIES)
    assert set(re.findall('href="([^"]+)"', markup)) == {"01_state_dicts.ipynb"}


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
