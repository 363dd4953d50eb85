"""What a right answer of notebook 09 is told of the images that judge."""

import pytest

from helpers.classroom.data.digits import load_digits
from helpers.classroom.data.networks import load_reference_model
from helpers.classroom.exercises.notebook_09 import EXERCISES, TWO_BITS
from helpers.quantization import Scheme, quantize_model
from helpers.training import accuracy


@pytest.mark.parametrize(
    ("id", "scheme", "keep_float", "said"),
    [
        ("09.1", Scheme(3, observer="percentile", percentile=96), (), "96 gets {} %"),
        ("09.1", Scheme(3, observer="percentile", percentile=95), (), "too, gets {}."),
        ("09.3", TWO_BITS, ("blocks.0.0", "blocks.1.3"), "it gets {} %"),
    ],
)
def test_the_shares_of_the_judging_images_are_so(id, scheme, keep_float, said):
    model = quantize_model(load_reference_model(), scheme, keep_float=keep_float)
    right = f"{100 * accuracy(model, *load_digits().judging):.1f}"
    assert said.format(right) in EXERCISES[id].because


def test_what_eight_other_trainings_leave_is_told():
    said = (
        "carried over to eight other trainings, it leaves 75.9 to 95.1 % of all 719. Mixed "
        "bits, chosen anew for each model, left 97.5 to 99.4 % of the last 359."
    )
    assert EXERCISES["09.1"].because.endswith(said)
