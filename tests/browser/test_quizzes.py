"""Quizzes as a learner meets them, and what is kept of the answers."""

import re

import pytest
from playwright.sync_api import expect

from helpers.classroom.exercises import quiz
from helpers.classroom.exercises.record import FILE
from tests import browser as lab
from tests.browser import QUIZ, next_day

RIGHT = "Right. You build the same model from your own code, then fill it."
GPU = "Not quite. Tensors can go anywhere: map_location says where. Notebook 04 has more."


@pytest.fixture
def shown(jupyter):
    """The quiz of notebook 01, with nothing picked."""
    page, _ = jupyter.executed("01_state_dicts.ipynb")
    some = lab.show(page, QUIZ).locator(QUIZ)
    if (again := some.get_by_role("button", name="Try again")).is_visible():
        again.click()
    return some


def choice(some, letter):
    return some.get_by_role("button", name=re.compile(rf"^{letter}\)"))


def test_a_pick_is_marked_and_the_right_one_explains_all_by_keyboard(shown):
    status, words = shown.get_by_role("status").first, shown.locator(".words:visible")
    expect(words).to_have_count(0)
    choice(shown, "b").press("Space")
    expect(status).to_have_text(GPU)
    expect(words).to_have_text(GPU.replace("Not quite.", "→ You chose this: not quite."))
    shown.page.keyboard.press("Tab")
    expect(choice(shown, "c")).to_be_focused()
    shown.page.keyboard.press("Enter")
    expect(status).to_have_text(f"{RIGHT} Every choice is explained now.")
    said = ["– Not this one.", "→ You chose this: not quite.", f"✓ {RIGHT}"]
    expect(words).to_contain_text(said)
    expect(choice(shown, "c")).to_be_focused()
    expect(choice(shown, "c")).to_have_accessible_description(f"✓ {RIGHT}")
    # The others can still be tried.
    choice(shown, "a").press("Space")
    expect(status).to_have_text(re.compile("^Not quite. It holds tensors and names"))
    expect(words.first).to_contain_text("→ You chose this: not quite. It holds")
    shown.get_by_role("button", name="Try again").press("Space")
    expect(words).to_have_count(0)
    expect(status).to_be_empty()
    expect(choice(shown, "a")).to_be_focused()


def test_keys_in_a_quiz_do_not_reach_jupyterlab(shown):
    state = """() => {
        const content = window.jupyterapp.shell.currentWidget.content;
        return [content.model.cells.length, content.activeCellIndex, content.mode];
    }"""
    choice(shown, "a").focus()
    before = shown.page.evaluate(state)
    for key in ("a", "b", "j", "ArrowUp", "d", "d"):
        shown.page.keyboard.press(key)
    assert shown.page.evaluate(state) == before
    expect(choice(shown, "a")).to_be_focused()


def test_a_quiz_answers_while_the_kernel_is_busy(shown):
    lab.keep_busy(shown.page, 600)
    try:
        choice(shown, "c").click()
        expect(shown.get_by_role("status").first).to_contain_text(RIGHT)
        # Nobody can say yet that it is lost.
        shown.page.wait_for_timeout(1500)
        expect(shown.locator(".note")).to_be_empty()
        assert lab.is_asleep(shown.page)
    finally:
        lab.wake(shown.page)


@pytest.mark.parametrize(
    ("width", "theme"), [(800, "JupyterLab Dark"), (480, "JupyterLab Light")]
)
def test_an_explained_quiz_fits_into_a_narrow_window(shown, width, theme):
    page = shown.page
    choice(shown, "b").click()
    choice(shown, "c").click()
    lab.change_theme(page, theme)
    lab.resize(page, width)
    try:
        shown.scroll_into_view_if_needed()
        assert lab.too_wide(shown) == []
        for button in shown.get_by_role("button").all():
            assert button.bounding_box()["height"] >= 24
        lab.keep_screen(page, f"quiz_{width}_{theme[11:].lower()}.png")
    finally:
        lab.resize(page, 1280)
        lab.change_theme(page, "JupyterLab Light")


# A teacher's way: a solution is run, and an answer of a learner.
ANSWERS = [
    "from helpers.classroom import exercises",
    'exercises.quiz("00.q1")',
    '# Solution 00.1\nexercises.check("00.1", 8)',
    'exercises.check("01.1", ...)',
]


def test_what_a_learner_answers_is_kept_beside_the_notebook(jupyter):
    page = jupyter.own("answers.ipynb", ANSWERS)
    (jupyter.notebooks / FILE).unlink(missing_ok=True)  # of other tests
    report = "from helpers.classroom import exercises; exercises.report()"
    # Neither a solution nor a stub counts.
    lab.run_cell(page, 2)
    lab.run_cell(page, 3)
    assert re.search(r"(?m)^all +0 of \d+ +0 +0 of \d+ +0 +-$", lab.execute(page, report))
    wrong = [is_right for _, is_right, _ in quiz("00.q1").choices].index(False)
    some = lab.show(page, QUIZ).locator(QUIZ)
    choice(some, "abcdef"[wrong]).click()
    lab.execute(page, "exercises.check('00.1', 711); exercises.check('00.1', 8)")
    row = re.search(r"(?m)^00 .*$", lab.execute(page, report))[0].split("  ")
    assert [text.strip() for text in row if text][:5] == [
        *("00", "1 of 1", "0", "1 of 1", "2")
    ]
    text = (jupyter.notebooks / FILE).read_text()
    assert text.count("\n") == 3 and str(jupyter.notebooks) not in text


def test_an_answer_that_is_not_kept_says_so(jupyter):
    name = "second_day.ipynb"
    page = jupyter.own(name, ANSWERS[:2])
    file = jupyter.notebooks / FILE
    next_day.reopen(page, name)
    page.locator(QUIZ).wait_for()
    some = lab.show(page, QUIZ).locator(QUIZ)
    note = some.locator(".note")
    choice(some, "a").click()
    said = "Not kept: run the cells above and this one, then answer again."
    expect(note).to_have_text(said)
    expect(note).to_have_role("status")
    assert lab.too_wide(some) == []
    lab.keep_screen(page, "quiz_not_kept.png")
    some.get_by_role("button", name="Try again").click()
    expect(note).to_be_empty()
    # What it says helps.
    lab.run_cell(page, 0)
    lab.run_cell(page, 1)
    file.unlink(missing_ok=True)
    choice(some, "a").click()
    page.wait_for_timeout(1200)
    expect(note).to_be_empty()
    assert '"00.q1"' in file.read_text()
    # After a restart the way to Python is closed.
    context = "window.jupyterapp.shell.currentWidget.sessionContext"
    page.evaluate(f"() => {context}.restartKernel()")
    choice(some, "a").click()
    expect(note).to_have_text(said)
    # Another fault: Python hears it, and cannot write.
    lab.run_cell(page, 0)
    lab.run_cell(page, 1)
    file.unlink()
    file.mkdir()
    choice(some, "a").click()
    expect(note).to_contain_text(f"Progress is not kept: {FILE} cannot be written (")
    file.rmdir()
    jupyter.close(name)
