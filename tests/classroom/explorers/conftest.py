"""What several explorers' tests look at."""

from tests.quantization.conftest import evaluator

__all__ = ["evaluator"]
