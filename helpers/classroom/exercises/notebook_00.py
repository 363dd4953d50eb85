"""The check for notebook 00's exercise."""

import math

from helpers.classroom.data.digits import load_digits
from helpers.classroom.data.networks import load_reference_model
from helpers.classroom.exercises.checking import Exercise


def count_of_wrong_images(answer: object) -> str | None:
    """How many of the 719 test images does the reference model get wrong?"""
    model, digits = load_reference_model(), load_digits()
    wrong = 0
    for logits, label in zip(model(digits.test_images), digits.test_labels, strict=True):
        wrong += int(logits.argmax() != label)
    total = len(digits.test_labels)
    if isinstance(answer, float) and 0 < answer <= 1:
        return "that is a share. How many images is it, of all the test images?"
    try:
        images = math.nan if isinstance(answer, str) else float(answer)
    except Exception:  # whatever the learner's object raises, it is not a number
        images = math.nan
    if images == wrong:
        return None
    if abs(images - wrong) < 0.5:
        return "nearly: images are whole, so round it."
    percentages = 100 * wrong / total, 100 * (total - wrong) / total
    if min(abs(images - percentage) for percentage in percentages) < 0.2:
        return "that looks like a percentage; of how many images?"
    if abs(images - (total - wrong)) < 0.5:
        return "those are the images it gets right. How many are left?"
    if not images.is_integer():
        return "expected a whole number of images, such as 3; no unit, no percent sign."
    if images == total:
        return "that is how many test images there are. How many does it get wrong?"
    return "subtract: all test images, less the share that is right times all of them."


EXERCISES = {
    "00.1": Exercise(
        count_of_wrong_images,
        "a slow loop that looks at one answer after another counts the same.",
    ),
}

QUIZZES = {
    "00.q1": (
        "What did torch.save(model.state_dict(), path) put into the file?",
        [
            (
                "the tensors, under their names",
                True,
                "Numbers and names, no more than that.",
            ),
            (
                "the tensors and the class",
                False,
                "Then we would not have needed DigitsNet().",
            ),
            (
                "the whole Python session",
                False,
                "It holds tensors and names; variables and imports are not in it.",
            ),
        ],
    ),
}
