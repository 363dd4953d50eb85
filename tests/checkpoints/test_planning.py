"""Planning: what goes where is settled, or refused, before anything changes."""

from pathlib import Path

import pytest
import torch
from torch import nn

from helpers.checkpoints import IncompatibleCheckpointError, save_checkpoint
from helpers.checkpoints.parts import checked_parts
from helpers.checkpoints.planning import _absence, _our_names, plan_loading
from tests.checkpoints.runs import Run, plain


@pytest.mark.parametrize(
    ("name", "there", "problem"),
    [
        (None, {None: 1}, None),
        ("a", {"a": 1, "b": 2}, None),
        ("a", {}, "the file holds no optimizer: load it without optimizer="),
        (None, {"a": 1}, "the file holds several, 'a': pass a dict with such names"),
        (
            "a",
            {None: 1},
            "the file holds one optimizer, without a name: pass it without a ",
        ),
        ("c", {"a": 1, "b": 2}, "the file holds none of this name, but 'a', 'b'"),
    ],
)
def test_what_is_not_there_is_said(name, there, problem):
    found = _absence("optimizer", name, there)
    assert found == problem if problem is None else found.startswith(problem)


def test_a_parameter_that_is_two_here_keeps_the_name_it_had():
    model = nn.ModuleDict({"y": nn.Linear(1, 1, bias=False), "z": nn.Linear(1, 1)})
    saved = {"parameters": {"x": (1, 1), "z.bias": (1,)}, "aliases": {"x": ["y.weight"]}}
    assert _our_names({None: model}, saved) == {"x": "y.weight", "z.bias": "z.bias"}
    saved["aliases"]["x"].append("z.weight")
    assert _our_names({None: model}, saved) == {"x": "x", "z.bias": "z.bias"}


def test_a_plan_changes_nothing(tmp_path):
    path = save_checkpoint(tmp_path / "a.pt", **Run(seed=1).parts)
    content = torch.load(path, weights_only=True)
    run = Run(seed=2)
    before = run.state()
    states, notes = plan_loading(path, checked_parts(**run.parts), content)
    assert notes == [] and run.state() == before
    assert plain(states["model"][None]) == plain(content["model"])
    content["model"].popitem()
    with pytest.raises(IncompatibleCheckpointError) as caught:
        plan_loading(Path("b.pt"), checked_parts(**run.parts), content)
    assert str(caught.value) == (
        "b.pt does not fit the model: last.bias is missing from the file. Nothing was "
        "changed."
    )
