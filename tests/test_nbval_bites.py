"""The comparison bites: nbval collects every cell, and fails where it has to.

Small copies of the notebooks run in one process of pytest, each with a kernel and a copy
of `helpers` of its own. Some are left as they are, in some an output or a source is
altered, in some a line of a helper. Exactly the cells that are named must fail.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from typing import NamedTuple
from xml.etree import ElementTree

import nbformat
import pytest
from nbval.plugin import get_sanitize_patterns

from helpers.claims import MIME
from tests.notebook_rules import FOLDER, NOTEBOOKS, ROOT, read
from tests.notebook_rules.reading import code, raw

START, STATE_DICTS = "00_start_here", "01_state_dicts"
QUANTIZATION = "08_quantization"

# What a copy is made of: enough to catch every row below, and quick to run.
CELLS = {
    START: (
        "set-up digits strip model untrained save load quiz chooser chooser-table slider "
        "slider-table exercise-1 solution-1"
    ),
    STATE_DICTS: (
        "set-up simple digits-net counts without-buffers back back-right views light "
        "light-claim copies copies-claim missing prefix-lenient prefix-repair size "
        "size-repair slider slider-table exercise-1 solution-1 exercise-2 solution-2"
    ),
    QUANTIZATION: (
        "set-up by-hand zero-point zero-decibel torch-same bits outlier "
        "outlier-observers granularity bytes claim-a line layer exercise-2 solution-2"
    ),
}


class Edit(NamedTuple):
    """A place in a cell (a field or a MIME type), a pattern, and what replaces it."""

    cell: str
    place: str
    old: str
    new: str


EDITS = {
    START: (
        Edit("load", "text", r"\d\d\.\d%", "12.3%"),
        Edit("strip", "image/svg+xml", r"#[0-9a-f]{6}", "#123456"),
        Edit("chooser-table", "text/html", "ONNX", "ONYX"),
        Edit("slider", "text/plain", r"\d bits", "9 bits"),
    ),
    STATE_DICTS: (
        Edit("counts", "text/plain", r"\d{3,}", "777"),
        Edit("views", "outputs", r"\[.*\]", "[]"),
        Edit("light-claim", MIME, '"holds": null', '"holds": true'),
        Edit("missing", "source", r"del damaged\[.*?\]", "pass"),  # raises no more
        Edit("size", "evalue", "size mismatch", "shape mismatch"),
    ),
    QUANTIZATION: (
        Edit("bits", "text/html", r"\d\d\.\d", "12.3"),
        Edit("layer", "image/svg+xml", r"M\d+", "M1"),
    ),
}


class Mutation(NamedTuple):
    """A line of a helper altered, and the cells of the copy whose outputs then differ."""

    file: str
    old: str
    new: str
    caught_by: str


# A kernel takes seconds to start, so each round alters what different cells catch.
ROUNDS = (
    (
        START,
        Mutation(
            "quantization/schemes",
            "torch.round(te",
            "torch.floor(te",
            "slider slider-table",
        ),
        Mutation(
            "explorers/format_chooser", "s <= some", "s < some", "chooser chooser-table"
        ),
        Mutation("charts", "255 * (1 - ", "254 * (1 - ", "strip"),
        Mutation("exercises/notebook_00", "!= label", "== label", "solution-1"),
    ),
    (
        START,
        Mutation(
            "quantization/schemes", "bits - 1) - 1\n", "bits - 1)\n", "slider slider-table"
        ),
        Mutation("training", "== labels)", ">= labels)", "model untrained load solution-1"),
    ),
    (
        START,
        Mutation("digits", "state=0", "state=1", "strip model load"),
        Mutation("explorers/weight_row", "step / 2", "step", "slider"),
    ),
    (
        START,
        Mutation("models", ".mean(dim=(2", ".amax(dim=(2", "model load"),
        Mutation(
            "quantization/schemes",
            "high = torch.maximum(low.abs(), high.abs())",
            "high = high.abs()",
            "slider slider-table",
        ),
    ),
    (
        STATE_DICTS,
        Mutation("state_dicts", '": tensor.numel(),', '": 1,', "digits-net counts"),
        Mutation(
            "state_dicts", ")) == len(rows)", ")) < len(rows)", "back-right prefix-repair"
        ),
        Mutation("state_dicts", "value.is_meta or", "value.dim() == 1 or", "size-repair"),
        Mutation(
            "claims", 'None: "it depends"', 'None: "holds"', "light-claim copies-claim"
        ),
        Mutation("exercises/notebook_01", "if moved:", "if not moved:", "solution-1"),
        Mutation("explorers/file_size", "- numbers) / file", ") / file", "slider"),
    ),
    (
        STATE_DICTS,
        Mutation("state_dicts", "if k in param", "if k not in param", "digits-net counts"),
        Mutation(
            "tensors", "e and torch", "e and not torch", "back back-right prefix-repair"
        ),
        Mutation(
            "claims", "record = asdict(self)", "record = {}", "light-claim copies-claim"
        ),
        Mutation("exercises/checking", '"right", e', '"wrong", e', "solution-1 solution-2"),
    ),
    (
        STATE_DICTS,
        Mutation("key_names", "key.removeprefix(", "key.removesuffix(", "prefix-repair"),
    ),
    (
        QUANTIZATION,
        Mutation(
            "quantization/schemes",
            "percentile / 100",
            "percentile / 105",
            "outlier-observers",
        ),
        Mutation(
            "quantization/models", "bits / 8)", "bits / 4)", "granularity bytes claim-a"
        ),
        Mutation("explorers/number_line", "REACH = 2.5", "REACH = 3.5", "line"),
        Mutation(
            "exercises/notebook_08",
            "if torch.allclose(scales, spec):",
            "if 0:",
            "solution-2",
        ),
    ),
    (
        QUANTIZATION,
        Mutation(
            "quantization/models",
            "10 * math.log10",
            "20 * math.log10",
            "zero-decibel bits outlier-observers granularity layer",
        ),
        Mutation(
            "explorers/number_line",
            "scheme = Scheme(bits=bits",
            "scheme = Scheme(bits=bits + 1",
            "line",
        ),
    ),
)


def small_copy(folder, stem, mutations=()):
    """Make a folder with helpers, and return a notebook of a few cells to go there.

    A kernel finds the helpers beside its notebook before those of the project.
    """
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "helpers", folder / "helpers", ignore=ignored)
    for some in mutations:
        file = folder / f"helpers/{some.file}.py"
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace(some.old, some.new), encoding="utf-8")
    notebook = read(FOLDER / f"{stem}.ipynb")
    by_id = {cell.id: cell for cell in notebook.cells}
    notebook.cells = [by_id[id] for id in CELLS[stem].split()]
    return notebook


def alter(notebook, cell, place, old, new):
    """Replace a pattern in one place of a cell, wherever that place is."""
    cell = next(some for some in notebook.cells if some.id == cell)
    holders = [cell, *cell.outputs, *(output.get("data", {}) for output in cell.outputs)]
    holder = next(some for some in holders if place in some)
    text, count = re.subn(old, new, json.dumps(holder[place]), count=1, flags=re.DOTALL)
    assert count, f"{cell.id}: no {old!r} in {place}"
    holder[place] = nbformat.from_dict(json.loads(text))


@pytest.fixture(scope="module")
def failures(tmp_path_factory):
    """Run every copy; return, for each, the cells that failed and what nbval said."""
    base = tmp_path_factory.mktemp("copies")
    shutil.copy(FOLDER / "conftest.py", base)
    stems = {}

    def add(name, notebook, stem):
        nbformat.write(notebook, base / name / f"{name}.ipynb")
        stems[name] = stem

    for stem in CELLS:
        notebook = small_copy(base / f"plain-{stem}", stem)
        # Other versions than here: the sanitizer's file serves copies elsewhere as well.
        alter(notebook, "set-up", "text", r"\d+\.\d+\.\d+", "9.8.7")
        add(f"plain-{stem}", notebook, stem)
        notebook = small_copy(base / f"edited-{stem}", stem)
        for some in EDITS[stem]:
            alter(notebook, *some)
        add(f"edited-{stem}", notebook, stem)
    for k, (stem, *mutations) in enumerate(ROUNDS):
        add(f"round-{k}", small_copy(base / f"round-{k}", stem, mutations), stem)

    cells = Counter()
    failed = {name: {} for name in stems}
    for case in ElementTree.parse(run_nbval(base)).iter("testcase"):
        name = case.get("classname").partition(".")[0]
        id = CELLS[stems[name]].split()[int(case.get("name").removeprefix("Cell "))]
        cells[name] += 1
        for fault in (*case.iter("failure"), *case.iter("error")):
            failed[name][id] = fault.text
    assert cells == {name: len(CELLS[stem].split()) for name, stem in stems.items()}
    return failed


def run_nbval(folder):
    """Run the notebooks in a folder with the project's settings; return the report."""
    report = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-c", ROOT / "pyproject.toml", "--nbval"]
    command += [f"--rootdir={folder}", f"--junitxml={report}", "-p", "no:cacheprovider"]
    command += ["-n", "2", "--dist", "loadscope", "--color=no", folder]
    # This test may run in a worker of pytest-xdist; the new process is nobody's worker.
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    return report


def test_every_code_cell_of_every_notebook_is_collected():
    command = [sys.executable, "-m", "pytest", "--nbval", "--collect-only", "-q"]
    command.append("notebooks")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    collected = Counter(re.findall(r"(?m)^(.+\.ipynb)::Cell \d+$", done.stdout))
    on_disk = {
        path.relative_to(ROOT).as_posix(): len(code(read(path).cells)) for path in NOTEBOOKS
    }
    assert len(NOTEBOOKS) >= 2
    assert collected == on_disk, done.stdout + done.stderr


@pytest.mark.parametrize("stem", CELLS)
def test_an_unaltered_copy_passes(failures, stem):
    assert failures[f"plain-{stem}"] == {}


@pytest.mark.parametrize("stem", CELLS)
def test_nothing_but_the_edited_cells_fails(failures, stem):
    assert set(failures[f"edited-{stem}"]) == {some.cell for some in EDITS[stem]}


@pytest.mark.parametrize(
    ("stem", "edit"),
    [(stem, some) for stem in EDITS for some in EDITS[stem]],
    ids=lambda value: value.cell if isinstance(value, Edit) else value,
)
def test_nbval_names_what_was_edited(failures, stem, edit):
    said = failures[f"edited-{stem}"][edit.cell]
    assert "Cell outputs differ" in said
    told = {
        "source": "Missing output fields from running code",
        "outputs": "Unexpected output fields from running code",
        "text": "mismatch 'stdout'",
    }
    assert told.get(edit.place, f"mismatch '{edit.place}'") in said


@pytest.mark.parametrize(
    ("k", "mutation"),
    [(k, some) for k, (_, *mutations) in enumerate(ROUNDS) for some in mutations],
    ids=lambda value: f"{value.file}: {value.new}" if isinstance(value, Mutation) else None,
)
def test_a_changed_formula_is_caught(failures, k, mutation):
    file = ROOT / f"helpers/{mutation.file}.py"
    assert file.read_text(encoding="utf-8").count(mutation.old) == 1, "the row is stale"
    for cell in mutation.caught_by.split():
        assert "Cell outputs differ" in failures[f"round-{k}"].get(cell, "passed"), cell


@pytest.mark.parametrize("k", range(len(ROUNDS)))
def test_each_formula_is_caught_by_cells_of_its_own(failures, k):
    named = [cell for some in ROUNDS[k][1:] for cell in some.caught_by.split()]
    assert sorted(failures[f"round-{k}"]) == sorted(named)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_sanitizer_rewrites_the_line_of_versions_and_nothing_else(path):
    patterns = get_sanitize_patterns((ROOT / "tests/sanitize.cfg").read_text("ascii"))
    for cell in code(read(path).cells):
        before = after = raw(cell)
        for pattern, replacement in patterns:
            after = re.sub(pattern, replacement, after)
        if cell.id == "set-up":
            without_numbers = re.sub(r"(?<= \S)(\S*) \d\S*(?= ·|\n)", r"\1", before)
            assert after.startswith("Python VERSION · torch")
            assert after == re.sub(r"Python \d\S*", "Python VERSION", without_numbers)
        else:
            assert after == before, cell.id
