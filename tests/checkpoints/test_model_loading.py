"""How a model takes its entries: which of them its own code may keep or change."""

import pytest
import torch
from torch import nn

from helpers.checkpoints import (
    IncompatibleCheckpointError,
    load_checkpoint,
    model_loading,
    save_checkpoint,
)
from helpers.checkpoints.model_loading import own_ways, takes_other_sizes
from helpers.state_dicts import compare
from tests.checkpoints.interrupts import photograph
from tests.checkpoints.runs import problem_of


class Own(nn.Linear):
    def _load_from_state_dict(self, *given):
        super()._load_from_state_dict(*given)


class Root(nn.Sequential):
    def load_state_dict(self, *given, **more):
        return super().load_state_dict(*given, **more)


def hooked(way):
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(3, 2))
    getattr(model[1], way)(lambda *_: None)
    return model


@pytest.mark.parametrize(
    ("model", "found"),
    [
        (nn.Sequential(nn.Linear(3, 2)), ()),
        (nn.Sequential(nn.Linear(3, 2), Own(3, 2)), ("1.",)),
        (Root(nn.Linear(3, 2)), ("",)),
        (hooked("register_load_state_dict_pre_hook"), ("1.",)),
        (hooked("register_load_state_dict_post_hook"), ("1.",)),
        (nn.Sequential(nn.LSTM(3, 2), nn.MultiheadAttention(4, 2)), ()),
        (torch.nn.utils.parametrizations.weight_norm(nn.Linear(3, 2)), ("",)),
    ],
    ids=["torch's", "class", "root", "before", "after", "recurrent", "weight_norm"],
)
def test_what_may_load_in_its_own_way(model, found):
    assert own_ways(model) == found


class Bank(nn.Module):
    """Has as many rows as what it loads, as an observer has."""

    def __init__(self, rows):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.register_buffer("rows", torch.rand(rows, 2))
        self.register_buffer("counts", torch.rand(rows))

    def _load_from_state_dict(self, state, prefix, *rest):
        self.rows = torch.empty_like(state[prefix + "rows"])
        self.counts.resize_(len(state[prefix + "counts"]))
        super()._load_from_state_dict(state, prefix, *rest)


class PassesOver(Bank):
    def _load_from_state_dict(self, state, prefix, *rest):
        """Load what fits, and say nothing of the rest."""


def observed(seed):
    import torch.ao.quantization as ao

    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).train()
    net.qconfig = ao.get_default_qat_qconfig("x86")
    net = ao.prepare_qat(net)
    if seed:
        net(torch.rand(5, 3))
    return net


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("saved", "model"),
    [(Bank(3), Bank(0)), (nn.Sequential(Bank(2)), nn.Sequential(Bank(5)))],
)
def test_modules_that_take_their_shapes_from_the_file_do(tmp_path, saved, model):
    path = save_checkpoint(tmp_path / "a.pt", model=saved)
    load_checkpoint(path, model=model)
    assert compare(saved, model).identical


@pytest.mark.filterwarnings("ignore")
def test_so_do_the_observers_of_quantization_aware_training(tmp_path):
    path = save_checkpoint(tmp_path / "a.pt", model=(saved := observed(1)))
    load_checkpoint(path, model=(model := observed(0)))
    assert compare(saved, model).identical


@pytest.mark.parametrize(
    ("saved", "model", "name"),
    [
        (Bank(3), PassesOver(0), "rows"),
        (nn.BatchNorm1d(3), nn.BatchNorm1d(2), "weight"),
        (nn.ModuleList([Bank(3), nn.Linear(2, 2)]),
         nn.ModuleList([Bank(2), nn.Linear(3, 2)]), "0.rows"),
        (Bank(3), Bank(2).double(), "rows"),
        (Bank(3), Bank(2).to("meta"), "rows"),
    ],
    ids=["passes over", "batch norm", "another, too", "dtype", "meta"],
)  # fmt: skip
def test_what_does_not_take_them_is_refused_and_as_before(tmp_path, saved, model, name):
    path = save_checkpoint(tmp_path / "a.pt", model=saved)
    before = photograph(model)
    with pytest.raises(IncompatibleCheckpointError, match=f"model: {name} is float"):
        load_checkpoint(path, model=model)
    assert photograph(model) == before


def test_another_problem_is_not_hidden_by_modules_that_load_in_their_own_way(tmp_path):
    saved, model = (
        nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2), Bank(3)]) for _ in "ab"
    )
    path = save_checkpoint(tmp_path / "a.pt", model=saved)
    model[1].weight = model[0].weight
    assert "0.weight and 1.weight are one tensor" in problem_of(path, model=model)


def test_where_torch_would_refuse_for_sure_no_memory_is_spent_on_a_try(monkeypatch):
    monkeypatch.setattr(model_loading, "unchanged", lambda model: 1 / 0)
    assert not takes_other_sizes(nn.Linear(3, 2), nn.Linear(4, 2).state_dict())
    with pytest.raises(ZeroDivisionError):
        takes_other_sizes(Bank(1), Bank(2).state_dict())
