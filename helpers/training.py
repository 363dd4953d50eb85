"""A short training loop, accuracy, seeds, and the random number generators' states.

Save, Load, Ship 0.2.0: helpers/training.py · repairs: CHANGELOG.md
"""

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from helpers.arguments import whole_number


def seed_everything(seed: int) -> None:
    """Seed Python's, NumPy's and torch's random number generators.

    Raises:
        ValueError: the seed is not a whole number (NumPy's and torch's are accepted) from
            0 to 2**32 - 1, the range that NumPy accepts.

    >>> seed_everything(7)
    >>> first = torch.rand(2)
    >>> seed_everything(7)
    >>> torch.equal(first, torch.rand(2))
    True
    """
    number = whole_number("seed", seed, least=0, most=2**32 - 1)
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)


def capture_rng() -> dict[str, Any]:
    """Return the states of Python's, NumPy's, torch's and every GPU's generator.

    All of it is lists, numbers and tensors, which torch.load(weights_only=True) accepts.
    Generators of your own (torch.Generator, np.random.default_rng) are not in it.

    >>> state = capture_rng()
    >>> first = torch.rand(2), random.random()
    >>> restore_rng(state)
    >>> torch.equal(first[0], torch.rand(2)), first[1] == random.random()
    (True, True)
    """
    version, words, gauss = random.getstate()
    return {
        "python": [version, torch.tensor(words, device="cpu"), gauss],
        "numpy": _of_numpy(np.random.get_state(legacy=False)),
        "torch": torch.get_rng_state(),
        **{k: [*map(m.get_rng_state, found)] for k, (m, found) in _gpus().items()},
    }


def _of_numpy(state: dict[str, Any]) -> Any:
    if state["bit_generator"] != "MT19937":
        return json.loads(json.dumps(state, default=lambda array: array.tolist()))
    of, key = state["state"], torch.tensor(state["state"]["key"].tolist(), device="cpu")
    return ["MT19937", key, of["pos"], state["has_gauss"], state["gauss"]]


def restore_rng(state: dict[str, Any]) -> None:
    """Put the generators back to what `capture_rng` returned.

    Where there are fewer GPUs than at that time, or others, the states of those that are
    not here are left out.

    Raises:
        ValueError: as `check_rng`; no generator has changed.

    >>> state = capture_rng()
    >>> first = torch.randperm(5)
    >>> restore_rng(state)
    >>> torch.equal(first, torch.randperm(5))
    True
    """
    check_rng(state)
    before = capture_rng()
    try:
        _set_all(state)
    except BaseException:  # a GPU's state is only tried by setting it
        _set_all(before)
        raise


def _set_all(state: dict[str, Any]) -> None:
    random.setstate(_python_state(state))
    np.random.set_state(_numpy_state(state))
    torch.set_rng_state(state["torch"].cpu())
    for kind, (module, numbers) in _gpus().items():
        for number, saved in zip(numbers, state.get(kind, []), strict=False):
            module.set_rng_state(saved.cpu(), number)


def _gpus() -> dict[str, tuple[Any, range]]:
    """Return kind -> (torch's module for it, the numbers of those that it finds here)."""
    return {
        kind: (module, range(module.device_count() if module.is_available() else 0))
        for kind, module in (("cuda", torch.cuda), ("xpu", torch.xpu), ("mps", torch.mps))
    }


def check_rng(state: dict[str, Any]) -> None:
    """Try a captured state on new generators; those in use do not change.

    Raises:
        ValueError: the state is not one of `capture_rng`, or NumPy's global generator is
            of another kind.

    >>> check_rng({})
    Traceback (most recent call last):
    ValueError: this is not a state of capture_rng (KeyError: 'python')
    """
    try:
        random.Random().setstate(_python_state(state))
        of_numpy, ours = _numpy_state(state), type(np.random.mtrand.get_bit_generator())
        theirs = of_numpy["bit_generator"]
        if ours.__name__ == theirs:
            np.random.RandomState(ours()).set_state(of_numpy)
        torch.Generator().set_state(state["torch"].cpu())
        # Files of older versions know CUDA alone.
        for on_gpu in [*state["cuda"], *state.get("xpu", []), *state.get("mps", [])]:
            if on_gpu.dtype != torch.uint8:
                raise ValueError(f"a state of a GPU is {on_gpu.dtype}")
    except Exception as error:
        raise ValueError(
            f"this is not a state of capture_rng ({type(error).__name__}: {error})"
        ) from error
    if ours.__name__ != theirs:
        cure = f"call np.random.set_bit_generator(np.random.{theirs}()) before"
        raise ValueError(f"NumPy's generator is {ours.__name__} now: {cure}")


def _python_state(state: dict[str, Any]) -> tuple:
    version, words, gauss = state["python"]
    return version, tuple(words.tolist()), gauss


def _numpy_state(state: dict[str, Any]) -> dict[str, Any]:
    if isinstance(state["numpy"], dict):
        return state["numpy"]
    name, key, position, has_gauss, cached = state["numpy"]
    within = {"key": key.cpu().numpy().astype(np.uint32), "pos": position}
    return {"bit_generator": name, "state": within, "has_gauss": has_gauss, "gauss": cached}


def train_epoch(
    model: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    optimizer: torch.optim.Optimizer,
    *,
    scheduler: torch.optim.lr_scheduler.LRScheduler | None = None,
    batch_size: int = 64,
    loss_function: nn.Module | None = None,
    generator: torch.Generator | None = None,
) -> float:
    """Train for one pass over the data, in a new random order.

    Args:
        model: takes (B, ...) images and returns (B, classes) logits.
        images: shape (N, ...).
        labels: int64, shape (N,).
        optimizer: built over the model's parameters.
        scheduler: stepped after every batch, where given.
        batch_size: images per step; the last batch may be smaller.
        loss_function: cross entropy by default.
        generator: the source of the order; torch's global one by default.

    Returns:
        The mean loss over the N images, each taken before its own step.

    Raises:
        ValueError: there are no images, or not one label for each, or the batch size is
            not a whole number of 1 or more.

    >>> images, labels = torch.eye(4), torch.arange(4)
    >>> model = nn.Linear(4, 4)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    >>> losses = [train_epoch(model, images, labels, optimizer) for _ in range(9)]
    >>> losses[-1] < losses[0]
    True
    """
    _check_pairs(images, labels)
    size = whole_number("batch_size", batch_size, least=1)
    loss_function = loss_function or nn.CrossEntropyLoss()
    model.train()
    total = 0.0
    for batch in torch.randperm(len(images), generator=generator).split(size):
        optimizer.zero_grad()
        loss = loss_function(model(images[batch]), labels[batch])
        loss.backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
        total += loss.item() * len(batch)
    return total / len(images)


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Put a model into eval mode, and every module back into its own mode afterwards.

    >>> model = nn.Sequential(nn.Linear(3, 2), nn.Dropout())
    >>> with eval_mode(model):
    ...     model.training
    False
    >>> model.training
    True
    """
    modes = {module: module.training for module in model.modules()}
    try:
        model.eval()
        yield
    finally:
        for module, training in modes.items():
            module.training = training


@torch.no_grad()
def accuracy(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the share of images whose largest logit is at the right class, 0 to 1.

    The model is put into eval mode for the count and then back into the mode it was in.
    To see what a model does in training mode, call it by hand.

    Raises:
        ValueError: there are no images, or not one label for each.

    >>> images, labels = torch.eye(4), torch.tensor([0, 1, 2, 0])
    >>> accuracy(nn.Identity(), images, labels)
    0.75
    """
    _check_pairs(images, labels)
    with eval_mode(model):
        predicted = model(images).argmax(dim=1)
    return (predicted == labels).float().mean().item()


def _check_pairs(images: torch.Tensor, labels: torch.Tensor) -> None:
    # Labels of shape (N, 1) would be compared with every image, not with their own.
    if len(images) == 0 or labels.shape != (len(images),):
        raise ValueError(
            f"got {len(images)} images and labels of shape {tuple(labels.shape)}; "
            "expected one label for each image, and at least one image"
        )
