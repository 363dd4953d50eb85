"""Running all rows: how many at once, what is refused; two models that answer alike."""

import copy

import pytest
import torch
from torch import nn

from helpers.quantization import METRICS, Metric
from helpers.quantization.layers import layer_weights
from helpers.quantization.scoring import judge, require_sound_copy, weight_in
from tests.quantization.own_models import Answer

SAME = nn.Identity()


def floats(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def whole(most, *shape, seed=0):
    return torch.randint(0, most, shape, generator=torch.Generator().manual_seed(seed))


def test_one_number_for_all_rows_is_refused():
    for scores in (lambda one, other: (one - other).mean(), lambda *_: 3.0):
        with pytest.raises(ValueError, match="the scores of own are one number for all"):
            judge(SAME, floats(9), floats(9), Metric("own", scores))


@pytest.mark.parametrize("name", ["inputs", "labels"])
def test_lists_are_refused_by_name(name):
    given = {"inputs": floats(9, 5), "labels": whole(5, 9)}
    given[name] = given[name].tolist()
    with pytest.raises(TypeError, match=f"^{name} are of type list without a tensor of "):
        judge(SAME, **given)


def test_rows_with_many_labels_are_run_fewer_at_once():
    seen = []
    model = Answer(lambda x: (seen.append(len(x)), x)[1])
    for tokens, most in ((2, 180), (1024, 4), (5000, 1)):
        seen.clear()
        judge(model, torch.zeros(9, tokens, 2), whole(2, 9, tokens), "accuracy")
        assert sum(seen) == 9 and max(seen) == min(most, 9)


class Slots:
    def __init__(self, logits):
        self.logits = logits


@pytest.mark.parametrize("pack", [lambda x: (1, x), lambda x: {"more": [x]}, Slots])
@pytest.mark.parametrize("off, dtype", [(1e-2, torch.float32), (1e-5, torch.float64)])
def test_a_copy_that_answers_otherwise_is_refused_wherever_the_answer_is(pack, off, dtype):
    inputs = floats(16, 4).to(dtype)
    require_sound_copy(Answer(pack), Answer(lambda x: pack(x * (1 + off / 1e3))), inputs)
    for other in (
        lambda x: x * (1 + off),
        lambda x: x.where(x < x.max(), torch.inf),
        lambda x: x.where(x < x.max(), torch.nan),
    ):
        with pytest.raises(ValueError, match="folding its batch norms changed the model"):
            require_sound_copy(
                Answer(pack), Answer(lambda x, other=other: pack(other(x))), inputs
            )


def test_the_last_of_several_chunks_counts_too():
    outputs, labels = floats(400, 5), whole(5, 400)
    _, scores, classes = judge(SAME, outputs, labels)
    assert torch.equal(classes, outputs.argmax(1))
    assert torch.equal(scores, classes == labels)


def test_weights_are_found_again_in_a_copy():
    model = nn.Sequential(nn.Linear(3, 2), nn.MultiheadAttention(4, 2, kdim=3, vdim=3))
    other = copy.deepcopy(model)
    for weight in layer_weights(model):
        assert torch.equal(weight_in(other, weight), weight.parameter)
        assert weight_in(other, weight) is not weight.parameter
    assert METRICS["accuracy"].classes(floats(3, 2)).shape == (3,)
