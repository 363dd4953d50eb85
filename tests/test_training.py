"""Training: seeds and states that reproduce, a mean loss checked by hand, modes kept."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from helpers.checkpoints import (
    IncompatibleCheckpointError,
    load_checkpoint,
    save_checkpoint,
)
from helpers.training import (
    accuracy,
    capture_rng,
    restore_rng,
    seed_everything,
    train_epoch,
)


def draw_from_everywhere():
    return random.random(), np.random.rand(), torch.rand(1).item()


def problem(count=10):
    """A linear model with a few random images and labels."""
    torch.manual_seed(3)
    return nn.Linear(4, 3), torch.randn(count, 4), torch.randint(3, (count,))


# seed_everything


def test_the_same_seed_gives_the_same_numbers_in_python_numpy_and_torch():
    seed_everything(7)
    first = draw_from_everywhere()
    seed_everything(7)
    assert draw_from_everywhere() == first
    seed_everything(8)
    assert all(a != b for a, b in zip(draw_from_everywhere(), first, strict=True))


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_both_ends_of_the_range_are_seeds(seed):
    seed_everything(seed)


@pytest.mark.parametrize("seed", [np.int64(3), np.uint8(3), torch.tensor(3)])
def test_a_whole_number_of_another_library_is_the_same_seed(seed):
    seed_everything(3)
    expected = draw_from_everywhere()
    seed_everything(seed)
    assert draw_from_everywhere() == expected


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, "1", None, True, np.int64(-1), np.True_])
def test_anything_else_is_refused_before_a_generator_is_touched(seed):
    seed_everything(7)
    first = draw_from_everywhere()
    seed_everything(7)
    with pytest.raises(ValueError) as caught:
        seed_everything(seed)
    assert str(caught.value) == (
        f"seed is {seed!r}; expected a whole number from 0 to 4294967295"
    )
    assert draw_from_everywhere() == first


# capture_rng, restore_rng


def test_a_captured_state_brings_back_the_same_numbers():
    for seed in (1, 2):
        seed_everything(seed)
        random.gauss(0, 1)  # Python, NumPy and torch keep half of a pair for later
        np.random.randn()
        torch.randn(1)
        state = capture_rng()
        expected = draw_from_everywhere(), random.gauss(0, 1), np.random.randn()
        draw_from_everywhere()
        restore_rng(state)
        assert (draw_from_everywhere(), random.gauss(0, 1), np.random.randn()) == expected


def test_a_state_passes_through_a_file_that_weights_only_reads(tmp_path):
    state = capture_rng()
    expected = draw_from_everywhere()
    torch.save(state, tmp_path / "rng.pt")
    restore_rng(torch.load(tmp_path / "rng.pt", weights_only=True))
    assert draw_from_everywhere() == expected


def test_each_generator_counts():
    seed_everything(1)
    first = capture_rng()
    expected = draw_from_everywhere()
    for name in ("python", "numpy", "torch"):
        seed_everything(2)
        restore_rng({**first, name: capture_rng()[name]})
        same = [a == b for a, b in zip(draw_from_everywhere(), expected, strict=True)]
        assert same == [name != other for other in ("python", "numpy", "torch")]


@pytest.mark.parametrize(
    "change",
    [
        {"python": [3, torch.ones(5), None]},
        {"numpy": ["MT19937", torch.ones(3), 0, 0, 0.0]},
        {"numpy": None},
        {"torch": torch.ones(3)},
        {"torch": torch.ones(3, dtype=torch.uint8)},
        {"cuda": [torch.ones(3)]},
        {"cuda": 7},
    ],
)
def test_a_broken_state_changes_no_generator(change):
    broken = {**capture_rng(), **change}
    before = capture_rng()
    expected = draw_from_everywhere()
    restore_rng(before)
    with pytest.raises(ValueError, match="this is not a state of capture_rng"):
        restore_rng(broken)
    assert draw_from_everywhere() == expected


@pytest.fixture(params=["PCG64", "PCG64DXSM", "Philox", "SFC64"])
def other_numpy(request):
    before = np.random.get_bit_generator()
    np.random.set_bit_generator(getattr(np.random, request.param)(7))
    yield request.param
    np.random.set_bit_generator(before)


def draw_from_numpy():
    small = np.random.randint(100, size=3, dtype=np.int32)  # half of 64 bits is kept
    return [np.random.randn(), *small.tolist(), np.random.rand()]


def test_another_generator_of_numpy_passes_through_a_file(tmp_path, other_numpy):
    np.random.randn()
    np.random.randint(100, dtype=np.int32)
    torch.save(capture_rng(), tmp_path / "rng.pt")
    expected = draw_from_numpy()
    state = torch.load(tmp_path / "rng.pt", weights_only=True)
    for _ in range(2):
        restore_rng(state)
        assert draw_from_numpy() == expected
    model = nn.Linear(2, 1)
    path = save_checkpoint(tmp_path / "a.pt", model=model)
    expected = draw_from_numpy()
    load_checkpoint(path, model=model)
    assert draw_from_numpy() == expected
    load_checkpoint(path, model=model, restore_rng=False)


def test_a_broken_state_of_another_generator_is_refused(other_numpy):
    state = capture_rng()
    expected = draw_from_numpy()
    restore_rng(state)
    for broken in ({}, {"state": 3}, {"state": {}}):
        with pytest.raises(ValueError, match="this is not a state of capture_rng"):
            restore_rng({**state, "numpy": {"bit_generator": other_numpy} | broken})
    inner = dict.fromkeys(state["numpy"]["state"], [2**70] * 4)
    with pytest.raises(ValueError, match="this is not a state of capture_rng"):
        restore_rng({**state, "numpy": state["numpy"] | {"state": inner}})
    assert draw_from_numpy() == expected


def test_a_state_of_another_kind_says_which_generator_to_set(tmp_path, other_numpy):
    state, model = capture_rng(), nn.Linear(2, 1)
    path = save_checkpoint(tmp_path / "a.pt", model=model)
    ours = np.random.get_bit_generator()
    np.random.set_bit_generator(np.random.MT19937(3))
    usual = capture_rng()
    assert usual["numpy"][0] == "MT19937" and len(usual["numpy"]) == 5
    message = (
        f"NumPy's generator is MT19937 now: call np.random.set_bit_generator(np.random."
        f"{other_numpy}()) before"
    )
    expected = draw_from_everywhere()
    restore_rng(usual)
    with pytest.raises(ValueError) as caught:
        restore_rng(state)
    assert str(caught.value) == message
    with pytest.raises(IncompatibleCheckpointError) as caught:
        load_checkpoint(path, model=model)
    assert message in str(caught.value)
    assert draw_from_everywhere() == expected
    np.random.set_bit_generator(getattr(np.random, other_numpy)())
    restore_rng(state)
    with pytest.raises(ValueError, match=r"is .* now: call .*MT19937"):
        restore_rng(usual)
    np.random.set_bit_generator(ours)


def test_states_of_gpus_that_are_not_here_are_left_out():
    state = {**capture_rng(), "cuda": [torch.zeros(16, dtype=torch.uint8)] * 99}
    if torch.cuda.is_available():
        state["cuda"][: torch.cuda.device_count()] = capture_rng()["cuda"]
    restore_rng(state)


class FakeGpus:
    """Stands for torch.xpu or torch.mps where there is no such device."""

    def __init__(self, count, fails=False):
        self.states = [torch.full((16,), k, dtype=torch.uint8) for k in range(count)]
        self.fails = fails

    def is_available(self):
        return bool(self.states)

    def device_count(self):
        return len(self.states)

    def get_rng_state(self, device):
        return self.states[device].clone()

    def set_rng_state(self, state, device):
        if self.fails:
            self.fails = False
            raise RuntimeError("RNG state is wrong size")
        self.states[device] = state.clone()

    def values(self):
        return [state[0].item() for state in self.states]


@pytest.mark.parametrize("kind", ["cuda", "xpu", "mps"])
def test_generators_of_every_kind_of_gpu_are_captured_and_restored(monkeypatch, kind):
    gpus = FakeGpus(2)
    monkeypatch.setattr(torch, kind, gpus)
    state = capture_rng()
    gpus.states = [torch.full((16,), 9, dtype=torch.uint8)] * 3
    restore_rng(state)
    assert gpus.values() == [0, 1, 9], "a GPU more than at that time is left alone"
    gpus.states = gpus.states[2:]
    restore_rng(state)
    assert gpus.values() == [0]
    del state[kind]
    if kind == "cuda":
        with pytest.raises(ValueError, match="KeyError: 'cuda'"):
            restore_rng(state)
    else:
        restore_rng(state)  # a file of an older version
        with pytest.raises(ValueError, match="a state of a GPU is torch"):
            restore_rng({**state, kind: [torch.ones(16)]})
    assert gpus.values() == [0]


@pytest.mark.parametrize("kind", ["xpu", "mps"])
def test_a_gpu_that_refuses_its_state_leaves_every_generator(monkeypatch, kind):
    seed_everything(3)
    other = capture_rng()
    seed_everything(4)
    gpus = FakeGpus(1, fails=True)
    monkeypatch.setattr(torch, kind, gpus)
    before = capture_rng()
    expected = draw_from_everywhere()
    restore_rng({**before, kind: []})
    with pytest.raises(RuntimeError, match="wrong size"):
        restore_rng({**other, kind: [torch.full((16,), 7, dtype=torch.uint8)]})
    assert draw_from_everywhere() == expected and gpus.values() == [0]


# train_epoch


def test_the_mean_counts_every_image_once_also_in_a_short_last_batch():
    model, images, labels = problem(count=10)
    frozen = torch.optim.SGD(model.parameters(), lr=0.0)
    loss = train_epoch(model, images, labels, frozen, batch_size=4)
    one_by_one = [
        -torch.log_softmax(model(image), dim=0)[label].item()
        for image, label in zip(images, labels, strict=True)
    ]
    assert loss == pytest.approx(sum(one_by_one) / 10, rel=1e-6)
    batches = [one_by_one[:4], one_by_one[4:8], one_by_one[8:]]
    mean_of_means = sum(sum(batch) / len(batch) for batch in batches) / 3
    assert loss != pytest.approx(mean_of_means, rel=1e-3), "the example shows no difference"


def test_each_loss_is_taken_before_its_own_step():
    model, images, labels = problem(count=1)
    before = nn.functional.cross_entropy(model(images), labels).item()
    loss = train_epoch(model, images, labels, torch.optim.SGD(model.parameters(), lr=0.5))
    after = nn.functional.cross_entropy(model(images), labels).item()
    assert loss == pytest.approx(before) and after < before


def test_one_epoch_is_plain_sgd_over_the_generators_order():
    model, images, labels = problem(count=10)
    twin = nn.Linear(4, 3)
    twin.load_state_dict(model.state_dict())
    train_epoch(
        model,
        images,
        labels,
        torch.optim.SGD(model.parameters(), lr=0.1),
        batch_size=4,
        generator=torch.Generator().manual_seed(5),
    )
    order = torch.randperm(10, generator=torch.Generator().manual_seed(5)).tolist()
    for batch in (order[:4], order[4:8], order[8:]):
        loss = nn.functional.cross_entropy(twin(images[batch]), labels[batch])
        gradients = torch.autograd.grad(loss, list(twin.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(twin.parameters(), gradients, strict=True):
                parameter -= 0.1 * gradient
    assert torch.allclose(model.weight, twin.weight, atol=1e-6)
    assert torch.allclose(model.bias, twin.bias, atol=1e-6)


def test_the_order_comes_from_torchs_seed_where_no_generator_is_given():
    weights = []
    for seed in (1, 1, 2):
        model, images, labels = problem()
        torch.manual_seed(seed)
        sgd = torch.optim.SGD(model.parameters(), lr=0.5)
        train_epoch(model, images, labels, sgd, batch_size=3)
        weights.append(model.weight.detach())
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_scheduler_steps_once_a_batch():
    model, images, labels = problem(count=10)
    sgd = torch.optim.SGD(model.parameters(), lr=1.0)
    halve = torch.optim.lr_scheduler.StepLR(sgd, step_size=1, gamma=0.5)
    train_epoch(model, images, labels, sgd, scheduler=halve, batch_size=4)
    assert halve.get_last_lr() == [1 / 8]


def test_another_loss_function_takes_the_place_of_cross_entropy():
    model, images, _ = problem()
    targets = torch.zeros(10)
    frozen = torch.optim.SGD(model.parameters(), lr=0.0)

    def mean_square(logits, labels):
        return (logits**2).mean(dim=1).sub(labels).mean()

    loss = train_epoch(model, images, targets, frozen, loss_function=mean_square)
    assert loss == pytest.approx((model(images) ** 2).mean().item(), rel=1e-6)


def test_the_model_is_left_in_train_mode():
    model, images, labels = problem()
    train_epoch(model.eval(), images, labels, torch.optim.SGD(model.parameters(), lr=0.1))
    assert model.training


@pytest.mark.parametrize("size", [0, -1, 2.0, None, True, "4"])
def test_a_batch_holds_at_least_one_image(size):
    model, images, labels = problem()
    model.eval()
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError) as caught:
        train_epoch(model, images, labels, sgd, batch_size=size)
    assert str(caught.value) == (
        f"batch_size is {size!r}; expected a whole number of 1 or more"
    )
    assert not model.training, "refused before anything is done"


# accuracy


class Dropout(nn.Module):
    """Gives the right answer in eval mode and a wrong one in training mode."""

    def __init__(self):
        super().__init__()
        self.inner, self.fixed = nn.Dropout(), nn.BatchNorm1d(2)

    def forward(self, images):
        return -images if self.training or self.inner.training else images


def test_the_share_is_counted_in_eval_mode():
    answers = torch.eye(3)[[0, 1, 2, 0]]
    labels = torch.tensor([0, 1, 2, 2])
    assert accuracy(Dropout().train(), answers, labels) == 0.75


def test_no_gradients_are_kept():
    class Watch(nn.Module):
        def forward(self, images):
            assert not torch.is_grad_enabled()
            return images

    assert accuracy(Watch(), torch.eye(2), torch.tensor([0, 1])) == 1.0
    assert torch.is_grad_enabled()


def test_every_module_gets_its_own_mode_back():
    model = Dropout().train()
    model.fixed.eval()  # a frozen batch norm in a model that trains
    accuracy(model, torch.eye(2), torch.tensor([0, 1]))
    assert [m.training for m in model.modules()] == [True, True, False]
    model.eval().inner.train()
    accuracy(model, torch.eye(2), torch.tensor([0, 1]))
    assert [m.training for m in model.modules()] == [False, True, False]


def test_the_modes_come_back_also_when_the_model_raises():
    layer = nn.Linear(3, 3)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        accuracy(layer, torch.ones(1, 5), torch.tensor([0]))
    assert layer.training


# Images and labels that do not belong together


@pytest.mark.parametrize("images, shape", [(0, (0,)), (3, (2,)), (2, (3,)), (3, (3, 1))])
def test_images_and_labels_must_come_in_pairs(images, shape):
    layer = nn.Linear(4, 2)
    before = layer.weight.detach().clone()
    sgd = torch.optim.SGD(layer.parameters(), lr=1.0)
    pairs = torch.ones(images, 4), torch.zeros(shape, dtype=torch.int64)
    for call in (lambda: accuracy(layer, *pairs), lambda: train_epoch(layer, *pairs, sgd)):
        with pytest.raises(ValueError) as caught:
            call()
        assert str(caught.value) == (
            f"got {images} images and labels of shape {shape}; "
            "expected one label for each image, and at least one image"
        )
    assert torch.equal(layer.weight, before)
