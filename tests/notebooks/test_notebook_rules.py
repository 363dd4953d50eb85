"""Every notebook keeps every rule, and every rule finds the fault that it is there for."""

import re
import subprocess
import sys
from copy import deepcopy

import nbformat
import pytest

from tests import notebook_rules as rules
from tests.course import known
from tests.make_notebooks import FOLDED, normalise

START, STATE_DICTS = (
    rules.FOLDER / name for name in ("00_start_here.ipynb", "01_state_dicts.ipynb")
)


def report(faults):
    return "\n".join(["", *faults])


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", rules.NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_keeps_the_rule(path, rule):
    faults = rule(rules.read(path), path)
    assert not faults, report(faults)


@pytest.mark.parametrize("path", rules.NOTEBOOKS, ids=lambda path: path.stem)
def test_the_file_is_what_make_notebooks_writes(path):
    notebook = rules.read(path)
    nbformat.validate(notebook)
    written = nbformat.writes(normalise(notebook), version=4) + "\n"
    assert path.read_text(encoding="utf-8") == written, "run `make notebooks`"


@pytest.mark.parametrize("how", [["check"], ["format", "--check"]], ids=" ".join)
def test_ruff_has_nothing_to_say(how):
    command = [sys.executable, "-m", "ruff", *how, "notebooks"]
    done = subprocess.run(command, cwd=rules.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_readme_has_the_same_map():
    text = (rules.ROOT / "README.md").read_text(encoding="utf-8")
    faults = rules.readme_map(text)
    assert not faults, report(faults)


def test_every_reason_belongs_to_a_cell_that_needs_it():
    for stem, some in known().items():
        [path] = rules.FOLDER.glob(f"{stem}.ipynb")
        tagged = {
            cell.id: set(cell.metadata.get("tags", [])) for cell in rules.read(path).cells
        }
        for cell in some.IGNORED:
            assert "nbval-ignore-output" in tagged.get(cell, set()), (stem, cell)
        for cell in getattr(some, "SHOWN", {}):
            warns = {"shows-warning", "shows-deprecated"}
            assert tagged.get(cell, set()) & warns, (stem, cell)


# From here on: a copy of a notebook gets one fault, and the rule has to name it.


class Copy:
    """A notebook to be spoiled. Cells are named by their ids."""

    def __init__(self, path):
        self.notebook = deepcopy(rules.read(path))

    def __getitem__(self, id):
        return next(cell for cell in self.notebook.cells if cell.id == id)

    def put(self, id, old, new):
        """Replace a pattern in a cell's source."""
        changed, count = re.subn(old, new, self[id].source, count=1)
        assert count, f"{id} holds no {old}"
        self[id].source = changed

    def say(self, id, text):
        """Add a paragraph to a markdown cell, or a line to a code cell."""
        self[id].source += ("\n\n" if self[id].cell_type == "markdown" else "\n") + text

    def print(self, id, text, name="stdout"):
        """Give a cell one output, a stream."""
        self[id].outputs = [nbformat.v4.new_output("stream", name=name, text=text)]

    def print_also(self, id, text):
        """Give a cell one more output, a stream."""
        self[id].outputs += [nbformat.v4.new_output("stream", text=text)]

    def show(self, id, **data):
        """Give a cell one output, of any kind: text, html, svg, png."""
        kinds = {
            "text": "text/plain",
            "html": "text/html",
            "svg": "image/svg+xml",
            "png": "image/png",
        }
        data = {kinds[kind]: value for kind, value in data.items()}
        self[id].outputs = [nbformat.v4.new_output("display_data", data)]

    def tag(self, id, *tags):
        self[id].metadata["tags"] = list(tags)

    def fold(self, id):
        """Fold the cells below a heading."""
        self[id].metadata[FOLDED] = True

    def unfold(self, id, key):
        del self[id].metadata["jupyter"][key]

    def drop(self, *ids):
        kept = [cell for cell in self.notebook.cells if cell.id not in ids]
        self.notebook.cells = kept

    def swap(self, one, other):
        cells = self.notebook.cells
        i, j = (cells.index(self[id]) for id in (one, other))
        cells[i], cells[j] = cells[j], cells[i]

    def code(self, source):
        """Put a cell of code in place of 'simple', the first of the first section."""
        self["simple"].source = source


LINES = "\n".join(f"print({k})" for k in range(16))
SVG = '<svg role="img" aria-label="Three bars.">'

# (rule, what is done to a copy of notebook 01, a part of what the rule says about it)
FAULTS = [
    ("title", lambda c: c.put("title", "# 01", "# 02"), "expected '# 01 · Name'"),
    ("title", lambda c: c.put("title", "01 · ", "01 - "), "expected '# 01 · Name'"),
    ("title", lambda c: c.put("title", r"\.\n", ". More. \n"), "is not one sentence"),
    ("title", lambda c: c.put("title", "35 minutes", "a while"), "expected '*MM minutes"),
    ("title", lambda c: c.put("title", "00_start", "02_start"), "previous: [00 · Start"),
    ("title", lambda c: c.put("title", r" · \[index.*?\)", ""), "[index](../README.md"),
    ("title", lambda c: c.say("title", "Hello."), "a title, a sentence and a line"),
    ("headings", lambda c: c.drop("set-up-why"), "headings are"),
    ("headings", lambda c: c.put("try", "Try it", "Play"), "'Play'"),
    ("headings", lambda c: c.put("break", "## Break it", "So:"), "expected"),
    ("headings", lambda c: c.swap("break", "exercises"), "headings are"),
    ("headings", lambda c: c.put("inside", r"\?$|\?\n", "\n"), "What is inside a state"),
    ("headings", lambda c: c.say("tied-read", "## More?"), "tied-read: a heading is to be"),
    ("headings", lambda c: c.put("eval", "## .*", "## Further: more"), "'Further'"),
    ("headings", lambda c: c.fold("eval"), "eval: '## Further: ...' is to be folded"),
    ("headings", lambda c: c.put("try", "^", "## Further: x\n\n"), "try: '## Further"),
    ("set_up", lambda c: c.print("set-up", "ready\n"), "expected one line of versions"),
    ("set_up", lambda c: c.put("set-up", r"seed_everything\(0\)", ""), "no seed"),
    ("set_up", lambda c: c.swap("set-up", "simple"), "one code cell, with the id"),
    ("predict_and_read", lambda c: c.put("eval", "Predict", "P"), "no *Predict:*"),
    ("predict_and_read", lambda c: c.put("eval-read", "Read", "R"), "no *Read:*"),
    ("predict_and_read", lambda c: c.drop("scaler", "outside-proof"), "nothing is run"),
    (
        "predict_and_read",
        lambda c: c.put("exercises", "## .*", "## Further: x\n\n### Or y"),
        "'Or y': no *Predict:*",
    ),
    ("recap", lambda c: c.put("recap", "1,961 bytes.*", "few bytes"), "no number"),
    ("recap", lambda c: c.put("recap", r"(?m)^- .*\n", ""), "5 promises, 4 bullets"),
    ("recap", lambda c: c.put("promises", r"(?ms)^- .*", "- x"), "1 promises; expected 3"),
    ("recap", lambda c: c.put("promises", "(- .*\n)(- .*\n)", r"\2\1"), "does not speak"),
    ("recap", lambda c: c.put("recap", r"(?s)Documentation.*", ""), "docs.pytorch.org"),
    ("numbers", lambda c: c.put("recap", "4,001,577", "4,001,578"), "'4,001,578'"),
    ("numbers", lambda c: c.put("slider-read", "94 %", "95 %"), "'95 %'"),
    ("numbers", lambda c: c.say("eval-read", "It took 12.5 s."), "'12.5'"),
    ("numbers", lambda c: c.say("eval-read", "An error of 3e-7."), "'3e-7'"),
    ("numbers", lambda c: c.say("eval-read", "It is 7 % better."), "'7 %'"),
    ("numbers", lambda c: c.say("eval-read", "It is 98.9 % wrong."), None),
    ("numbers", lambda c: c.say("eval-read", "Of 98.9, 2048 and 4001577."), None),
    ("numbers", lambda c: c.say("eval-read", "| a | 77 |"), "'77'"),
    ("numbers", lambda c: c.say("eval-read", "Notebooks 09 and 10, `77`, int88."), None),
    ("numbers", lambda c: c.say("eval-read", "Since PyTorch 2.6, or 0.4.1; 01.2."), None),
    ("numbers", lambda c: c.tag("slider-table", "nbval-ignore-output"), "94 %"),
    ("links", lambda c: c.say("try", "[x](99_none.ipynb)"), "no such file"),
    ("links", lambda c: c.say("try", "[x](00_start_here.ipynb#none)"), "no such heading"),
    ("links", lambda c: c.say("try", "[x](#none)"), "link #none: there is no such heading"),
    ("links", lambda c: c.say("try", "[x](#try-it) [y](#Try-it)"), None),
    ("links", lambda c: c.say("try", "[x](00_start_here.ipynb#Try-it)"), None),
    ("links", lambda c: c.say("try", "[x](../../x.md)"), "no such file"),
    ("links", lambda c: c.say("try", "[x](http://example.org)"), "expected https://"),
    ("links", lambda c: c.say("try", '<a href="/x">x</a>'), "link /x"),
    ("links", lambda c: c.say("try", "https://pypi.org/p"), "pypi.org is a package"),
    ("links", lambda c: c.print("simple", "pypi.org"), "simple: pypi.org is a package"),
    ("exercises", lambda c: c.put("exercises", "01.1", "01.7"), "expected 01.1 and so on"),
    ("exercises", lambda c: c.put("exercises", r"\*\*01.1\*\*", "One"), "no exercise"),
    ("exercises", lambda c: c.tag("exercise-1"), "01.1: after its text no cells tagged"),
    ("exercises", lambda c: c.drop("solution-2"), "01.2: after its text no cells tagged"),
    ("exercises", lambda c: c.put("exercise-3", "check", "x"), "does not call exercises"),
    ("exercises", lambda c: c.put("solution-3", "01.3.,", "01.2"), "does not call exer"),
    ("exercises", lambda c: c.put("solution-1", "^#.*\n", ""), "is not a comment"),
    ("exercises", lambda c: c.unfold("solution-1", "source_hidden"), "(source_hidden)"),
    ("exercises", lambda c: c.unfold("solution-1", "outputs_hidden"), "(outputs_hidden)"),
    ("exercises", lambda c: c.print_also("solution-1", "7"), "shows more than the verdict"),
    ("exercises", lambda c: c.show("exercise-1", text="ok"), "expected 'Not tried yet'"),
    ("exercises", lambda c: c.show("solution-1", text="ok"), "expected 'Right'"),
    ("exercises", lambda c: c.tag("simple", "solution"), "simple: belongs to no exercise"),
    ("pictures", lambda c: c.say("try", "![](x.svg)"), "without a text alternative"),
    ("pictures", lambda c: c.say("try", '<img alt="" src="x">'), "without a text altern"),
    ("pictures", lambda c: c.show("simple", svg="<svg>", text="x"), "svg without role"),
    ("pictures", lambda c: c.show("simple", svg='<svg role="img">'), "svg without role"),
    ("pictures", lambda c: c.show("simple", svg=SVG, text="[picture]"), "neither its text"),
    ("pictures", lambda c: c.show("simple", svg=SVG, text="Three bars."), None),
    ("pictures", lambda c: c["memory-chart"].outputs.pop(), "neither its text/plain nor"),
    ("pictures", lambda c: c.show("simple", png="QQ=="), "a bitmap without a sentence"),
    ("panels", lambda c: c.show("simple", text="Panel(x): y"), None),
    ("panels", lambda c: c.drop("slider-table", "quiz"), "slider: no table or figure"),
    ("panels", lambda c: c.drop("slider-table"), "slider: no table or figure"),
    ("panels", lambda c: c.show("quiz", text="VBox(children=(...))"), "shows its repr"),
    ("cells", lambda c: c.code(LINES), "simple: 16 lines of code; at most 15"),
    ("cells", lambda c: c.code(LINES.replace("\n", "\n\n", 3)[9:]), None),
    ("cells", lambda c: c.say("set-up", LINES), "lines of code; at most 15"),
    ("cells", lambda c: c.code("import os"), "imports belong into the cell 'set-up'"),
    ("cells", lambda c: c.code("def f():\n    from os import path"), "imports belong"),
    ("cells", lambda c: c.code("# only a comment"), "holds no Python statement"),
    ("cells", lambda c: c.code("%timeit 1"), "holds no Python statement"),
    ("cells", lambda c: c["simple"].update(id="1f0c77ab"), "expected a readable id"),
    ("cells", lambda c: c["simple"].update(id="deadbeef"), "expected a readable id"),
    ("cells", lambda c: c["simple"].update(id="inside"), "two cells have this id"),
    ("calls", lambda c: c.code("interact(f)"), "interact(...) is slow"),
    ("calls", lambda c: c.code("o = widgets.Output()"), "Output(...) is slow"),
    ("calls", lambda c: c.code("torch.load(path)"), "torch.load without weights_only"),
    ("calls", lambda c: c.code("torch.load(f(a=1), weights_only=False)"), None),
    ("calls", lambda c: c.code("torch.jit.script(m)"), "torch.jit. is deprecated"),
    ("calls", lambda c: c.code("quantize_dynamic(m)"), "quantize_dynamic is deprecated"),
    ("calls", lambda c: c.code("f(dynamic_axes={})"), "dynamic_axes is deprecated"),
    ("no_second_copy", lambda c: c.code("def accuracy(m): ..."), "helpers/training.py"),
    (
        "no_second_copy",
        lambda c: c.code("class DigitsNet: ..."),
        "helpers/classroom/data/networks.py",
    ),
    ("names", lambda c: c.say("quiz", "fresh = 1"), "back-right: takes fresh, which"),
    ("names", lambda c: c.say("quiz", "for fresh in (): ..."), "given by ['back', 'quiz']"),
    ("names", lambda c: c.say("quiz", "def f():\n    fresh = 1"), None),
    ("names", lambda c: c.say("quiz", "[fresh for fresh in ()]"), None),
    (
        "names",
        lambda c: c.say("quiz", "model = 1\nmodel += 1"),
        "takes model, which is given",
    ),
    ("names", lambda c: c.say("quiz", "path = path.parent"), "quiz: path is another each"),
    ("names", lambda c: c.say("quiz", "later = 1\nlater += 1"), None),
    ("names", lambda c: c.say("quiz", "path /= 'x'"), "quiz: path is another each time"),
    ("portable", lambda c: c.print("simple", "see /home/me/x"), "absolute path in the out"),
    ("portable", lambda c: c.print("simple", str(rules.ROOT)), "absolute path in the out"),
    ("portable", lambda c: c.code("open('/tmp/x')"), "an absolute path in the source"),
    ("portable", lambda c: c.code(r"open('C:\\x')"), "an absolute path in the source"),
    ("portable", lambda c: c.print("simple", "<f at 0x7f01aa10>"), "a memory address"),
    ("portable", lambda c: c.print("simple", "save-load-ship-ab12cd34"), "temporary fold"),
    ("portable", lambda c: c.print("simple", "{'b', 'a'}"), "another order in every run"),
    ("portable", lambda c: c.print("simple", "{'b': 1, 'a': 2}"), None),
    ("portable", lambda c: c.print("simple", "x", "stderr"), "simple: writes to stderr"),
    ("portable", lambda c: c.print("simple", "UserWarning: x"), "'UserWarning' in the out"),
    ("portable", lambda c: c.show("simple", html="Traceback"), "'Traceback' in the output"),
    ("execution", lambda c: c["simple"].update(execution_count=None), "expected 1 to"),
    ("execution", lambda c: c.swap("simple", "counts"), "execution counts"),
    ("execution", lambda c: c["missing"].update(outputs=[]), "lacks the error"),
    ("execution", lambda c: c.tag("missing"), "missing: lacks the tag raises-exception"),
    ("execution", lambda c: c.tag("simple", "nbval-skip"), "unknown tag 'nbval-skip'"),
    ("execution", lambda c: c.say("simple", "# NBVAL_SKIP"), "a comment steers nbval"),
    ("comparison", lambda c: c.tag("simple", "nbval-ignore-output"), "in IGNORED"),
    ("comparison", lambda c: c.drop("memory-verdict"), "the next cell has to assert and"),
    ("comparison", lambda c: c.put("memory-verdict", "assert ", ""), "has to assert and"),
    ("comparison", lambda c: c["memory-verdict"].update(outputs=[]), "has to assert and"),
    ("comparison", lambda c: c.tag("simple", "shows-warning"), "no reason in SHOWN"),
    ("comparison", lambda c: ignore_most(c), "of the outputs are compared; at least"),
    ("figures", lambda c: c.print("outside-proof", "ok"), "'What is not inside?'"),
    ("figures", lambda c: c.print("outside-proof", "1"), None),
    ("normalised", lambda c: c.notebook.metadata.update(widgets={}), "['widgets']"),
    ("normalised", lambda c: c["simple"].metadata.update(execution={}), "simple: is not"),
    ("normalised", lambda c: add_view(c), "slider: is not normalised"),
    ("course_map", lambda c: c.put("title", "35 minutes", "20 minutes"), "minutes='20'"),
    ("course_map", lambda c: c.put("title", "State dicts", "Dicts"), "name='Dicts'"),
]


def ignore_most(copy):
    for cell in copy.notebook.cells[::3] + copy.notebook.cells[1::3]:
        cell.metadata["tags"] = ["nbval-ignore-output"]


def add_view(copy):
    data = copy["slider"].outputs[0].data
    data["application/vnd.jupyter.widget-view+json"] = {"model_id": "1"}


def new_faults(rule, path, spoil):
    """Return what the rule says about the spoiled copy and not about the file."""
    copy = Copy(path)
    before = rule(copy.notebook, path)
    spoil(copy)
    return [fault for fault in rule(copy.notebook, path) if fault not in before]


@pytest.mark.parametrize(("rule", "spoil", "said"), FAULTS)
def test_the_rule_finds_the_fault(rule, spoil, said):
    faults = new_faults(getattr(rules, rule), STATE_DICTS, spoil)
    if said is None:
        assert not faults, report(faults)
    else:
        assert any(said in fault for fault in faults), report(faults)


def test_every_rule_has_a_fault_that_it_finds():
    assert {rule.__name__ for rule in rules.RULES} == {rule for rule, _, _ in FAULTS}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (r"\| 02 \|", "| 03 |", "expected 00 to 14, in order"),
        (r"\| 13 \|.*", "", "expected 00 to 14, in order"),
        (r"\[State dicts\]\(.*?\)", "State dicts", "row 01: expected a link to 01_state"),
        (r"Beyond one machine", "[\\g<0>](11_more.ipynb)", "row 11: expected no link"),
        (r"01_state_dicts", "02_state_dicts", "row 01: expected a link to 01_state_dicts"),
    ],
)
def test_a_wrong_row_in_the_map_of_notebook_00_is_found(old, new, said):
    faults = new_faults(rules.course_map, START, lambda copy: copy.put("map", old, new))
    assert any(said in fault for fault in faults), report(faults)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("45 ", "46 ", "minutes='46'"),
        ("Devices", "Gadgets", "name='Gadgets'"),
        (r"\[State dicts\]\(.*?\)", "State dicts", "row 01: expected a link"),
        ("## The map", "## A map", "expected 00 to 14"),
        ("x", "x", None),
    ],
)
def test_a_wrong_row_in_the_map_of_readme_is_found(old, new, said):
    lines = Copy(START)["map"].source.splitlines()
    text = "## The map\n" + "\n".join(line for line in lines if line.startswith("|"))
    text = re.sub(r"\]\((?=\d)", "](notebooks/", text)
    text += "\n\n## For teachers\n| 14 | x | y |\n"
    text = text.replace("Start here", "[Start here](notebooks/00_start_here.ipynb)")
    faults = rules.readme_map(re.sub(old, new, text, count=1))
    assert any(said in fault for fault in faults) if said else not faults, report(faults)
