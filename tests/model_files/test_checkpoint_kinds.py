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


ARRAY = Made("numpy._core.multiarray._reconstruct", (), ())


@pytest.mark.parametrize(
    ("value", "places"),
    [
        (
            mapping(state_dict=STATE, optimizer_states=[OPTIMIZER, OPTIMIZER]),
            ["optimizer_states.0"],
        ),
        (mapping(a=mapping(b=mapping(c=OPTIMIZER)), net=STATE), ["a.b.c"]),
        (mapping(state=mapping(), param_groups=[], model=STATE), ["state", "param_groups"]),
    ],
)
def test_optimizers_in_lists_and_deep_and_beside_the_weights(value, places):
    found = kind_of(value)
    assert list(found.optimizers) == places
    assert "alone" not in found.what and found.weights in (
        ("state_dict",),
        ("net",),
        ("model",),
    )


def test_weights_of_numpy_and_those_in_mappings_of_somebodys_own():
    arrays = mapping(a=ARRAY, b=ARRAY, c=ARRAY)
    assert kind_of(mapping(model=arrays)).weights == ("model",)
    assert "NumPy" in kind_of(arrays).what
    assert kind_of(mapping(history=arrays, net=mapping(w=TENSOR))).weights == ("net",)
    assert kind_of(mapping(a=mapping(b=mapping(c=STATE)))).weights == ("a", "b", "c")
    own = Made("my.Edict", (), None, ["a", TENSOR])
    assert kind_of(mapping(model=own)).weights == ("model",)
