"""What several tests of the quantizer and of its explorers look at."""

import pytest


@pytest.fixture(scope="module")
def evaluator(model, digits):
    """An evaluator of the model that ships with the course."""
    from helpers.quantization import Evaluator

    return Evaluator(model, digits.test_images, digits.test_labels, digits.train_images)
