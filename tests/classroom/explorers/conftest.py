"""What several explorers' tests look at."""

import pytest


@pytest.fixture(scope="module")
def evaluator(model, digits):
    """An evaluator of the model that ships with the course."""
    from helpers.classroom.explorers.evaluation import Evaluator

    return Evaluator(model, digits.test_images, digits.test_labels, digits.train_images)
