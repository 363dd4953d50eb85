"""Whose checkpoint it is, by its keys."""

import pytest

from helpers.model_files.checkpoint_kinds import kind_of
from helpers.model_files.pickle_instructions import Made

TENSOR = Made("torch._utils._rebuild_tensor_v2", (0,))
MODEL = Made("ultralytics.nn.tasks.DetectionModel", (), None)


def mapping(**items):
    return Made("dict", (), items=[x for pair in items.items() for x in pair])


MODEL.state = mapping(_modules=mapping())
STATE = mapping(a=TENSOR, b=TENSOR)
OPTIMIZER = mapping(state=mapping(), param_groups=[])


@pytest.mark.parametrize(
    ("value", "what", "weights"),
    [
        (mapping(model=MODEL, ema=None, train_args=mapping()), "Ultralytics", ("model",)),
        (mapping(model=None, ema=MODEL, updates=3), "Ultralytics", ("ema",)),
        (mapping(python=1, numpy=2, cpu=TENSOR), "Transformers' trainer", None),
        (mapping(last_epoch=1, _step_count=2), "a scheduler's state alone", None),
        (mapping(scale=1.0, growth_factor=2.0, _growth_tracker=0), "GradScaler", None),
        (Made("transformers.training_args.TrainingArguments", ()), "Transformers'", None),
        (mapping(optimizer=OPTIMIZER, net=STATE), "a checkpoint", ("net",)),
        (mapping(small=mapping(a=TENSOR), large=STATE), "a checkpoint", ("large",)),
        (mapping(rng=STATE, net=mapping(a=TENSOR)), "a checkpoint", ("net",)),
        (mapping(epoch=3), "a dictionary without weights", None),
        (STATE, "a bare state dict", ()),
        (MODEL, "a whole pickled model", ()),
        ([TENSOR], "a pickled list", None),
    ],
)
def test_kinds(value, what, weights):
    found = kind_of(value)
    assert what in found.what
    assert found.weights == weights


def test_optimizers_are_found_where_they_are():
    second = mapping(state=mapping(), param_groups=[])
    value = mapping(net=STATE, optimizer=OPTIMIZER, more=mapping(second=second))
    assert kind_of(value).optimizers == ("optimizer", "more.second")
    assert kind_of(OPTIMIZER).optimizers == ("",)
