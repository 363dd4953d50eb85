"""Batch norms folded into their convolutions."""

import copy

import torch
from torch import nn

from helpers.classroom.data.networks import DigitsNet, load_reference_model
from helpers.quantization import (
    fold_batch_norm,
)


def test_folding_changes_the_weights_but_not_the_answers():
    model = load_reference_model()
    images = torch.rand(20, 1, 8, 8)
    with torch.no_grad():
        folded = fold_batch_norm(model)(images)
        assert torch.allclose(folded, model(images), atol=1e-4)


def test_every_pair_of_digits_net_is_folded():
    folded = fold_batch_norm(load_reference_model())
    kinds = [type(module) for module in folded.modules()]
    assert nn.BatchNorm2d not in kinds
    assert kinds.count(nn.Identity) == kinds.count(nn.Conv2d) == 9
    assert all(m.bias is not None for m in folded.modules() if isinstance(m, nn.Conv2d))


def test_the_original_is_not_touched():
    model = DigitsNet(width=2).train()
    before = copy.deepcopy(model.state_dict())
    folded = fold_batch_norm(model)
    with torch.no_grad():
        for parameter in folded.parameters():
            parameter.zero_()
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert all(module.training for module in model.modules())
    assert not any(module.training for module in folded.modules())


def test_a_norm_without_its_convolution_stays():
    alone = nn.Sequential(
        nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1), nn.ReLU(), nn.BatchNorm2d(2)
    )
    kinds = [type(module) for module in fold_batch_norm(alone)]
    assert kinds == [nn.BatchNorm2d, nn.Conv2d, nn.ReLU, nn.BatchNorm2d]


def test_a_norm_that_keeps_no_statistics_stays():
    net = nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2, track_running_stats=False))
    images = torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(fold_batch_norm(net)(images), net.eval()(images))
