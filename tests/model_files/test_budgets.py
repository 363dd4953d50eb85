"""Budgets of instructions, of memory, and of what archives become."""

import io
import zipfile

import pytest
import torch

from helpers.model_files.budgets import COSTS, MOST_STEPS, Budget
from helpers.model_files.following import follow
from helpers.model_files.pickle_instructions import INSTRUCTIONS


def test_costs_are_of_instructions():
    assert COSTS.keys() <= INSTRUCTIONS.keys()


@pytest.mark.parametrize("change", [{"room": -1}, {"unpacked": -1}, {"ticks": iter(())}])
def test_each_part_of_a_budget_ends_it(change):
    budget = Budget()
    assert not budget.is_spent
    vars(budget).update(change)
    assert budget.is_spent


@pytest.mark.parametrize("protocol", [2, 4])
def test_two_hundred_thousand_tensors_are_followed(protocol):
    """By what some thousands cost, of a run with an optimizer, which has most."""
    net = torch.nn.ParameterList([torch.zeros(2) for _ in range(1500)])
    optimizer = torch.optim.Adam(net.parameters(), foreach=False)
    sum(part.sum() for part in net).backward()
    optimizer.step()
    both = {"model": net.state_dict(), "optimizer": optimizer.state_dict()}
    both["net"] = {f"layers.{i}.weight": part for i, part in enumerate(net)}
    torch.save(both, file := io.BytesIO(), pickle_protocol=protocol)
    with zipfile.ZipFile(file) as archive:
        pickled = archive.read("archive/data.pkl")
    budget, whole = Budget(), Budget()
    found = follow(pickled, budget=budget)
    count = 7500  # weights twice, and three of the optimizer for each
    spent = whole.room + whole.more - budget.room - budget.more
    assert not found.problem
    assert found.steps / count * 200_000 < MOST_STEPS
    assert spent / count * 200_000 < whole.room + whole.more
    # What the pickle's length adds keeps pace.
    assert spent / count * 200_000 < whole.room + 20 * len(pickled) / count * 200_000


def test_pickles_share_a_budget():
    budget = Budget(100)
    problems = [follow(b"N" * 30 + b".", budget=budget).problem for _ in range(4)]
    assert problems == ["", "", "", "too much to follow"]


def test_long_names_take_memory():
    budget, whole = Budget(), Budget()
    follow(
        b"".join(b"cm%d" % i + b"a" * 60_000 + b"\nb\n0" for i in range(9)), budget=budget
    )
    assert whole.room + whole.more - budget.room - budget.more > 9 * 60_000


def test_a_mark_gives_its_memory_back():
    budget = Budget()
    before = budget.room
    follow(b"(t0" * 1000 + b"N.", budget=budget)
    assert before - budget.room < 100_000 + 300
