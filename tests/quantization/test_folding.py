"""Batch norms folded into their convolutions."""

import copy
from types import MethodType

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from helpers.classroom.data.networks import DigitsNet, load_reference_model
from helpers.quantization import Scheme, fold_batch_norm, packed_bytes, quantize_model
from helpers.quantization.folding import fold
from tests.quantization.styles import twins


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


STYLES = ("Sequential", "attributes", "functional", "lists", "nested")
SCHEMES = (
    Scheme(bits=3),
    Scheme(bits=4, granularity="channel", symmetric=False),
    Scheme(bits=4, granularity="group", group_size=5, observer="mse"),
)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_the_style_in_which_a_model_is_written_changes_nothing(style, scheme):
    written = twins()
    images = torch.rand(7, 1, 6, 6, generator=torch.Generator().manual_seed(1))
    ranges = Scheme(bits=8, symmetric=False)
    with torch.no_grad():
        one, other = (
            quantize_model(written[name], scheme, ranges, images)(images)
            for name in ("attributes", style)
        )
    assert torch.equal(one, other)
    sizes = [packed_bytes(written[name], scheme) for name in ("attributes", style)]
    assert sizes[0] == sizes[1] < packed_bytes(written[style], None)
    assert not any(
        isinstance(m, nn.BatchNorm2d) for m in fold_batch_norm(written[style]).modules()
    )


PAIRS = {
    "conv1d": (nn.Conv1d(2, 3, 2), nn.BatchNorm1d(3), (4, 2, 5)),
    "conv3d": (nn.Conv3d(2, 3, 2), nn.BatchNorm3d(3), (4, 2, 3, 3, 3)),
    "transposed": (nn.ConvTranspose2d(2, 3, 2), nn.BatchNorm2d(3), (4, 2, 3, 3)),
    "linear": (nn.Linear(2, 3), nn.BatchNorm1d(3), (4, 2)),
    "without-affine": (nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3, affine=False), (4, 2, 3, 3)),
    "double": (nn.Conv2d(2, 3, 2).double(), nn.BatchNorm2d(3).double(), (4, 2, 3, 3)),
    "sync": (nn.Conv2d(2, 3, 2), nn.SyncBatchNorm(3), (4, 2, 3, 3)),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_each_kind_of_layer_takes_its_norm(pair):
    layer, norm, shape = PAIRS[pair]
    nn.init.normal_(norm.running_mean)
    nn.init.uniform_(norm.running_var, 0.1, 3)
    model = nn.Sequential(layer, norm).eval()
    inputs = torch.rand(shape, dtype=layer.weight.dtype)
    folded, left = fold(model)
    assert left == {}
    assert isinstance(folded[1], nn.Identity)
    with torch.no_grad():
        assert torch.allclose(folded(inputs), model(inputs), atol=1e-5)


class Twice(nn.Module):
    """Each way in which a norm behind a convolution must not be folded."""

    def __init__(self, case):
        super().__init__()
        self.case = case
        self.conv, self.bn = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)
        nn.init.normal_(self.bn.running_mean)

    def forward(self, x):
        y = self.conv(x)
        if self.case == "others read":
            return self.bn(y) + y
        if self.case == "norm twice":
            return self.bn(self.bn(y))
        if self.case == "layer twice":
            return self.bn(y) + self.conv(x)
        if self.case == "relu between":
            return self.bn(torch.relu(y))
        if self.case == "weight read":
            return self.bn(y) + self.conv.weight.sum()
        return self.bn(y)


@pytest.mark.parametrize(
    "case, reason",
    [
        ("others read", "others read what conv returns, too"),
        ("norm twice", "it runs more than once"),
        ("layer twice", "conv, before it, runs more than once"),
        ("relu between", "it does not follow a layer"),
        ("weight read", "conv, before it, runs more than once"),
        ("hooks", "conv, before it, has hooks, a computed weight or its own forward"),
        ("hooks on the norm", "it has hooks"),
    ],
)
def test_a_norm_that_cannot_be_folded_stays_and_says_why(case, reason):
    model, inputs = Twice(case).eval(), torch.rand(3, 2, 4, 4)
    if case == "hooks":
        model.conv.register_forward_hook(lambda module, inputs, output: output * 2)
    if case == "hooks on the norm":
        model.bn.register_forward_pre_hook(lambda module, inputs: (inputs[0] * 2,))
    folded, left = fold(model)
    assert left == {"bn": reason}
    with torch.no_grad():
        assert torch.equal(folded(inputs), model(inputs))


class Secret(nn.Module):
    """Its path depends on values, at the very place of the norm."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)

    def forward(self, x):
        y = self.conv(x)
        return self.bn(y) if y.sum() > 0 else y


def test_a_norm_that_nobody_can_follow_is_named_in_a_warning():
    with pytest.warns(UserWarning, match=r"batch norms, so they were not folded.*: bn$"):
        folded = fold_batch_norm(Secret())
    assert isinstance(folded.bn, nn.BatchNorm2d)


def test_following_leaves_nothing_in_the_model():
    class Remembers(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.bn, self.seen = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2), None

        def forward(self, x):
            self.seen = self.bn(self.conv(x))
            return self.seen

    assert fold_batch_norm(Remembers()).seen is None


def test_a_weight_that_two_convolutions_share_is_folded_into_one_of_them():
    model = nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1))
    model[2].weight = model[0].weight
    nn.init.uniform_(model[1].running_var, 2, 3)
    folded, inputs = fold_batch_norm(model), torch.rand(3, 2, 4, 4)
    assert torch.equal(folded[2].weight, model[2].weight)
    with torch.no_grad():
        assert torch.allclose(folded(inputs), model.eval()(inputs), atol=1e-6)


def test_a_linear_takes_its_norm_for_rows_alone():
    folded = fold_batch_norm(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)))
    assert folded(torch.rand(5, 4)).shape == (5, 3)
    with pytest.raises(ValueError, match=r"^1 was folded into the Linear before it, which"):
        folded(torch.rand(5, 3, 4))


def test_a_transposed_convolution_in_groups_keeps_its_norm():
    model = nn.Sequential(nn.ConvTranspose2d(4, 4, 2, groups=2), nn.BatchNorm2d(4)).eval()
    folded, left = fold(model)
    assert left == {"1": "0, before it, is a transposed convolution in groups"}
    inputs = torch.rand(3, 4, 2, 2)
    with torch.no_grad():
        assert torch.equal(folded(inputs), model(inputs))


def test_a_norm_of_someone_else_is_named():
    class FrozenBatchNorm2d(nn.Module):
        def forward(self, x):
            return x

    model = nn.Sequential(nn.Conv2d(1, 1, 1), FrozenBatchNorm2d())
    assert fold(model)[1] == {"1": "it is not a batch norm of PyTorch's own"}


def test_a_model_that_cannot_be_copied_is_named():
    model = nn.Sequential(nn.Linear(2, 2))
    prune.l1_unstructured(model[0], "weight", amount=0.5)
    model(torch.rand(1, 2))
    model[0].weight = model[0].weight_orig * 2
    with pytest.raises(ValueError, match=r"cannot be copied: 0 computes its weight"):
        fold_batch_norm(model)


class Conv(nn.Conv2d):
    """Adds nothing to its class but defaults."""

    def __init__(self, *channels):
        super().__init__(*channels, 3, bias=False)


class Standardized(nn.Conv2d):
    """Computes with another weight than the one that it holds."""

    def _conv_forward(self, x, weight, bias):
        return super()._conv_forward(x, weight - weight.mean(), bias)


class Norm(nn.BatchNorm2d):
    """Adds nothing."""


class Between(nn.Module):
    """A layer and a norm, between which something may happen; see `path`."""

    def __init__(self, layer=None, norm=None):
        super().__init__()
        self.layer, self.norm = layer or nn.Conv2d(1, 2, 3), norm or nn.BatchNorm2d(2)

    def forward(self, x, context=None):
        return self.path(x, context)

    def path(self, x, context):
        return self.norm(self.layer(x))


class Doubled(Between):
    def path(self, x, context):
        h = self.layer(x)
        return self.norm(h) + (h if context is None else context)


class Skipped(Between):
    def path(self, x, context):
        h = self.layer(x)
        return h if context is None else self.norm(h) + context


class Scaled(Between):
    def path(self, x, context):
        h = self.norm(self.layer(x))
        return h if context is None else h * context


class Needed(Between):
    def path(self, x, context):
        return self.norm(self.layer(x)) * context.relu()


ALIKE = [
    (Between(Conv(1, 2)), True),
    (Between(norm=Norm(2)), True),
    (Between(Standardized(1, 2, 3)), False),
    (nn.Sequential(Conv(1, 2), nn.Dropout2d(), nn.Identity(), Norm(2)), True),
    (Doubled(), False),
    (Skipped(), False),
    (Scaled(), True),
    (Needed(), True),
]


@pytest.mark.parametrize(("net", "folds"), ALIKE, ids=map(str, range(len(ALIKE))))
def test_a_norm_is_folded_where_every_path_allows_it(net, folds):
    images = torch.rand(5, 1, 8, 8)
    for norm in net.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.running_mean), nn.init.uniform_(norm.running_var, 1, 2)
    folded, left = fold(net)
    assert bool(left) != folds
    calls = [(images, torch.ones(1))]
    if not isinstance(net, Needed):
        calls.append((images,))
    if isinstance(net, nn.Sequential):
        calls = [(images,)]
    for call in calls:
        with torch.no_grad():
            assert torch.allclose(folded(*call), net.eval()(*call), atol=1e-5)


def test_a_norm_of_another_axis_stays():
    net = nn.Sequential(nn.Linear(16, 32), nn.BatchNorm1d(10))
    assert fold(net)[1] == {"1": "it normalizes another axis than the last of 0, before it"}


def test_a_compiled_model_is_folded_inside():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).eval()
    images = torch.rand(5, 1, 8, 8)
    folded = fold_batch_norm(torch.compile(net, backend="eager"))
    with torch.no_grad():
        assert torch.allclose(folded(images), net(images), atol=1e-5)
    assert isinstance(folded._orig_mod[1], nn.Identity)
    assert isinstance(net[1], nn.BatchNorm2d)


def test_a_forward_that_was_set_from_outside_is_refused_or_not_followed():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).eval()
    images = torch.rand(5, 1, 8, 8)
    net.forward = MethodType(lambda self, x: self[1](self[0](x)) + self[0](x), net)
    with pytest.warns(UserWarning, match="could not be followed"), torch.no_grad():
        assert torch.equal(fold_batch_norm(net)(images), net(images))
    for made in (torch.compile(net.forward, backend="eager"), lambda x: x):
        net.forward = made
        with pytest.raises(ValueError, match=r"^the model has a forward of its own, set"):
            fold_batch_norm(net)


def test_one_memory_in_two_shapes_is_refused():
    net = nn.Sequential(nn.Linear(32, 8), nn.Linear(8, 32))
    net[1].weight = nn.Parameter(net[0].weight.t())
    with pytest.raises(ValueError, match=r"^0.weight and 1.weight are one memory in two"):
        packed_bytes(net, None)


def test_what_pruning_left_in_other_layers_is_named_with_its_cure():
    net = nn.Sequential(nn.Linear(4, 4), nn.LSTM(4, 4))
    prune.l1_unstructured(net[1], "weight_hh_l0", amount=0.5)
    net[1](torch.rand(2, 1, 4))
    with pytest.raises(ValueError, match=r"prune.remove\(model.get_submodule\('1'\), 'wei"):
        fold_batch_norm(net)
