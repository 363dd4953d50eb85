"""The explorers: every path of the chooser, its facts, and figures computed anew."""

import json
import re
import struct
import subprocess
import sys
import zipfile
from itertools import product
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from helpers.classroom.data.networks import DigitsNet, SimpleNet
from helpers.classroom.explorers import file_size, format_chooser, weight_row
from helpers.classroom.explorers.format_chooser import (
    FORMATS,
    QUESTIONS,
    answers_table,
    choose,
)
from tests import ROOT
from tests.classroom.charts.test_charts import assert_texts_apart

# The format chooser

STATE_DICT, CHECKPOINT, SAFETENSORS, PT2, ONNX = (
    "State dict (.pt)",
    "Checkpoint (.pt)",
    "safetensors",
    "torch.export (.pt2)",
    "ONNX (.onnx)",
)
# resume, elsewhere, no_class, strangers -> what to take. One line a path.
PATHS = {
    (False, False, False, False): [STATE_DICT],
    (False, False, False, True): [SAFETENSORS],
    (False, False, True, False): [PT2],
    (False, False, True, True): [ONNX],
    (False, True, False, False): [ONNX],
    (False, True, False, True): [ONNX],
    (False, True, True, False): [ONNX],
    (False, True, True, True): [ONNX],
    (True, False, False, False): [CHECKPOINT],
    (True, False, False, True): [CHECKPOINT, SAFETENSORS],
    (True, False, True, False): [CHECKPOINT, PT2],
    (True, False, True, True): [CHECKPOINT, ONNX],
    (True, True, False, False): [CHECKPOINT, ONNX],
    (True, True, False, True): [CHECKPOINT, ONNX],
    (True, True, True, False): [CHECKPOINT, ONNX],
    (True, True, True, True): [CHECKPOINT, ONNX],
}
each_path = pytest.mark.parametrize("answers", PATHS)


def test_the_table_above_has_every_path():
    assert list(PATHS) == list(product([False, True], repeat=4))
    assert list(QUESTIONS) == ["resume", "elsewhere", "no_class", "strangers"]


@each_path
def test_the_path_leads_to_the_format(answers):
    assert [some.name for some in choose(*answers)] == PATHS[answers]


@each_path
def test_what_is_taken_answers_every_question_with_yes(answers):
    needs = {name for name, yes in zip(QUESTIONS, answers, strict=True) if yes}
    chosen = choose(*answers)
    assert needs <= set().union(*(some.answers for some in chosen))
    if len(chosen) == 2:
        assert not any(needs <= some.answers for some in FORMATS), "one would do"


@each_path
def test_the_panel_says_what_to_take_why_and_where_to_read_on(answers):
    panel = format_chooser.format_chooser()
    panel.values = dict(zip(QUESTIONS, answers, strict=True))
    chart, chosen = panel.chart, choose(*answers)
    for some in chosen:
        assert some.name.lower() in chart.text.lower()
        assert some.reason[1:] in chart.text
        assert f"▶ {some.name}" in chart.svg
    assert chart.svg.count("▶") == len(chosen)
    assert len(chart.links) == len(chosen)
    for (label, path), some in zip(chart.links, chosen, strict=True):
        assert label == f"{some.name}: notebook {some.notebook[:2]}"
        assert path == f"notebooks/{some.notebook}.ipynb"
        assert (ROOT / path).is_file(), path


@each_path
def test_no_words_of_the_table_touch_each_other_or_leave_the_paper(answers):
    assert_texts_apart(format_chooser.draw(**dict(zip(QUESTIONS, answers, strict=True))))


def texts_of(svg: str) -> dict[str, tuple[float, float, str]]:
    found = re.findall(r'x="([\d.]+)" y="([\d.]+)".*?anchor="(\w+)">(.*?)</text>', svg)
    return {text: (float(x), float(y), anchor) for x, y, anchor, text in found}


def test_a_ticked_question_is_underlined_and_no_other():
    for answers in PATHS:
        svg = format_chooser.draw(**dict(zip(QUESTIONS, answers, strict=True))).svg
        lines = re.findall(r'<rect x="(\d+)" y="(\d+)" width="(\d+)" height="3"', svg)
        centres = [int(x) + int(width) / 2 for x, _, width in lines]
        texts = texts_of(svg)
        # The second line of each heading, of which a question's stands over its column.
        headings = [texts[word] for word in ("on", "runtime", "no class", "pickle")]
        ticked = [at for at, yes in zip(headings, answers, strict=True) if yes]
        assert centres == [x for x, _, _ in ticked]
        assert all(
            y < int(top) < y + 8
            for (_, y, _), (_, top, _) in zip(ticked, lines, strict=True)
        )


def test_the_table_says_what_each_format_keeps():
    texts = texts_of(format_chooser.draw(**dict.fromkeys(QUESTIONS, False)).svg)
    kept = {
        STATE_DICT: "weights",
        CHECKPOINT: "weights, optimizer, random state",
        SAFETENSORS: "weights, text",
        PT2: "weights, computation",
        ONNX: "weights, graph",
    }
    assert {some.name: some.keeps for some in FORMATS} == kept
    rows = {y: text.removeprefix("▶ ") for text, (x, y, _) in texts.items() if x == 14}
    column = texts["keeps"][0]
    assert {
        rows[y]: t for t, (x, y, _) in texts.items() if x == column and y in rows
    } == kept


def test_the_static_table_holds_the_questions_alone_and_agrees_with_the_paths():
    takes = answers_table()["Take"]
    alone = dict(zip(QUESTIONS.values(), [CHECKPOINT, ONNX, PT2, SAFETENSORS], strict=True))
    assert dict(takes[:5]) == {"None of these": STATE_DICT, **alone}
    assert set(takes[5:]) <= {" + ".join(names) for names in PATHS.values()}


# The facts behind its table: which file holds a pickle, which needs the class.


def pickles_in(path: Path) -> list[str]:
    """Names of a zip archive's records that begin as a pickle does: PROTO, 2 to 5."""
    with zipfile.ZipFile(path) as archive:
        records = {info.filename: archive.read(info) for info in archive.infolist()}
    found = []
    for name, data in records.items():
        if data[:1] == b"\x80" and data[1:2] in (b"\2", b"\3", b"\4", b"\5"):
            found.append(name)
        elif data[:4] == b"PK\3\4":
            found.append(name)  # an archive inside: torch.save's, with a pickle of its own
    return found


def test_a_pt_file_holds_a_pickle(tmp_path):
    torch.manual_seed(0)  # so that no weight begins like a pickle by chance
    path = tmp_path / "model.pt"
    torch.save(SimpleNet().state_dict(), path)
    assert pickles_in(path) == ["model/data.pkl"]
    for name in (STATE_DICT, CHECKPOINT):
        assert "strangers" not in by_name(name).answers


def test_a_safetensors_file_is_a_json_header_and_numbers_and_nothing_else(tmp_path):
    path, state_dict = tmp_path / "model.safetensors", SimpleNet().state_dict()
    safetensors.torch.save_file(state_dict, path)
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    assert sorted(header) == sorted(state_dict)
    # Every byte after the header belongs to one tensor: there is no room for a pickle.
    covered = 0
    for begin, end in sorted(entry["data_offsets"] for entry in header.values()):
        assert begin == covered
        covered = end
    assert 8 + length + covered == len(data)
    assert by_name(SAFETENSORS).answers == {"strangers"}


def test_a_pt2_file_runs_where_the_class_is_not_but_is_not_for_strangers(tmp_path):
    class OnlyHere(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 1)

        def forward(self, x):
            return self.layer(x).relu()

    path, model, x = tmp_path / "model.pt2", OnlyHere().eval(), torch.ones(3, 2)
    torch.export.save(torch.export.export(model, (x,)), path)
    code = (
        "import sys, torch\n"
        "model = torch.export.load(sys.argv[1]).module()\n"
        "print(model(torch.ones(3, 2)).flatten().tolist())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == pytest.approx(model(x).flatten().tolist())
    # The example inputs lie in it as torch.save wrote them.
    assert any("sample_inputs" in name for name in pickles_in(path))
    assert by_name(PT2).answers == {"no_class"}


def test_a_checkpoint_is_what_resumes():
    """By itself a state dict of the model leaves the optimizer's moments behind."""
    model = SimpleNet()
    adam = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 10)).sum().backward()
    adam.step()
    assert not set(adam.state_dict()) & set(model.state_dict())
    assert adam.state_dict()["state"][0]["exp_avg"].abs().sum() > 0
    assert [some.name for some in FORMATS if "resume" in some.answers] == [CHECKPOINT]


def by_name(name: str):
    [found] = [some for some in FORMATS if some.name == name]
    return found


# The first slider


def rounded_slowly(row: list[float], bits: int) -> tuple[float, list[float]]:
    """The step and the rounded row, one weight after the other, in float64."""
    most = 2 ** (bits - 1) - 1
    step = max(abs(weight) for weight in row) / most
    return step, [round(weight / step) * step for weight in row]


@pytest.mark.parametrize("bits", range(2, 9))
def test_the_row_of_weights_agrees_with_a_slow_loop(bits):
    row = torch.tensor([0.31, -0.9, 0.004, 0.555, -0.12])
    panel = weight_row.weight_row(row)
    panel.values = {"bits": bits}
    step, rounded = rounded_slowly(row.tolist(), bits)
    errors = [abs(a - b) for a, b in zip(row.tolist(), rounded, strict=True)]
    error, number = max(errors), 1 + errors.index(max(errors))
    assert panel.chart.text == (
        f"With {bits} bits there are {2**bits - 1} levels, {step:.4f} apart. "
        f"Weight {number} has the largest error, {error:.4f}; "
        f"half a step is {step / 2:.4f}."
    )
    assert panel.chart.svg.count("largest error</text>") == 1
    assert_texts_apart(panel.chart)
    drawn = f"{2**bits - 1} levels: too close to draw" not in panel.chart.svg
    assert drawn == (bits < 7)
    assert panel.chart.svg.count("<polyline") == len(row)


def test_the_slider_runs_from_2_to_8_and_starts_where_it_is_told():
    [slider] = weight_row.weight_row(torch.ones(3), bits=5).controls
    assert (slider["low"], slider["high"], slider["value"]) == (2, 8, 5)
    with pytest.raises(ValueError, match="bits is 9; expected 2 to 8 in steps of 1"):
        weight_row.weight_row(torch.ones(3), bits=9)


# The size of a file


def bytes_of_numbers(width: int) -> int:
    """From the layers' shapes: float32, and one int64 counter for each batch norm."""
    floats, norms = 9 * width + 4 * width, 1
    for inside, outside in [(1, 2), (2, 2), (2, 4), (4, 4)]:
        inside, outside = inside * width, outside * width
        floats += 9 * inside + 4 * inside + inside * outside + 4 * outside
        norms += 2
    floats += 4 * width * 10 + 10
    return 4 * floats + 8 * norms


def bytes_on_disk(width: int, format: str, folder: Path) -> int:
    # torch.save writes the file's stem before every name in it, and calls it "archive"
    # where it writes into memory, as the panel does.
    path = folder / f"archive{format}"
    state_dict = DigitsNet(width).state_dict()
    if format == ".pt":
        torch.save(state_dict, path)
    else:
        safetensors.torch.save_file(state_dict, path)
    return path.stat().st_size


@pytest.mark.parametrize("format", [".pt", ".safetensors"])
def test_the_sizes_are_those_of_real_files_over_the_whole_range(format, tmp_path):
    panel = file_size.file_size()
    for width in range(1, 33):
        panel.values = {"width": width, "format": format}
        numbers, file = bytes_of_numbers(width), bytes_on_disk(width, format, tmp_path)
        assert file_size.sizes(width, format) == (numbers, file)
        assert panel.chart.text == (
            f"Width {width}: {numbers / 1000:.1f} kB of numbers and "
            f"{(file - numbers) / 1000:.1f} kB of bookkeeping in a {format} file. "
            f"{(file - numbers) / file:.0%} of the file is bookkeeping."
        )
        shown = re.findall(r">([\d.]+) kB<", panel.chart.svg)
        assert shown == [f"{numbers / 1000:.1f}", f"{(file - numbers) / 1000:.1f}"]


@pytest.mark.parametrize("format", [".pt", ".safetensors"])
def test_the_bar_of_numbers_grows_and_that_of_bookkeeping_stands_still(format):
    panel, bars = file_size.file_size(), []
    for width in range(1, 33):
        panel.values = {"width": width, "format": format}
        rects = re.findall(r'<rect x="200" y="\d+" width="([\d.]+)"', panel.chart.svg)
        bars.append([float(length) for length in rects])
    numbers, bookkeeping = zip(*bars, strict=True)
    assert list(numbers) == sorted(set(numbers)) and numbers[-1] > 100 * numbers[0]
    # The padding of each entry differs a little, by 2 kB of 168 at most.
    assert max(bookkeeping) - min(bookkeeping) < 4
    # The largest file would fill the room that a bar has.
    assert file_size.largest_file() == file_size.sizes(32, ".pt")[1]
    if format == ".pt":
        assert numbers[-1] + bookkeeping[-1] == pytest.approx(310, abs=0.2)


def test_the_share_of_bookkeeping_falls_as_the_model_grows():
    shares = [1 - n / f for n, f in (file_size.sizes(w, ".pt") for w in (1, 8, 32))]
    assert shares[0] > 0.9 and shares == sorted(shares, reverse=True)
