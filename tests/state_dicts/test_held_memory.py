"""Which memory a value holds: found once, and told apart."""

import torch

from helpers.state_dicts.held_memory import memory_of, places_of, storages_of


def test_a_storage_is_found_once_however_deep_and_the_same_elements_are_known():
    weight = torch.ones(2, 3)
    value = {"a": [weight, (weight.T,)], "b": torch.eye(2).to_sparse()}
    assert len(list(memory_of(value))) == 4 and len(storages_of(value)) == 3
    assert places_of(weight) == places_of(weight.view(2, 3)) != places_of(weight.T)
    assert places_of(torch.ones(2)) != places_of(torch.ones(2))
