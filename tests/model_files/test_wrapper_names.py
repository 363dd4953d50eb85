"""Prefixes of wrappers in names of tensors."""

from pathlib import Path

import pytest

from helpers.model_files.verdicts import Findings
from helpers.model_files.wrapper_names import note_wrappers


@pytest.mark.parametrize(
    ("names", "prefixes"),
    [
        (["module.a", "head.b"], []),
        (["a._orig_mod.b", "c"], ["_orig_mod."]),
        (["module.model.a"], ["module.", "model."]),
        ([], []),
    ],
)
def test_prefixes_that_only_some_names_have_belong_to_the_model(names, prefixes):
    note_wrappers(found := Findings(Path("a")), names)
    assert [note.split("'")[1] for note in found.notes] == prefixes
    assert found.opens == []


def test_the_line_for_wrappers_takes_the_name_that_the_lines_gave():
    found = Findings(Path("a"), opens=["weights = load()"])
    note_wrappers(found, ["model.a"])
    assert len(found.opens) == 1, "it could belong to the model"
    note_wrappers(found, ["module._orig_mod.a"])
    assert found.opens[-1] == (
        "weights = {key.replace('_orig_mod.', '').removeprefix('module.'): value "
        "for key, value in weights.items()}"
    )


def test_no_line_where_a_key_is_no_text():
    found = Findings(Path("a"), opens=["state = load()"])
    note_wrappers(found, ["module.a"], are_text=False)
    assert len(found.opens) == 1 and found.notes
