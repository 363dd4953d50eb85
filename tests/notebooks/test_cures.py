"""The cures of notebook 10's *Further*: what each does to a model, and that it can fail."""

import ast
import copy
import functools
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch

from helpers.classroom.data.networks import DigitsNet
from helpers.quantization import (
    Scheme,
    fold_batch_norm,
    forward_hooks,
    quantizable_layers,
    quantize_model,
)
from tests.course import cell

CELLS = ("further-move", "further-seen", "outliers", "smooth", "bias", "equalize")
WORST = 1e-4  # of answers of some units, in float32


def cures(old="", new=""):
    """Return the functions that those cells define, with a piece of their code replaced."""
    found = [
        ast.unparse(node)
        for id in CELLS
        for node in ast.parse(cell("10", id)).body
        if isinstance(node, ast.FunctionDef)
    ]
    source = "\n".join(found)
    assert not old or source.count(old) == 1, f"{old!r} stands there not once"
    names = {
        "torch": torch,
        "copy": copy,
        "pairwise": pairwise,
        "forward_hooks": forward_hooks,
        "quantizable_layers": quantizable_layers,
    }
    exec(source.replace(old, new) if old else source, names)
    return SimpleNamespace(**names)


@functools.cache
def made():
    """Return a folded network that nobody has trained, and images for it."""
    torch.manual_seed(0)
    model, images = DigitsNet(width=5, classes=3), torch.rand(32, 1, 8, 8)
    for _ in range(3):
        model(images)  # so that its batch norms differ from channel to channel
    return fold_batch_norm(model), images


@torch.no_grad()
def is_same(one, other, images):
    return torch.allclose(one(images), other(images), atol=WORST)


def check_moves(some):
    """Give any two neighbours another scale: depthwise, pointwise and the head."""
    model, images = made()
    pairs = pairwise(quantizable_layers(model))
    for first, second in pairs:
        moved = copy.deepcopy(model)
        layers = [moved.get_submodule(name) for name in (first, second)]
        s = torch.rand(len(layers[0].weight)) + 0.5
        some.move_scale(*layers, s)
        assert not torch.equal(layers[0].weight, model.get_submodule(first).weight)
        assert is_same(moved, model, images), (first, second)


def check_outliers(some):
    model, images = made()
    huge = some.with_outliers(model, images, factor=50)
    assert is_same(huge, model, images)
    for k in range(4):
        before, after = (
            some.largest(some.seen_by_layers(one, images)[f"blocks.{k}.3"][0])
            for one in (model, huge)
        )
        ratio = (after / before).sort().values
        torch.testing.assert_close(ratio[-1].item(), 50.0, rtol=1e-3, atol=0)
        torch.testing.assert_close(ratio[:-1], torch.ones(len(ratio) - 1))
        assert ratio[-1] == (after / before)[before.argmax()]


def check_smooth(some):
    """With a = 0.5, the inputs and the weights of each channel are equally large."""
    model, images = made()
    for a in (0, 0.3, 0.5, 1):
        assert is_same(some.smoothed(model, images, a), model, images)
    smooth = some.smoothed(model, images, 0.5)
    values = some.seen_by_layers(smooth, images)
    for k, block in enumerate(smooth.blocks):
        x = some.largest(values[f"blocks.{k}.3"][0])
        w = some.largest(some.by_input(block[3]))
        seen = x > 1e-4  # some channels of an untrained network are never more than zero
        assert seen.any()
        torch.testing.assert_close(x[seen], w[seen], rtol=1e-3, atol=1e-6)
    for block in some.smoothed(model, images, 0).blocks:  # the weights alone decide
        w = some.largest(some.by_input(block[3]))
        torch.testing.assert_close(w, torch.ones(len(w)))


def check_bias(some):
    """On the images of the calibration no layer is off on average any more."""
    model, images = made()
    rounded = quantize_model(model, Scheme(2))
    better = some.corrected(rounded, model, images)
    exact = some.seen_by_layers(model, images)

    def off(one):
        seen = some.seen_by_layers(one, images)
        errors = [seen[name][1] - exact[name][1] for name in exact]
        return max(error.flatten(0, -2).mean(0).abs().max() for error in errors)

    assert off(rounded) > 0.1 and off(better) < WORST


def check_equalize(some):
    """Both sides of each pair become equally large, and the function stays."""
    model, images = made()
    equal = some.equalized(model, rounds=50)
    assert is_same(equal, model, images)
    for first, second in pairwise(quantizable_layers(equal).values()):
        out = some.largest(first.weight.movedim(0, -1))
        torch.testing.assert_close(
            out, some.largest(some.by_input(second)), rtol=1e-2, atol=0
        )


CHECKS = (check_moves, check_outliers, check_smooth, check_bias, check_equalize)
# (check, a piece of the code, what it becomes): each has to be found.
BROKEN = (
    (check_moves, ".mul_(s)", ".div_(s)"),
    (check_moves, "first.bias.div_(s)", "pass"),
    (check_moves, "0 if depthwise else 1", "1"),
    (check_outliers, "1 / factor", "factor"),
    (check_outliers, ".argmax()", ".argmin()"),
    (check_smooth, "** (1 - a)", "** a"),
    (check_smooth, "largest(x) ** a", "largest(x) ** (1 + a)"),
    (check_bias, "bias -= error", "bias += error"),
    (check_bias, "seen_by_layers(quantized, images)[name]", "exact[name]"),
    (check_equalize, "largest(out) / largest(into)", "largest(into) / largest(out)"),
    (check_equalize, ".sqrt()", ""),
    (check_equalize, "pairwise(", "list("),
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_cure_does_what_the_notebook_says(check):
    check(cures())


@pytest.mark.parametrize(("check", "old", "new"), BROKEN)
def test_a_broken_cure_is_found(check, old, new):
    with pytest.raises((AssertionError, RuntimeError, TypeError)):
        check(cures(old, new))


def test_the_originals_are_not_touched():
    some, (model, images) = cures(), made()
    before = copy.deepcopy(model.state_dict())
    rounded = quantize_model(model, Scheme(3))
    kept = copy.deepcopy(rounded.state_dict())
    some.with_outliers(model, images)
    some.smoothed(model, images, 0.5)
    some.equalized(model, rounds=2)
    some.corrected(rounded, model, images)
    for state, old in ((model.state_dict(), before), (rounded.state_dict(), kept)):
        assert all(torch.equal(state[name], old[name]) for name in old)
