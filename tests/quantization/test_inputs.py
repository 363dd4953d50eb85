"""A model's inputs: a tensor, a tuple, a mapping."""

import pytest
import torch
from torch import nn

from helpers.quantization.inputs import row_count, rows, run, split


class Named(nn.Module):
    def forward(self, tokens, mask=None, *, scale=1.0):
        return tokens * scale if mask is None else tokens * mask * scale


def test_each_form_reaches_the_arguments_it_names():
    tokens, mask = torch.arange(6.0).reshape(3, 2), torch.tensor([[0.0], [1.0], [1.0]])
    assert torch.equal(run(Named(), tokens), tokens)
    assert torch.equal(run(Named(), (tokens, mask)), tokens * mask)
    assert torch.equal(run(Named(), [tokens, mask]), tokens * mask)
    assert torch.equal(run(Named(), {"tokens": tokens, "scale": 2.0}), tokens * 2)


def test_parts_have_the_same_form_and_keep_what_has_no_rows():
    inputs = {"tokens": torch.arange(5), "mask": None, "scale": torch.tensor(2.0)}
    parts = split(inputs, 2)
    assert [part["tokens"].tolist() for part in parts] == [[0, 1], [2, 3], [4]]
    assert all(part["mask"] is None and part["scale"] == 2 for part in parts)
    assert rows((torch.arange(5), "mean"), 1, 3)[1] == "mean"
    assert row_count(inputs) == 5


@pytest.mark.parametrize(
    "inputs, error, says",
    [
        ((torch.ones(5), torch.ones(4)), ValueError, "inputs have 4, 5 rows; expected as"),
        ((), TypeError, "inputs are of type tuple without a tensor of rows; expected a"),
        (7, TypeError, "inputs are of type int without a tensor of rows; expected a"),
        (torch.tensor(1.0), TypeError, "inputs are of type Tensor without a tensor of"),
    ],
)
def test_inputs_without_rows_are_refused(inputs, error, says):
    with pytest.raises(error, match=says):
        split(inputs, 2)
