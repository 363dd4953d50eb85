"""The checks for notebook 05's exercises."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from helpers.classroom.data.digits import load_digits
from helpers.classroom.data.networks import DigitsNet, SimpleNet, load_reference_model
from helpers.classroom.exercises.checking import Exercise, no_answer
from helpers.classroom.explorers.key_rules import map_keys, shapes_of
from helpers.classroom.faults.old_files import old_file
from helpers.state_dicts import remap_keys
from helpers.training import accuracy


def old_digits() -> dict[str, torch.Tensor]:
    """Return the reference model's weights under the keys of an older version of it."""
    return remap_keys(
        load_reference_model().state_dict(),
        [("^stem", "features"), ("^head", "classifier"), ("^", "module.")],
    )


def rules_for_digits(rules: object) -> str | None:
    """Rename the keys of old_digits() into those of a DigitsNet."""
    if isinstance(rules, str):
        return (
            "that is text; expected a list of pairs, as in the call below the workbench's "
            "table."
        )
    if not isinstance(rules, list | tuple):
        kind = type(rules).__name__
        return f"your rules are a {kind}; expected a list of (expression, replacement)."
    old = old_digits()
    try:
        names = list(remap_keys(old, rules))
    except ValueError as error:
        return f"remap_keys refuses: {error}."
    spec = list(DigitsNet().state_dict())
    if names == spec:
        return None
    if set(names) == set(spec):
        return "the names are right, but they belong to other tensors."
    found = map_keys(shapes_of(old, "old"), shapes_of(DigitsNet(), "new"), rules).counts
    rest = next(name for name in names if name not in spec)
    hint = f"{found['match']} of {len(spec)} keys fit; {rest!r} is not one of DigitsNet's."
    if rest.startswith("module."):
        hint += " A prefix has to go first: later rules see the result of earlier ones."
    return hint


def widen(function: Callable) -> str | None:
    """Put a tensor into the corner of a larger one."""
    for small, large in (((2, 3), (4, 5)), ((3,), (5,)), ((2, 1, 3, 3), (4, 2, 3, 3))):
        old = torch.arange(1.0, 1 + torch.Size(small).numel()).reshape(small)
        before = old.clone()
        new = function(old, large)
        if new is None:
            return no_answer(function)
        if not isinstance(new, torch.Tensor):
            return f"expected a tensor; your function returns a {type(new).__name__}."
        if tuple(new.shape) != large:
            return f"for shape {large} your tensor has shape {tuple(new.shape)}."
        if not torch.equal(old, before):
            return "your function changes the old tensor; make a new one."
        spec = _widen_slowly(old, large)
        if not torch.equal(new.to(spec.dtype), spec):
            if not torch.equal(new[tuple(map(slice, small))].to(spec.dtype), old):
                return (
                    f"for {small} in {large}, the corner at the lowest indices does not "
                    "hold the old values. Slice every dimension: new[:rows, :columns]."
                )
            return "around the corner there have to be zeros."
    if function(torch.ones(2, dtype=torch.float16), (3,)).dtype != torch.float16:
        return "float16 comes back in another dtype: torch.zeros(shape, dtype=old.dtype)."
    return None


def rescue(function: Callable) -> str | None:
    """Rescue the broken file of the notebook, to the full accuracy of the old network."""
    old = torch.load(old_file("legacy.pt"), weights_only=True)
    broken = {f"module._orig_mod.{name}": tensor.half() for name, tensor in old.items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "broken.pt"
        torch.save(broken, path)
        model = function(path)
    if model is None:
        return no_answer(function)
    if not isinstance(model, SimpleNet):
        return f"expected a SimpleNet; your function returns a {type(model).__name__}."
    if (hidden := model.hidden.out_features) != 48:
        return f"your hidden layer has {hidden} units; the new model has 48."
    if {tensor.dtype for tensor in model.state_dict().values()} != {torch.float32}:
        return "your model is not in float32: convert the tensors, with float()."
    digits = load_digits()
    images, labels = digits.test_images.flatten(1), digits.test_labels
    with torch.no_grad():
        other = model(images).argmax(dim=1) != _old_network(broken)(images).argmax(dim=1)
    if not other.any():
        return None
    return (
        f"{accuracy(model, images, labels):.1%} of the images are right, and {other.sum()} "
        f"have another answer than before. {_why(model, broken)}"
    )


def _why(model: SimpleNet, broken: dict[str, torch.Tensor]) -> str:
    """Say which tensor does not hold what it should."""
    corners = {"fc1": model.hidden, "fc2": model.output}
    for layer, new in corners.items():
        for part in ("weight", "bias"):
            old = broken[f"module._orig_mod.{layer}.{part}"].float()
            tensor = getattr(new, part).detach()
            if not torch.equal(tensor[tuple(map(slice, old.shape))], old):
                if layer == "fc1" and part == "weight":
                    return (
                        "This network has not received its weights: are the keys "
                        "mapped, and did strict=False hide that they are not?"
                    )
                return f"{layer}.{part} of the file is not in your model's corner."
    return (
        "The old weights are in place, and the new units disturb them: let their outgoing "
        "weights, output.weight[:, 16:], start at zero."
    )


def _old_network(broken: dict[str, torch.Tensor]) -> SimpleNet:
    model = SimpleNet(64, 16, 10)
    values = [tensor.float() for tensor in broken.values()]
    model.load_state_dict(dict(zip(model.state_dict(), values, strict=True)))
    return model


def _widen_slowly(old: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    new = torch.zeros(shape)
    for place in torch.cartesian_prod(*map(torch.arange, old.shape)).reshape(-1, old.dim()):
        new[tuple(place)] = old[tuple(place)]
    return new


EXERCISES = {
    "05.1": Exercise(
        rules_for_digits,
        "all 56 keys fit, each with its own tensor.",
    ),
    "05.2": Exercise(
        widen,
        "it agrees with a slow loop over every element, in one, two and four dimensions.",
        of_function=True,
    ),
    "05.3": Exercise(
        rescue,
        "prefixes, names, width and dtype: the wider model is as good as the old one.",
        of_function=True,
    ),
}

QUIZZES = {
    "05.q1": (
        "One layer of your model has become wider. What of the old checkpoint can you use?",
        [
            (
                "all of it, with strict=False",
                False,
                "strict is about names. A size mismatch raises all the same.",
            ),
            (
                "the weights, but not the optimizer's state",
                True,
                "Old weights go into a corner of the new ones. The optimizer's averages "
                "have the old shapes, and it would notice only in its first step.",
            ),
            (
                "nothing, train from scratch",
                False,
                "In five of five seeds, matching layers needed half the epochs or less.",
            ),
        ],
    ),
}
