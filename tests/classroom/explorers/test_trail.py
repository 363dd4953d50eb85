"""What counts as seen and pinned, and from when on."""

from helpers.classroom.explorers.trail import Trail
from helpers.quantization import Evaluator, Scheme, Setting


def test_nothing_is_seen_or_pinned_before_the_guess(model, digits):
    evaluator = Evaluator(model, digits.test_images, digits.test_labels)
    trail, three = Trail(evaluator.exact), evaluator(Setting(Scheme(bits=3)))
    trail.see(three)
    trail.pin(three)
    assert trail.seen == [evaluator.exact] and trail.pinned == []
    trail.reveal(90, three)
    trail.reveal(20, evaluator.exact)
    assert trail.guess == (90, three), "the first guess stands"
    for _ in range(3):
        trail.see(three)
        trail.pin(three)
    assert trail.seen == [evaluator.exact, three] and trail.pinned == [three]
    assert trail.front == [three.point, evaluator.exact.point]
