"""How a model takes its entries: which of them its own code may keep or change."""

import pytest
import torch
from torch import nn

from helpers.checkpoints.model_loading import own_ways


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
