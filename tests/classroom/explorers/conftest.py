"""What several explorers' tests look at."""

import pytest

from helpers.classroom.explorers.trade_off import trade_off
from tests.quantization.conftest import evaluator

__all__ = ["evaluator"]


@pytest.fixture(scope="module")
def reused():
    """One panel for many tests: nothing is measured twice. Each starts it again."""
    return trade_off()
