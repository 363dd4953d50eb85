"""A count held against a file: the zeros that cost one bit, written and read back."""

import pytest
import safetensors.torch
import torch
from torch import nn

from helpers.classroom.data.networks import DigitsNet
from helpers.classroom.data.pruning import sparse_bytes
from helpers.classroom.data.small_models import load_small_models
from helpers.classroom.data.sparse_files import load_sparse, save_sparse
from helpers.quantization import Scheme, quantize_model


@pytest.mark.parametrize("bits", [2, 3, 4, 6, 8])
def test_the_file_gives_the_same_answers_and_holds_what_was_counted(bits, tmp_path, digits):
    path, scheme = tmp_path / "small.safetensors", Scheme(bits, granularity="channel")
    for (width, zeros), model in load_small_models().items():
        if zeros in (50, 90):
            written = save_sparse(path, model, scheme)
            loaded = load_sparse(path, DigitsNet(width))
            small = quantize_model(model, scheme)
            with torch.no_grad():
                images = digits.test_images[:50]
                assert torch.equal(loaded(images), small(images))
            held = sum(t.nbytes for t in safetensors.torch.load_file(path).values())
            assert held == sparse_bytes(model, scheme)
            assert written == path.stat().st_size


def test_weights_without_zeros_are_stored_plainly(tmp_path):
    model, path = nn.Sequential(nn.Linear(5, 3)), tmp_path / "plain.safetensors"
    save_sparse(path, model, Scheme(4))
    assert sorted(safetensors.torch.load_file(path)) == ["0.bias", "0.numbers", "0.scale"]
    small = quantize_model(model, Scheme(4))
    again = load_sparse(path, nn.Sequential(nn.Linear(5, 3)))
    assert torch.equal(again[0].weight, small[0].weight)


def test_a_scheme_whose_zero_is_no_zero_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"^scheme is not symmetric; expected one"):
        save_sparse(tmp_path / "no", nn.Linear(2, 2), Scheme(symmetric=False))
    assert not list(tmp_path.iterdir())
