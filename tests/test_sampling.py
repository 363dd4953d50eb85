"""Sampling: an order made from (seed, epoch), which begins again at any batch."""

import io
from itertools import chain

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from helpers.sampling import ResumableBatchSampler
from helpers.training import seed_everything

# length, batch size, drop_last: whole batches, a rest, one batch, batches of one.
SHAPES = [(12, 4, False), (10, 4, False), (10, 4, True), (3, 8, False), (5, 1, True)]
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def sampler_of(shape, seed=0):
    length, batch_size, drop_last = shape
    return ResumableBatchSampler(length, batch_size, seed=seed, drop_last=drop_last)


def batches(sampler, epoch, start=0):
    sampler.set_epoch(epoch, start)
    return list(sampler)


def joined(found):
    return tuple(chain.from_iterable(found))


# The order


@each_shape
@pytest.mark.parametrize("epoch", [0, 1, 17])
def test_an_epoch_holds_every_sample_once(shape, epoch):
    length, batch_size, drop_last = shape
    found = batches(sampler_of(shape), epoch)
    samples = joined(found)
    assert len(set(samples)) == len(samples) and set(samples) <= set(range(length))
    assert len(samples) == (length // batch_size * batch_size if drop_last else length)
    assert {len(batch) for batch in found[:-1]} <= {batch_size}


@each_shape
def test_from_any_batch_on_the_rest_is_the_same_as_in_one_go(shape):
    for seed in range(5):
        for epoch in range(3):
            whole = batches(sampler_of(shape, seed), epoch)
            for start in range(len(whole)):
                again = sampler_of(shape, seed)
                assert batches(again, epoch, start) == whole[start:]
                assert len(again) == len(whole) - start
                assert again.batches_per_epoch == len(whole)


def test_the_order_depends_on_seed_and_epoch_and_on_nothing_else():
    orders = {}
    for seed in range(20):
        for epoch in range(20):
            torch.rand(seed + epoch)  # whatever the global generator did before
            order = joined(batches(sampler_of((50, 8, False), seed), epoch))
            orders[seed, epoch] = order
    assert len(set(orders.values())) == 400, "seed + epoch would give 39 orders"
    seed_everything(5)
    again = sampler_of((50, 8, False), 3)
    assert joined(batches(again, 7)) == orders[3, 7]


def test_the_order_is_the_same_in_every_version_and_on_every_machine():
    # Another order here would make every checkpoint of an older version resume wrongly.
    assert batches(ResumableBatchSampler(6, 4, seed=1), 2) == [[4, 2, 5, 3], [1, 0]]


def test_handing_out_batches_draws_nothing_from_the_global_generators():
    seed_everything(1)
    expected = torch.rand(1), np.random.rand()
    seed_everything(1)
    batches(ResumableBatchSampler(100, 8), 3)
    assert (torch.rand(1), np.random.rand()) == expected


# With a DataLoader


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_that_is_interrupted_continues_where_it_was(workers):
    data = TensorDataset(torch.arange(40))

    def loader(sampler):
        return DataLoader(data, batch_sampler=sampler, num_workers=workers)

    sampler = ResumableBatchSampler(40, 4, seed=2)
    whole = [batch.tolist() for (batch,) in loader(sampler)]
    first = ResumableBatchSampler(40, 4, seed=2)
    seen = []
    for done, (batch,) in enumerate(loader(first), start=1):
        seen.append(batch.tolist())
        if done == 3:  # workers have fetched more than that by now
            state = first.state_dict(batches_done=done)
            break
    second = ResumableBatchSampler(40, 4, seed=2)
    second.load_state_dict(state)
    rest = loader(second)
    assert len(rest) == 7
    assert seen + [batch.tolist() for (batch,) in rest] == whole


# The state


def test_the_state_passes_weights_only_and_comes_back():
    sampler = ResumableBatchSampler(10, 4, seed=3, drop_last=True)
    sampler.set_epoch(2)
    file = io.BytesIO()
    torch.save(sampler.state_dict(batches_done=1), file)
    file.seek(0)
    again = ResumableBatchSampler(10, 4, seed=3, drop_last=True)
    again.load_state_dict(torch.load(file, weights_only=True))
    assert (again.epoch, again.start_batch) == (2, 1)


def test_after_the_last_batch_the_state_is_the_next_epoch():
    sampler = ResumableBatchSampler(10, 4)
    sampler.set_epoch(5)
    states = [sampler.state_dict(batches_done=done) for done in range(4)]
    places = [(state["epoch"], state["start_batch"]) for state in states]
    assert places == [(5, 0), (5, 1), (5, 2), (6, 0)]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"length": 11}, "the saved sampler has length 11, this one 10"),
        ({"batch_size": 5}, "the saved sampler has batch_size 5, this one 4"),
        ({"seed": 1}, "the saved sampler has seed 1, this one 0"),
        ({"drop_last": 1}, "the saved sampler has drop_last 1, this one 0"),
        ({"start_batch": 3}, "start_batch is 3; an epoch has batches 0 to 2"),
        ({"epoch": -1}, "epoch is -1; expected a whole number of 0 or more"),
    ],
)
def test_the_state_of_another_order_is_refused_and_changes_nothing(change, expected):
    sampler = ResumableBatchSampler(10, 4)
    sampler.set_epoch(1, 2)
    state = sampler.state_dict(batches_done=2) | change
    with pytest.raises(ValueError, match=expected):
        sampler.load_state_dict(state)
    assert (sampler.epoch, sampler.start_batch) == (1, 2)


@pytest.mark.parametrize("name", ["epoch", "start_batch", "length", "seed"])
def test_a_state_without_an_entry_is_refused(name):
    sampler = ResumableBatchSampler(10, 4)
    state = sampler.state_dict(batches_done=2)
    del state[name]
    with pytest.raises(ValueError, match=f"the sampler's state has no entry '{name}'"):
        sampler.load_state_dict(state)


# Numbers out of range


@pytest.mark.parametrize("value", [0, -1, 2.5, "4", None, True])
@pytest.mark.parametrize("name", ["length", "batch_size"])
def test_a_size_that_is_no_whole_number_of_1_or_more_is_refused(name, value):
    sizes = {"length": 10, "batch_size": 4} | {name: value}
    with pytest.raises(ValueError) as caught:
        ResumableBatchSampler(**sizes)
    assert str(caught.value) == (
        f"{name} is {value!r}; expected a whole number of 1 or more"
    )


def test_dropping_the_only_batch_is_refused():
    with pytest.raises(ValueError, match="no batch is left; choose a smaller batch_size"):
        ResumableBatchSampler(3, 4, drop_last=True)


def test_a_batch_or_a_count_that_the_epoch_does_not_have_is_refused():
    sampler = ResumableBatchSampler(10, 4)
    with pytest.raises(ValueError, match="When one is finished, set the next epoch"):
        sampler.set_epoch(0, 3)
    with pytest.raises(ValueError, match="batches_done is 4; an epoch has 3"):
        sampler.state_dict(batches_done=4)
    with pytest.raises(ValueError, match="batches_done is -1"):
        sampler.state_dict(batches_done=-1)
