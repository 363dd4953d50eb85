"""The drawings of mechanisms: what they say is what is there."""

from pathlib import Path

import pytest
import torch

from helpers.classroom.charts import mechanisms
from tests.classroom.charts.test_charts import (
    assert_inside,
    assert_texts_apart,
    named,
    parse,
    words,
)


@pytest.fixture
def tied(tmp_path):
    """A file with three names on two storages."""
    table = torch.zeros(1000, 64)
    path = tmp_path / "tied.pt"
    torch.save({"embed": table, "bias": torch.zeros(3), "out": table}, path)
    return path


def test_the_archive_shows_each_name_its_storage_and_the_sizes(tied):
    chart = mechanisms.archive(tied)
    size = tied.stat().st_size
    assert chart.text == (
        f"tied.pt: a zip archive of {size:,} bytes. "
        "embed and out → data/0, 256,000 bytes; bias → data/1, 12 bytes."
    )
    shown = words(chart)
    assert {"data/0  256,000 bytes", "data/1  12 bytes", "embed  1000 × 64"} <= {*shown}
    rest = " ".join(text for text in shown if "version" in text)
    assert "version 2" in rest and "byteorder 6" in rest and "data/0" not in rest
    # An arrow for each name.
    heads = [p for p in named(parse(chart), "path") if p.get("class") == "ink"]
    assert len(heads) == 3


def test_what_is_no_small_dictionary_of_tensors_is_refused(tmp_path):
    path = tmp_path / "some.pt"
    torch.save({"step": 3}, path)
    with pytest.raises(ValueError, match="does not hold a dictionary of tensors"):
        mechanisms.archive(path)
    torch.save({str(k): torch.zeros(1) for k in range(9)}, path)
    with pytest.raises(ValueError, match="9 series are too many"):
        mechanisms.archive(path)


def test_five_ways_lead_from_two_copies_to_none():
    chart = mechanisms.ways_of_loading()
    full = [r for r in named(parse(chart), "rect") if r.get("fill") == "#2f6fb7"]
    assert len(full) == words(chart).count("a copy") == 2 + 1
    assert [text for text in words(chart) if text in mechanisms.WAYS] == [*mechanisms.WAYS]
    assert chart.text.endswith("safetensors + assign + meta: none.")


def test_a_careful_save_leaves_a_whole_file_at_every_moment():
    chart = mechanisms.careful_save(Path("somewhere/run.pt"))
    left = [text for text in words(chart) if text.endswith(" file") and "the" in text]
    assert left == ["the old file"] * 3 + ["the new file"]
    assert words(chart).count("run.pt") == 1 and "somewhere" not in chart.svg
    assert "replace: the new file" in chart.text


def test_nothing_leaves_the_paper_and_no_text_lies_on_another(tied):
    for chart in (
        mechanisms.archive(tied),
        mechanisms.ways_of_loading(),
        mechanisms.careful_save(Path("run.pt")),
    ):
        assert_inside(chart)
        assert_texts_apart(chart)
