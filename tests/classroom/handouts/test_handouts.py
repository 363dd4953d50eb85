"""Handouts: no solution reaches a learner, and no page asks the network for anything."""

import ast
import re
import shutil
from html.parser import HTMLParser

import nbformat
import pytest

from helpers.classroom import handouts
from helpers.classroom.handouts import command, execute, pages, panels
from helpers.classroom.handouts.pages import with_links_between_pages
from tests.browser import chromium, expect
from tests.make_notebooks import NOTEBOOKS

PATHS = sorted(NOTEBOOKS.glob("*.ipynb"))
WITH_EXERCISES = [p for p in PATHS if '"solution"' in p.read_text(encoding="utf-8")]
SVG = "image/svg+xml"
EXAMPLE = "00_start_here"
each_notebook = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
each_with_exercises = pytest.mark.parametrize("path", WITH_EXERCISES, ids=lambda p: p.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def is_solution(cell):
    return "solution" in cell.metadata.get("tags", [])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """All that is written for one notebook with live panels, executed once."""
    folder = tmp_path_factory.mktemp("handouts")
    executed = []

    def recorded(*arguments):
        executed.append(execute(*arguments))
        return executed[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(handouts, "execute", recorded)
        command.write(NOTEBOOKS / f"{EXAMPLE}.ipynb", folder)
    nbformat.write(executed[0], folder / "executed.ipynb")
    return folder


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


# Notebooks.


@each_with_exercises
def test_a_learner_gets_everything_but_the_solutions(path):
    whole = read(path)
    learner = handouts.for_learners(whole)
    rest = [cell for cell in whole.cells if not is_solution(cell)]
    assert [cell.id for cell in learner.cells] == [cell.id for cell in rest]
    for had, has in zip(rest, handouts.for_readers(whole).cells, strict=True):
        # Only the title has a link that leaves the folder: the one to the index.
        assert had == has or (had.id, has.id) == ("title", "title")
    solutions = [cell for cell in whole.cells if is_solution(cell)]
    rest = "\n".join(cell.source for cell in learner.cells)
    lines = {line.strip() for cell in solutions for line in cell.source.splitlines()}
    copied = {line for line in lines if line.startswith(("# Solution", "def solution"))}
    assert solutions and copied
    reader = handouts.for_readers(whole)
    for text in (nbformat.writes(learner), handouts.page(reader, "x", path.parent)):
        assert [line for line in copied if line in text] == []
    # Also not a whole solution without its name.
    bodies = [cell.source.partition("\n")[2] for cell in solutions]
    assert [body for body in bodies if body in rest] == []
    # Nor a sentence about what is not there.
    assert re.findall(r"(?i)[^.\n]*\bsolutions?\b[^.\n]*", rest) == []


@each_notebook
def test_a_learners_copy_shows_nothing_before_it_is_run_and_a_teachers_shows_all(path):
    whole = read(path)
    learner, teacher = handouts.for_learners(whole), handouts.for_teachers(whole)
    code = [cell for cell in learner.cells if cell.cell_type == "code"]
    assert code and all(not c.outputs and c.execution_count is None for c in code)
    nbformat.validate(learner)
    both = zip(whole.cells, teacher.cells, strict=True)
    assert [c.get("outputs") for c, _ in both] == [c.get("outputs") for c in teacher.cells]


@each_with_exercises
def test_no_cell_needs_what_a_solution_defines(path):
    defined, used = set(), set()
    for cell in read(path).cells:
        if cell.cell_type == "code" and not cell.source.startswith("%"):
            names = list(ast.walk(ast.parse(cell.source)))
            stored = {n.id for n in names if type(n) is ast.Name and is_store(n)}
            stored |= {n.name for n in names if isinstance(n, ast.FunctionDef)}
            if is_solution(cell):
                defined |= stored - used
            else:
                used |= stored
                loaded = {n.id for n in names if type(n) is ast.Name and not is_store(n)}
                assert loaded & (defined - used) == set(), cell.id


def is_store(name):
    return isinstance(name.ctx, ast.Store)


def test_a_learners_handout_runs_with_its_stubs_as_they_are(made):
    notebook = read(made / "executed.ipynb")
    written = read(made / "learner" / f"{EXAMPLE}.ipynb")
    assert [cell.source for cell in notebook.cells] == [c.source for c in written.cells]
    said = [
        output.data["text/plain"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.get("data", {}).get("text/plain", "").startswith("Exercise ")
    ]
    assert [text.split("· ")[1].split(":")[0] for text in said] == ["Not tried yet"]


@each_with_exercises
def test_a_teacher_sees_the_solutions_unfolded(path):
    # The code is the course's own, which nbval executes.
    whole, teacher = read(path), handouts.for_teachers(read(path))
    code = [
        [c.source for c in some.cells if c.cell_type == "code"] for some in (whole, teacher)
    ]
    assert code[0] == code[1] and len(whole.cells) == len(teacher.cells)
    assert [c.id for c in teacher.cells if c.metadata.get("jupyter")] == []
    assert any(cell.metadata.get("jupyter") for cell in whole.cells), "nothing was folded"


@each_notebook
def test_links_of_a_handed_out_notebook_stay_among_the_notebooks(path):
    assert "[index](../README.md#the-map)" in nbformat.writes(read(path))
    for make in (handouts.for_learners, handouts.for_teachers):
        text = nbformat.writes(make(read(path)))
        assert "](../" not in text and "index" in text
        # And none needs a picture or a folder beside it.
        texts = [c.source for c in make(read(path)).cells if c.cell_type == "markdown"]
        prose = re.sub(r"```.*?```|`[^`]*`", "", "\n".join(texts), flags=re.DOTALL)
        links = re.findall(r"\]\((?!https://|#)([^)#]+)", prose)
        assert [link for link in links if not re.fullmatch(r"\w+\.ipynb", link)] == []


# Pages.


class Loads(HTMLParser):
    """Collects the addresses that a page loads, and those that it links to."""

    def __init__(self, text):
        super().__init__()
        self.loads, self.links = [], []
        self.feed(text)
        self.loads += re.findall(r"@import[^;]*|url\((?!['\"]?(?:data:|#))[^)]*\)", text)
        self.loads += re.findall(
            r"^\s*import .* from .*|\bimport\(.*|\bfetch\(.*", text, re.M
        )

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if tag == "a" and name == "href":
                self.links.append(value)
            elif name in ("src", "href", "srcset", "data", "poster", "xlink:href"):
                self.loads.append(value)


@each_notebook
def test_a_page_is_one_file_that_loads_nothing(path):
    text = handouts.page(read(path), path.stem, path.parent)
    found = Loads(text)
    assert [each for each in found.loads if not each.startswith(("data:", "#"))] == []
    outside = ("https://", "#")
    inside = [link for link in found.links if not link.startswith(outside)]
    assert [link for link in inside if not re.fullmatch(r"[\w-]+\.html(#.*)?", link)] == []
    assert len(text.encode()) < 3e6


def test_the_rule_about_loading_finds_what_it_is_there_for():
    text = '<script src="a.js"></script><img src="data:x"><style>@import url(b)</style>'
    assert len(Loads(text).loads) == 3


@each_notebook
def test_a_page_begins_by_saying_that_keys_and_menus_are_those_of_the_notebook(path):
    text = re.sub(r"<[^>]*>", "", handouts.page(read(path), path.stem, path.parent))
    words = text.partition(pages.NOTE)
    title = read(path).cells[0].source.splitlines()[0].lstrip("# ")
    # It stands before the title; the title of the window is that of the notebook.
    assert words[1] and title in words[2] and words[0].count(title) == 1


@each_notebook
def test_no_notebook_needs_the_scripts_that_pages_go_without(path):
    texts = [cell.source for cell in read(path).cells if cell.cell_type == "markdown"]
    for text in texts:
        prose = re.sub(r"`[^`]*`", "", text)
        assert not re.search(r"\$.+\$|\\\(|\\\[|```mermaid", prose), text


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ('<a href="01_x.ipynb">a</a>', '<a href="01_x.html">a</a>'),
        ('<a href="01_x.ipynb#Y">a</a>', '<a href="01_x.html#Y">a</a>'),
        ('<a href="../README.md#map">a</a>', "a"),
        ('<a href="https://e.org/x.ipynb">a</a>', '<a href="https://e.org/x.ipynb">a</a>'),
    ],
)
def test_links_stay_in_the_folder_or_become_text(link, expected):
    assert with_links_between_pages(f"<p>{link}</p>") == f"<p>{expected}</p>"


def open_alone(browser, path):
    """Open a file with the network blocked; return the page and what it asked for."""
    page = browser.new_context(offline=True).new_page()
    asked, errors = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("requestfailed", lambda request: errors.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(path.as_uri())
    assert errors == []
    return page, asked


def figures(path):
    """The cells with a picture, in their order."""
    return [
        cell.id
        for cell in read(path).cells
        for output in cell.get("outputs", [])
        if SVG in output.get("data", {})
    ]


def test_a_page_shows_every_figure_without_the_network(made, browser):
    file = made / "pages" / f"{EXAMPLE}.html"
    page, asked = open_alone(browser, file)
    assert asked == [file.as_uri()]
    shown = page.locator(".sls-still > svg, .sls-panel .picture > svg")
    assert shown.count() == len(figures(NOTEBOOKS / f"{EXAMPLE}.ipynb")) > 0
    for picture in shown.all():
        assert picture.bounding_box()["height"] > 50
    page.context.close()


def test_a_panel_whose_pictures_are_held_is_live_in_the_page(made, browser):
    page, _ = open_alone(browser, made / "pages" / f"{EXAMPLE}.html")
    panel = page.get_by_role("region", name="One row of weights")

    def shown():
        panel.locator(".guess-line").wait_for()
        return panel.locator(".words").inner_text(), panel.locator(".picture").inner_html()

    before = shown()
    slider = panel.get_by_role("slider", name="Bits for each weight")
    slider.press("ArrowRight")
    # The answer is covered, until the learner guesses.
    assert "With 4 bits" in shown()[0] and "error" not in shown()[0]
    assert shown()[1] != before[1]
    slider.press("ArrowLeft")
    assert shown() == before
    panel.get_by_role("button", name="Show the answer").click()
    slider.press("ArrowRight")
    assert "With 4 bits" in shown()[0] and "error" in shown()[0]
    assert shown()[0].startswith("You said 1.5×, it is ")
    assert panel.locator(".status").inner_text() == ""
    page.context.close()


@pytest.mark.parametrize("kind", ["panel", "quiz"])
def test_what_is_held_is_all_that_the_script_asks_for(kind):
    asked = re.findall(r'model\.get\("(\w+)"\)', panels.script(kind))
    assert set(asked) == set(panels.ASKED[kind])


def test_a_quiz_is_live_in_the_page(made, browser):
    page, _ = open_alone(browser, made / "pages" / f"{EXAMPLE}.html")
    quiz = page.get_by_role("group", name="What did torch.save")
    first = quiz.get_by_role("button", name="a) the tensors, under their names")
    quiz.get_by_role("button", name=re.compile(r"^c\)")).press("Space")
    expect(quiz.get_by_role("status").first).to_have_text(re.compile("Not quite. It holds"))
    first.press("Space")
    expect(quiz.get_by_role("status").first).to_have_text(re.compile("Right. Numbers"))
    expect(first).to_be_focused()
    page.context.close()


def test_a_quiz_that_stands_still_shows_its_choices_and_no_answer():
    path = NOTEBOOKS / f"{EXAMPLE}.ipynb"
    text = handouts.page(read(path), path.stem, path.parent)
    assert "<li>the tensors, under their names</li>" in text
    assert "Numbers and names, no more than that." not in text


def test_a_panel_that_stands_still_shows_picture_and_words():
    path = NOTEBOOKS / "08_quantization.ipynb"
    text = handouts.page(read(path), path.stem, path.parent)
    assert "SQNR 3.9 dB" in text.partition("<figcaption>A layer's weights: ")[2]


# Slides.


@pytest.fixture(scope="module")
def slides(made):
    if missing := command.fetch_reveal(made):
        pytest.skip(missing)
    return made / "slides" / f"{EXAMPLE}.html"


# How much of a slide is out of sight, in px, and the smallest type of its tables and code.
MEASURED = """() => {
    const slide = Reveal.getCurrentSlide();
    const size = (node) =>
        parseFloat(getComputedStyle(node).fontSize) *
        node.currentCSSZoom *
        Reveal.getScale();
    const sizes = [...slide.querySelectorAll("p, td, th, pre")].map(size);
    return [slide.scrollHeight - slide.clientHeight, Math.min(...sizes, 99)];
}"""


def test_every_slide_fits_in_readable_type(slides, browser):
    page, _ = open_alone(browser, slides)
    page.set_viewport_size({"width": 1280, "height": 720})
    page.wait_for_function("window.Reveal?.isReady()")
    seen = {}  # number of the slide -> how much is hidden, smallest type
    while True:
        hidden, smallest = page.evaluate(MEASURED)
        seen[len(seen) + 1] = (hidden, smallest)
        if page.evaluate("Reveal.isLastSlide()"):
            break
        page.evaluate("Reveal.next()")
    assert len(seen) > 10
    assert {k: some for k, some in seen.items() if some[0] > 0 or some[1] < 11} == {}
    # And where there is room, type keeps its size.
    assert max(smallest for _, smallest in seen.values()) > 15
    page.context.close()


def test_slides_show_every_figure_and_load_only_what_lies_beside_them(slides, browser):
    page, asked = open_alone(browser, slides)
    page.wait_for_function("window.Reveal?.isReady()")
    folder = slides.parent.as_uri()
    assert [url for url in asked if not url.startswith((folder, "data:"))] == []
    seen = 0
    while True:
        page.evaluate("while (Reveal.availableFragments().next) Reveal.nextFragment()")
        seen += page.locator("section.present:not(.stack) svg:visible").count()
        if page.evaluate("Reveal.isLastSlide()"):
            break
        page.evaluate("Reveal.next()")
    assert seen == len(figures(NOTEBOOKS / f"{EXAMPLE}.ipynb"))
    page.context.close()


@each_notebook
def test_slides_hold_no_solution(path):
    text = handouts.slides(read(path), path.stem, path.parent)
    assert "# Solution" not in re.sub(r"<[^>]*>", "", text)
    assert [each for each in Loads(text).loads if "//" in each] == []


def test_the_number_of_a_slide_is_not_under_the_arrows(slides, browser):
    page, _ = open_alone(browser, slides)
    page.wait_for_function("window.Reveal?.isReady()")
    number = page.locator(".slide-number").bounding_box()
    arrows = page.locator("aside.controls").bounding_box()
    assert number["x"] + number["width"] < arrows["x"]
    page.context.close()


def cells(*texts):
    """A notebook of Markdown and of code, which begins with `>`, `p` prints, `f` draws."""
    made = []
    for text in texts:
        if not text.startswith(">"):
            made.append(nbformat.v4.new_markdown_cell(text))
            continue
        kind, _, tag = text[1:].partition(" ")
        drawn = nbformat.v4.new_output("display_data", {SVG: "<svg/>"})
        printed = nbformat.v4.new_output("stream", text="1")
        outputs = {"f": [drawn], "p": [printed], "": []}[kind]
        cell = nbformat.v4.new_code_cell("x", outputs=outputs)
        cell.metadata["tags"] = [tag] if tag else []
        made.append(cell)
    return nbformat.v4.new_notebook(cells=made)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["# T", "## Set-up", ">p"], "slide skip skip"),
        (["## A?", ">p", ">f", "*Read:* b"], "slide skip subslide fragment"),
        (["## A?", ">", ">p", ">p"], "slide skip subslide skip"),
        (["## A?", "b", ">f", ">f"], "slide subslide fragment subslide"),
        (["## E", ">p exercise", ">f solution"], "slide skip skip"),
    ],
)
def test_what_goes_on_which_slide(texts, expected):
    typed = handouts.with_slide_types(cells(*texts))
    kinds = [cell.metadata["slideshow"]["slide_type"] for cell in typed.cells]
    assert " ".join(kinds) == expected


# The command.


def test_without_npm_only_the_slides_are_left_out(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    command.main(["08_quantization.ipynb", "--still", "--to", str(tmp_path)])
    said = capsys.readouterr().out
    assert "The slides are left out: npm is not here; it comes with Node.js." in said
    written = {path.name for path in tmp_path.rglob("08_*")}
    assert written == {"08_quantization.ipynb", "08_quantization.html"}
    assert not (tmp_path / "slides").exists()


def test_npm_that_fails_says_why(tmp_path, monkeypatch):
    npm = tmp_path / "npm.sh"
    npm.write_text("#!/bin/sh\necho no registry >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(npm))
    assert "no registry" in command.fetch_reveal(tmp_path / "out")


def test_a_notebook_that_is_not_there_is_named(capsys):
    with pytest.raises(SystemExit):
        command.main(["99_none.ipynb"])
    assert "there is no notebook 99_none.ipynb; there are: 00_" in capsys.readouterr().err


def test_where_a_cell_fails_its_panels_stand_still(tmp_path):
    notebook = cells("# Title")
    notebook.cells.append(nbformat.v4.new_code_cell("1 / 0"))
    path = tmp_path / "broken.ipynb"
    nbformat.write(notebook, path)
    line = command.write(path, tmp_path / "out", slides=False)
    assert (
        "its panels stand still, since a cell failed: ZeroDivisionError: division by zero"
        in line
    )
    assert (tmp_path / "out" / "pages" / "broken.html").exists()
