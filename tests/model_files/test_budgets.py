"""Budgets of instructions, of memory, and of what archives become."""

import pytest

from helpers.model_files.budgets import COSTS, Budget
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


def test_pickles_share_a_budget():
    budget = Budget(100)
    problems = [follow(b"N" * 30 + b".", budget=budget).problem for _ in range(4)]
    assert problems == ["", "", "", "too much to follow"]


def test_a_mark_gives_its_memory_back():
    budget = Budget()
    before = budget.room
    follow(b"(t0" * 1000 + b"N.", budget=budget)
    assert before - budget.room < 100_000 + 300
