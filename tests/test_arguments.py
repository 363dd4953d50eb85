"""Argument checks: what is accepted, and the one clear error that names the argument."""

import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

from helpers.arguments import require_module, require_one_of, type_of, whole_number
from tests import ROOT


class Anything:
    def __repr__(self):
        return "<anything>"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([1, 2], "of type list"),
        (None, "of type NoneType"),
        (True, "of type bool"),
        (np.float32(1), "of type float32"),
        (torch.ones(2), "of type Tensor"),
        (Anything(), "of type Anything"),
        (Anything, "of type type"),
    ],
)
def test_a_type_is_named_as_an_error_message_says_it(value, text):
    assert type_of(value) == text


# ---- Modules


def test_a_module_is_accepted_and_nothing_is_returned():
    assert require_module(nn.Linear(2, 1)) is None


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (nn.Linear(2, 1).state_dict(), "OrderedDict"),
        (nn.Linear, "type"),  # the class, not a model of it
        (torch.ones(2), "Tensor"),
        (None, "NoneType"),
    ],
)
def test_what_is_not_a_module_is_refused(value, kind):
    with pytest.raises(TypeError) as caught:
        require_module(value)
    assert str(caught.value) == f"model is of type {kind}; expected a torch.nn.Module"


def test_the_other_checks_do_without_torch():
    code = (
        "import sys; from helpers.arguments import *;"
        " type_of(1); whole_number('n', 1, least=0); require_one_of('n', 1, (1,));"
        " print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT
    )
    assert (done.stdout, done.stderr) == ("False\n", "")


# ---- Whole numbers


@pytest.mark.parametrize(
    "value",
    [
        3,
        np.int64(3),
        np.uint8(3),
        np.array(3),
        torch.tensor(3),
        torch.tensor([3]),
        torch.tensor(3, dtype=torch.int8),
    ],
    ids=lambda value: f"{type(value).__name__} {getattr(value, 'dtype', '')}",
)
def test_whole_numbers_of_numpy_and_torch_become_plain_ones(value):
    number = whole_number("step", value, least=0)
    assert number == 3 and type(number) is int


@pytest.mark.parametrize(
    "value",
    [
        True,
        False,
        2.0,
        2.5,
        float("nan"),
        "3",
        None,
        [3],
        Fraction(3),
        np.float32(3),
        np.array([3, 4]),
        torch.tensor(3.0),
        torch.tensor([3, 4]),
        Anything(),
    ],
    ids=repr,
)
def test_what_is_not_a_whole_number_is_refused(value):
    with pytest.raises(ValueError) as caught:
        whole_number("step", value, least=0)
    assert str(caught.value) == (f"step is {value!r}; expected a whole number of 0 or more")


@pytest.mark.parametrize("value", [2, 9, 16])
def test_both_bounds_are_allowed(value):
    assert whole_number("bits", value, least=2, most=16) == value


@pytest.mark.parametrize("value", [-1, 1, 17, np.int64(17), 10**30, True, 2.5])
def test_what_is_out_of_bounds_is_refused_with_both(value):
    with pytest.raises(ValueError) as caught:
        whole_number("bits", value, least=2, most=16)
    assert str(caught.value) == (f"bits is {value!r}; expected a whole number from 2 to 16")


def test_without_an_upper_bound_any_size_will_do():
    assert whole_number("seed", 10**30, least=-5) == 10**30
    assert whole_number("seed", -5, least=-5) == -5
    with pytest.raises(ValueError) as caught:
        whole_number("seed", -6, least=-5)
    assert str(caught.value) == "seed is -6; expected a whole number of -5 or more"


def test_an_upper_bound_of_0_is_one():
    assert whole_number("axis", 0, least=-2, most=0) == 0
    with pytest.raises(ValueError, match="axis is 1; expected a whole number from -2 to 0"):
        whole_number("axis", 1, least=-2, most=0)


# ---- One of several


@pytest.mark.parametrize("allowed", [("minmax", "mse"), {"minmax": 1, "mse": 2}])
def test_one_of_those_allowed_is_accepted_and_another_is_refused(allowed):
    for value in allowed:
        assert require_one_of("observer", value, allowed) is None
    with pytest.raises(ValueError) as caught:
        require_one_of("observer", "median", allowed)
    assert str(caught.value) == "observer is 'median'; expected one of 'minmax', 'mse'"


@pytest.mark.parametrize("value", [None, "16", 48])
def test_numbers_are_listed_as_they_are_written(value):
    with pytest.raises(ValueError) as caught:
        require_one_of("block_size", value, (16, 32))
    assert str(caught.value) == f"block_size is {value!r}; expected one of 16, 32"
