"""Exercises and quizzes: stub, solution, a hint for each usual mistake, no traceback."""

import copy
import importlib
import json
import re
import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from nbformat import NotebookNode

from helpers.classroom.data.networks import SimpleNet
from helpers.classroom.exercises import Quiz, check, quiz, quizzes
from helpers.classroom.exercises.checking import Result
from tests.course import gathered, known
from tests.course.notebook_01 import compare, save_and_say_nothing, strictly
from tests.make_notebooks import VIEW
from tests.notebook_rules.reading import FOLDER, code, read, tags

# The notebooks' own cells

CELLS = [
    (path.name, cell)
    for path in sorted(FOLDER.glob("*.ipynb"))
    for cell in code(read(path).cells)
]


def find(call: str) -> list[tuple[str, str, NotebookNode]]:
    """(id of the exercise or quiz, notebook, cell) wherever such a call ends a cell."""
    pattern = re.compile(rf'^exercises\.{call}\("([^"]+)".*\)\Z', re.MULTILINE)
    return [
        (found[1], notebook, cell)
        for notebook, cell in CELLS
        if (found := pattern.search(cell.source))
    ]


CHECKS = find("check")
QUIZZES = find("quiz")
IDS = sorted({id for id, *_ in CHECKS})
WRONG_ANSWERS = gathered("WRONG_ANSWERS")
each_id = pytest.mark.parametrize("id", IDS)


def test_every_call_ends_its_cell():
    text = "\n".join(cell.source for _, cell in CELLS)
    assert len(re.findall(r"exercises\.check\(", text)) == len(CHECKS)
    assert len(re.findall(r"exercises\.quiz\(", text)) == len(QUIZZES)


@each_id
@pytest.mark.parametrize(
    "tag, said", [("exercise", "Not tried yet"), ("solution", "Right")]
)
def test_the_stub_is_not_tried_yet_and_the_solution_is_right(id, tag, said):
    """Read in the stored output: nbval runs the cell and compares."""
    tagged = [cell for some, _, cell in CHECKS if some == id and tag in tags(cell)]
    assert len(tagged) == 1, f"{id} has {len(tagged)} cells tagged {tag!r}"
    assert "nbval-ignore-output" not in tags(tagged[0])
    result = tagged[0].outputs[-1]
    assert result.output_type == "execute_result"
    assert result.data["text/plain"].startswith(f"Exercise {id} · {said}: ")


def test_exercises_are_found_and_stand_in_the_notebook_of_their_number():
    assert {"00.1", "01.1", "01.2", "01.3"} <= set(IDS)
    assert all(notebook.startswith(id[:2]) for id, notebook, _ in CHECKS + QUIZZES)
    assert all(re.fullmatch(r"\d\d\.\d", id) for id in IDS)


def written_for(notebook: str):
    return importlib.import_module(f"helpers.classroom.exercises.notebook_{notebook[:2]}")


def test_every_exercise_that_is_written_is_set():
    for notebook in {name for _, name, *_ in CHECKS}:
        in_notebook = {id for id, name, *_ in CHECKS if name == notebook}
        assert set(written_for(notebook).EXERCISES) == in_notebook


# The usual wrong answers, each with a piece of its own hint


@each_id
def test_each_usual_wrong_answer_gets_its_own_hint(id):
    assert WRONG_ANSWERS.get(id), f"list them in tests/course/notebook_{id[:2]}.py"
    hints = set()
    for answer, piece in WRONG_ANSWERS[id]:
        result = check(id, answer)
        assert result.state == "wrong", piece
        assert piece in result.text
        assert result.text not in hints, "another wrong answer gets the same hint"
        hints.add(result.text)


# Right answers that look different


@pytest.mark.parametrize(
    "id, answer",
    [pair for some in known().values() for pair in some.RIGHT_ANSWERS],
)
def test_another_way_to_the_right_answer_is_right_too(id, answer):
    assert check(id, answer).state == "right", check(id, answer).text


def test_a_file_is_right_only_up_to_a_few_hundred_bytes_more():
    def twice(weights, count, path):
        torch.save(torch.cat([weights[:count], weights[:count]] * 9)[:count], path)

    assert "a slice shares" in check("01.2", twice).text


# What learners write, line by line


def test_a_percentage_is_told_from_a_count_wherever_it_comes_from():
    for answer in (1.1, 1, 98.9):
        assert "looks like a percentage" in check("00.1", answer).text, answer
    for answer in (7.909, np.float32(8.2)):
        assert "round it" in check("00.1", answer).text, answer
    for answer in (3.5, float("nan"), "8", 10**400):
        assert "expected a whole number" in check("00.1", answer).text, answer


def test_every_way_to_keep_the_whole_storage_is_told_to_clone():
    for keep in (torch.detach, torch.Tensor.contiguous, copy.deepcopy, lambda rows: rows):
        answer = save_and_say_nothing(lambda w, n, keep=keep: keep(w[:n]))
        assert check("01.2", answer).text.endswith(
            "detach() and contiguous() keep sharing it, copy.deepcopy copies all of it; "
            "clone() copies the rows alone."
        )


def test_an_array_or_another_format_is_told_to_save_the_tensor():
    def with_numpy(weights, count, path):
        np.save(path.open("wb"), weights[:count].numpy())

    for answer in (save_and_say_nothing(lambda w, n: w[:n].numpy()), with_numpy):
        assert check("01.2", answer).text == (
            "torch.load finds no tensor in the file: save the tensor itself, with "
            "torch.save."
        )


def test_comparing_by_position_is_told_to_compare_by_name():
    def by_position(a, b):
        for (name, one), (other_name, other) in zip(a.items(), b.items(), strict=False):
            if name != other_name or not strictly(one, other):
                return False
        return len(a) == len(b)

    assert "in another order" in check("01.3", by_position).text


def test_a_return_inside_the_loop_is_told_to_go_behind_it():
    def early(a, b):
        if a.keys() != b.keys():
            return False
        for name in a:
            if not strictly(a[name], b[name]):  # noqa: SIM103
                return False
            return True

    assert "only the first name was compared" in check("01.3", early).text


def test_a_forgotten_return_is_told_and_is_not_a_stub():
    def forgotten(a, b):
        if a.keys() != b.keys():
            return False
        for name in a:
            if not strictly(a[name], b[name]):
                return False

    result = check("01.3", forgotten)
    assert result.state == "wrong"
    assert "nothing for two equal state dicts; end with return True." in result.text


@pytest.mark.parametrize(
    "equals",
    [
        lambda a, b: a == b,
        lambda a, b: a.items() == b.items(),
        lambda a, b: a.keys() == b.keys() and all(a[name] == b[name] for name in a),
    ],
)
def test_double_equals_between_tensors_is_told_to_be_torch_equal(equals):
    assert check("01.3", equals).text.startswith("== between tensors gives many answers")


def test_tensors_are_the_same_by_their_values_and_not_by_being_one_object():
    one_object = compare(lambda x, y: x is y)
    assert "two equal state dicts were called different" in check("01.3", one_object).text


def test_another_error_of_torch_keeps_its_own_words():
    def stacks(a, b):
        return torch.stack([a["w"], b["b"]]).sum()

    assert "stack expects each tensor" in check("01.3", stacks).text


# Whatever else is given: a sentence, never a traceback from our side


STRANGE = (object(), "text", [], {}, 3.5, -1, torch.ones(2), int, SimpleNet(), lambda: None)


@each_id
def test_a_strange_answer_gets_one_kind_sentence(id):
    for answer in STRANGE:
        result = check(id, answer)
        assert result.state == "wrong", answer
        assert result.text[0].isascii() and result.text.endswith((".", "?")), answer
        assert "\n" not in result.text and "Traceback" not in result.text, answer


def test_no_answer_is_not_tried_yet():
    says = "replace the ... with your answer, then run the cell."
    for id in IDS:
        for answer in (..., None):
            assert check(id, answer) == Result(id, "untried", says), (id, answer)


def test_an_error_in_the_learners_code_is_told_with_its_line():
    source = "def keep(model):\n    wanted = model.state_dict()\n    return wanted['no']\n"
    namespace = {}
    exec(compile(source, "<cell>", "exec"), namespace)
    result = check("01.1", namespace["keep"])
    assert result.state == "wrong"
    assert result.text == "your answer raises KeyError: 'no' (in keep, line 3)."


def test_of_a_long_error_the_first_line_is_told_and_an_empty_one_has_its_name():
    def chatty(model):
        raise ValueError("what happened.\nAnd a page of advice.")

    def silent(model):
        raise AssertionError

    line = chatty.__code__.co_firstlineno
    assert check("01.1", chatty).text == (
        f"your answer raises ValueError: what happened (in chatty, line {line + 1})."
    )
    assert check("01.1", silent).text == (
        f"your answer raises AssertionError (in silent, line {line + 4})."
    )


def test_a_function_that_takes_something_else_is_told_so():
    assert "takes 0 positional arguments but 1 was given" in check("01.1", lambda: 1).text


def stub(*given):
    """A docstring and nothing more, as the notebooks' stubs are."""


def test_a_function_is_a_stub_only_while_its_code_names_nothing(tmp_path):
    def save_elsewhere(weights, count, path):
        torch.save(weights[:count].clone(), tmp_path / "elsewhere.pt")

    def save_nothing(weights, count, path):
        weights[:count].clone()

    def keep(model):
        model.state_dict()

    for id in ("01.1", "01.2", "01.3"):
        assert check(id, stub).state == "untried", id
    for id, begun in (("01.1", keep), ("01.2", save_nothing), ("01.2", save_elsewhere)):
        result = check(id, begun)
        assert result.state == "wrong", id
        assert "nothing" in result.text


def test_whoever_saves_nothing_is_told_where_the_check_looks():
    assert check("01.2", stub) == Result(
        "01.2", "untried", "nothing was saved at path: call torch.save(..., path)."
    )


@pytest.mark.parametrize("id", ["01.9", "1.1", "99.1", "", "01.q1", 1.1])
def test_an_unknown_exercise(id):
    with pytest.raises(ValueError) as caught:
        check(id, 1)
    assert str(caught.value) == f"there is no exercise {id!r}; an id looks like '01.1'"


def test_a_result_is_shown_with_a_sign_and_a_word_and_its_text_stays_text():
    signs = {"untried": "○", "right": "✓", "wrong": "→"}
    said = {"untried": "Not tried yet", "right": "Right", "wrong": "Not yet"}
    for state, sign in signs.items():
        result = Result("01.1", state, "a < b & c.")
        bundle = result._repr_mimebundle_()
        assert bundle["text/plain"] == f"Exercise 01.1 · {said[state]}: a < b & c."
        assert f"{sign} Exercise 01.1 · {said[state]}" in bundle["text/html"]
        assert "a &lt; b &amp; c." in bundle["text/html"]


# Quizzes


each_quiz = pytest.mark.parametrize("id", [id for id, *_ in QUIZZES])


def test_quizzes_are_found_and_each_that_is_written_is_set():
    assert {"00.q1", "01.q1"} <= {id for id, *_ in QUIZZES}
    # The call alone: nothing in the cell gives the answer away.
    assert all(cell.source == f'exercises.quiz("{id}")' for id, _, cell in QUIZZES)
    for notebook in {name for _, name, *_ in QUIZZES}:
        assert set(written_for(notebook).QUIZZES) == {
            id for id, name, *_ in QUIZZES if name == notebook
        }


@each_quiz
def test_a_notebooks_quiz_has_one_right_choice_and_explains_every_one(id):
    some = quiz(id)
    assert isinstance(some, Quiz) and some.question.endswith("?")
    heads = []
    for k, (text, _, explanation) in enumerate(some.choices):
        assert text and explanation.endswith(".")
        said = some.pick(k)
        assert said.endswith(explanation)
        heads.append(said.removesuffix(f". {explanation}"))
    assert some.picked == list(range(len(some.choices)))
    assert sorted(set(heads)) == ["Not quite", "Right"]
    assert heads.count("Right") == 1
    explanations = [choice[2] for choice in some.choices]
    assert len(set(explanations)) == len(explanations)
    # Choices change their places, so nothing may speak of a letter.
    assert not any(re.search(r"\b[a-f]\)", text) for text in explanations)


def test_no_position_has_more_than_half_of_the_right_choices():
    right = [[is_right for _, is_right, _ in quiz(id).choices] for id, *_ in QUIZZES]
    places = Counter(flags.index(True) for flags in right)
    assert max(places.values()) <= len(QUIZZES) / 2, places


@each_quiz
def test_before_a_choice_nothing_shown_gives_the_answer_away(id):
    some = quiz(id)
    bundle, _ = some._repr_mimebundle_()
    assert bundle["text/plain"] == repr(some)
    assert repr(some).startswith(f"Quiz: {some.question}\n  a) ")
    assert VIEW in bundle and bundle["text/html"].count("<li>") == len(some.choices)
    for shown in (bundle["text/plain"], bundle["text/html"]):
        assert not any(explanation in shown for *_, explanation in some.choices)
        assert "True" not in shown and "Right" not in shown
    assert some.picked == []


def test_what_is_shown_stays_the_same_after_a_pick():
    some = quiz("00.q1")
    before = some._repr_mimebundle_()[0]
    some.pick(0)
    assert some._repr_mimebundle_()[0] == before


def test_a_quiz_is_built_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quiz("00.q1")


def test_a_question_and_a_choice_are_text_not_markup():
    some = Quiz("Is 1 < 2?", [("<b>yes", True, "1 < 2 & so on."), ("no", False, "It is.")])
    html = some._repr_mimebundle_()[0]["text/html"]
    assert "Is 1 &lt; 2?" in html and "<li>&lt;b&gt;yes</li>" in html
    # In the browser, every text is set as text.
    script = (Path(quizzes.__file__).parent / "quiz.js").read_text(encoding="utf-8")
    assert "innerHTML" not in script and "insertAdjacentHTML" not in script


@pytest.mark.parametrize(
    "choices, says",
    [
        ([("a", True, "x")], "got 1 choices; expected two to six"),
        ([(str(k), k == 0, "x") for k in range(7)], "got 7 choices; expected two to six"),
        ([("a", False, "x"), ("b", False, "y")], "expected exactly one right choice"),
        ([("a", True, "x"), ("b", True, "y")], "expected exactly one right choice"),
        ([("a", True, "x"), ("b", False, " ")], "the choice 'b' has no explanation"),
    ],
)
def test_a_quiz_is_checked_when_it_is_made(choices, says):
    with pytest.raises(ValueError) as caught:
        Quiz("Which?", choices)
    assert str(caught.value) == says


@pytest.mark.parametrize("id", ["01.q9", "99.q1", "01.1", ""])
def test_an_unknown_quiz(id):
    with pytest.raises(ValueError) as caught:
        quiz(id)
    assert str(caught.value) == f"there is no quiz {id!r}; an id looks like '01.q1'"


def test_an_answer_that_leaves_python_gets_a_sentence():
    def leave(model):
        sys.exit(3)

    result = check("01.1", leave)
    assert result.state == "wrong"
    assert "your answer raises SystemExit: 3 (in leave, line" in result.text


def test_the_place_of_an_error_is_in_the_learners_own_code():
    def parse(model):
        return json.loads("not JSON")

    assert "(in parse, line" in check("01.1", parse).text


def test_a_missing_package_is_not_a_missing_exercise(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError("No module named 'sklearn'", name="sklearn")

    checking = "helpers.classroom.exercises.checking"
    monkeypatch.setattr(f"{checking}.importlib.import_module", missing)
    with pytest.raises(ModuleNotFoundError, match="sklearn"):
        check("00.1", 8)
